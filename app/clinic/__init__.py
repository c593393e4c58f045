"""What is medically true: species, doses, poisons, rules. Pure; reads species_data/ once."""
