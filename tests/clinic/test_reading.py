"""What free text says, and that nothing is read which it doesn't say."""

from __future__ import annotations

import time
from dataclasses import replace
from importlib import import_module
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.clinic import Clinic
from app.clinic.lexicon import folded, misspelt, tokens
from app.clinic.lexicon import lexicon as lexicon_of
from app.clinic.reading import read, to_json
from app.clinic.records import Records
from app.clinic.triage import stated


def one(text: str, records: Records) -> dict[str, Any]:
    """What `extract` answers."""
    return to_json(stated(read(text, records), records)[0])


ANIMALS: list[tuple[str, list[dict[str, Any]]]] = [
    ("My 12 kg dog ate chocolate", [{"species": "dog", "weight_kg": 12.0}]),
    ("a 26.5 lb beagle", [{"species": "dog", "breed": "Beagle", "weight_kg": 12.0202}]),
    ("dog 11# vomiting", [{"species": "dog", "weight_kg": 4.9895}]),
    ("cat, 4,2 kg", [{"species": "cat", "weight_kg": 4.2}]),
    ("a 900 g kitten", [{"species": "cat", "weight_kg": 0.9}]),
    ("my rabbit weighs 1800 grams", [{"species": "rabbit", "weight_kg": 1.8}]),
    ("horse weighing 80 st", [{"species": "horse", "weight_kg": 508.0235}]),
    ("kitten of 2 lb 8 oz", [{"species": "cat", "weight_kg": 1.134}]),
    ("a seven year old neutered labrador of 34 kg",
     [{"species": "dog", "breed": "Labrador Retriever", "age_months": 84, "neutered": True, "weight_kg": 34.0}]),
    ("8 yo MN lab 30kg", [{"breed": "Labrador Retriever", "sex": "male", "neutered": True, "age_months": 96}]),
    ("Bella, 4yo FS DSH, 4.2 kg", [{"species": "cat", "sex": "female", "neutered": True, "age_months": 48}]),
    ("10 wk old kitten", [{"species": "cat", "age_months": 2.3}]),
    ("7-year-old spayed GSD", [{"breed": "German Shepherd Dog", "sex": "female", "age_months": 84}]),
    ("6 mo male puppy", [{"species": "dog", "sex": "male", "age_months": 6}]),
    ("gelding, 500 kg", [{"species": "horse", "sex": "male", "neutered": True, "weight_kg": 500.0}]),
    ("a mare in foal", [{"species": "horse", "sex": "female", "pregnant": True}]),
    ("intact male cat", [{"species": "cat", "sex": "male", "neutered": False}]),
    ("my cat isn't spayed", [{"species": "cat", "sex": "female", "neutered": False}]),
    ("lactating dairy cow 600 kg", [{"species": "cattle", "lactating": True, "production_class": "dairy"}]),
    ("My cat (4 kg) and my dog (20 kg)", [{"species": "cat", "weight_kg": 4.0}, {"species": "dog", "weight_kg": 20.0}]),
    ("dog 12 kg, cat 4 kg", [{"species": "dog", "weight_kg": 12.0}, {"species": "cat", "weight_kg": 4.0}]),
    ("a 30 kg boxer and a 5 kg chihuahua", [{"breed": "Boxer", "weight_kg": 30.0}, {"weight_kg": 5.0}]),
    ("my dog is 12 kg and my other dog 20 kg", [{"weight_kg": 12.0}, {"weight_kg": 20.0}]),
    ("our dog Rex is 9 years", [{"species": "dog", "name": "Rex", "age_months": 108}]),
    ("a cat called Luna", [{"species": "cat", "name": "Luna"}]),
    ("Mi perro de 10 kg", [{"species": "dog", "weight_kg": 10.0}]),
    ("mon chat de 4 kg est malade", [{"species": "cat", "weight_kg": 4.0}]),
    ("Meine Katze wiegt 4,5 kg", [{"species": "cat", "weight_kg": 4.5}]),
    ("meu cachorro de 8 kg", [{"species": "dog", "weight_kg": 8.0}]),
    ("我的猫 4 公斤", [{"species": "cat"}]),
    ("12 kg (26 lb) dog", [{"weight_kg": 12.0}]),
    ("dog lost 2 kg, now 14 kg", [{"weight_kg": 14.0}]),
    ("the dog ate a 5 kg bag of dog food", [{"species": "dog", "weight_kg": None}]),
    ("dog vomiting for two days, drank 2 l", [{"species": "dog", "age_months": None, "weight_kg": None}]),
    ("sent to the lab; labs show nothing, lab results pending", []),
    ("let's chat about it, the pointer and the boxer shorts", []),
    ("dog food and cat litter", []),
    ("cat with chronic kidney disease", [{"species": "cat", "conditions": ["chronic kidney disease"]}]),
    ("dog without kidney disease", [{"species": "dog", "conditions": None}]),
    ("labrador mix, 25 kg", [{"breed": "Labrador Retriever", "weight_kg": 25.0}]),
    ("patient weighs 0.45 kg", [{"species": None, "weight_kg": 0.45}]),
    ("Holstein cow, 650 kg", [{"breed": "Holstein", "sex": "female", "weight_kg": 650.0}]),
    ("kitten 3.2 kg 10 wks", [{"species": "cat", "weight_kg": 3.2, "age_months": 2.3}]),
    ("pup 12 weeks, on tramadol", [{"species": "dog", "age_months": 2.8}]),
    ("a dog vomiting for 3 weeks", [{"species": "dog", "age_months": None}]),
    ("poodle FS 5y 23kg", [{"breed": "Standard Poodle", "age_months": 60, "weight_kg": 23.0}]),
    ("now 28 kg, Lab", [{"breed": "Labrador Retriever", "weight_kg": 28.0}]),
    ("K9, Boxer, MI, 7 yr", [{"breed": "Boxer", "sex": "male", "neutered": False, "age_months": 84}]),
    ("acting normal, lab 6 yrs", [{"breed": "Labrador Retriever", "age_months": 72}]),
    ("3 st 2 lb spaniel", [{"species": "dog", "weight_kg": 19.9581}]),
    ("I weigh 70 kg and my chihuahua weighs 2 kg", [{"breed": "Chihuahua", "weight_kg": 2.0}]),
    ("My neighbour's dog weighs 40 kg, mine is a 6 kg pug", [{"species": "dog"}, {"breed": "Pug", "weight_kg": 6.0}]),
    ("the cat? She is 4 kg", [{"species": "cat", "sex": "female", "weight_kg": 4.0}]),
    ("my wife says she saw the cat", [{"species": "cat", "sex": None}]),
    ("he's a 4 kg cat, spayed", [{"species": "cat", "sex": "female"}]),
    ("a dog, it is sick 2 weeks now", [{"species": "dog", "age_months": None}]),
    ("a male cat, I saw her", [{"species": "cat", "sex": "male"}]),
    ("gpig 850g", [{"species": "guinea pig", "weight_kg": 0.85}]),
    ("german shepard and a chiwawa", [{"breed": "German Shepherd Dog"}, {"breed": "Chihuahua"}]),
    ("chinchilla, clindamycin for an abscess 600g", [{"species": "chinchilla", "weight_kg": 0.6}]),
    ("my dog Max 70lb and cat Luna 9lb", [{"name": "Max", "species": "dog"}, {"name": "Luna", "species": "cat"}]),
    ("baytril in layers", [{"species": "chicken"}]),
    ("dog drank 2 of them at 5kg", [{"species": "dog", "weight_kg": 5.0}]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), ANIMALS, ids=[text for text, _ in ANIMALS])
def test_animals_are_read_as_they_stand(text: str, expected: list[dict[str, Any]], records: Records) -> None:
    found = one(text, records)["patients"]

    assert len(found) == len(expected)
    for animal, wanted in zip(found, expected, strict=True):
        assert {key: animal.get(key) for key in wanted} == wanted


MEDICATIONS: list[tuple[str, list[dict[str, Any]]]] = [
    ("on meloxicam 0.1 mg/kg PO SID", [{"name": "meloxicam", "amount": 0.1, "unit": "mg/kg", "route": "PO",
                                        "frequency": "q24h", "status": "current"}]),
    ("prednisolone 5 mg PO BID", [{"name": "prednisolone", "amount": 5, "unit": "mg", "frequency": "q12h"}]),
    ("carprofen (Rimadyl) 50 mg twice daily", [{"name": "carprofen", "amount": 50, "frequency": "q12h"}]),
    ("gabapentin 100 mg q8-12h", [{"name": "gabapentin", "interval_h": {"min": 8, "max": 12}}]),
    ("tramadol 50 mg every 6 hours as needed", [{"name": "tramadol", "frequency": "q6h"}]),
    ("furosemide 2-4 mg/kg IV", [{"amount": 2, "amount_max": 4, "unit": "mg/kg", "route": "IV"}]),
    ("two 325 mg aspirin", [{"name": "aspirin", "tablets": 2, "strength": {"value": 325, "unit": "mg"}}]),
    ("Give 1/2 tablet of 50 mg tramadol every 8 hours",
     [{"name": "tramadol", "tablets": 0.5, "strength": {"value": 50, "unit": "mg"}, "frequency": "q8h"}]),
    ("give 0.5 mL meloxicam 1.5 mg/mL", [{"volume_ml": 0.5, "strength": {"value": 1.5, "unit": "mg/mL"}}]),
    ("half a paracetamol", [{"name": "acetaminophen", "tablets": 0.5}]),
    ("carprofen 2.2 mg/lb", [{"unit": "mg/lb", "amount": 2.2}]),
    ("phenobarbital 4 mg/kg/day", [{"unit": "mg/kg/day", "amount": 4}]),
    ("buprenorphine 20 mcg/kg OTM", [{"unit": "ug/kg", "amount": 20, "route": "OTM"}]),
    ("insulin glargine 2 units BID", [{"name": "insulin glargine", "amount": 2, "unit": "[IU]", "frequency": "q12h"}]),
    ("carprofin and rimadil", [{"name": "carprofen"}]),
    ("used to take carprofen 75mg BID, now on gabapentin 100 mg",
     [{"name": "carprofen", "status": "stopped"}, {"name": "gabapentin", "status": "current"}]),
    ("he is not on any NSAIDs", [{"class": "nsaid", "status": "denied"}]),
    ("stopped meloxicam last week", [{"name": "meloxicam", "status": "stopped"}]),
    ("allergic to carprofen", [{"name": "carprofen", "status": "allergy"}]),
    ("can I give ibuprofen?", [{"name": "ibuprofen", "status": "asked"}]),
    ("I gave 50 mg tramadol and 25 mg carprofen",
     [{"name": "tramadol", "amount": 50, "status": "given"}, {"name": "carprofen", "amount": 25, "status": "given"}]),
    ("mare on bute 2 g q12h", [{"name": "phenylbutazone", "amount": 2, "unit": "g", "frequency": "q12h"}]),
    ("meloxicam once every other day", [{"name": "meloxicam", "interval_h": {"min": 48, "max": 48}}]),
    ("omeprazole 1 mg/kg po q.d., maropitant SC s.i.d.",
     [{"name": "omeprazole"}, {"name": "maropitant", "route": "SC"}]),
    ("a program of comfort and an advantage: the revolution is entire and aspiring", []),
    ("He is in pain, on the top step", []),
    ("seizures since Monday, 3 today", []),
    ("Ace ate, Theo drank", []),
    ("Dex 0.2 mg/kg IV", [{"name": "dexamethasone", "amount": 0.2, "unit": "mg/kg"}]),
    ("ToDAY tube in each quarter", [{"name": "cephapirin"}]),
    ("cerenia for a 3 kg cat? 10 mg/ml", [{"name": "maropitant", "strength": {"value": 10, "unit": "mg/mL"}}]),
    ("gabapentin for a 5 kg cat, have 100 mg caps", [{"amount": None, "strength": {"value": 100, "unit": "mg"}}]),
    ("doxycycline 10 mg/kg, 100 mg tab", [{"amount": 10, "strength": {"value": 100, "unit": "mg"}}]),
    ("zonisamide in a dog on phenobarbital", [{"name": "zonisamide", "status": "mentioned"},
                                              {"name": "phenobarbital", "status": "current"}]),
    ("is nexgard ok", [{"name": "afoxolaner", "status": "asked"}]),
    ("flea meds needed, is nexgard ok", [{"name": "afoxolaner", "status": "asked"}]),
    ("vomiting after meloxicam", [{"name": "meloxicam", "status": "given"}]),
    ("2 mL of benadryl 12.5 mg/5 mL", [{"volume_ml": 2, "strength": {"value": 2.5, "unit": "mg/mL"}}]),
    ("gave 0.3 cc metacam 1.5", [{"volume_ml": 0.3, "strength": {"value": 1.5, "unit": "mg/mL"}}]),
    ("gave 0.3 cc metacam 7", [{"volume_ml": 0.3, "strength": None}]),
    ("rimadyl dose 75 mg tabs, 30 kg dog", [{"amount": None, "strength": {"value": 75, "unit": "mg"}}]),
    ("he got his dose of apoquel late", [{"name": "oclacitinib", "status": "current"}]),
    ("gave a double dose of apoquel", [{"name": "oclacitinib", "status": "given"}]),
    ("bupivacaine 2 mg/kg nerve block", [{"name": "bupivacaine", "route": "LOCAL"}]),
    ("epi 0.01 mg/kg IV", [{"name": "epinephrine", "route": "IV"}]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), MEDICATIONS, ids=[text for text, _ in MEDICATIONS])
def test_drugs_and_doses_are_read_as_they_stand(text: str, expected: list[dict[str, Any]], records: Records) -> None:
    found = one(text, records)["medications"]

    assert len(found) == len(expected)
    for drug, wanted in zip(found, expected, strict=True):
        assert {key: drug.get(key) for key in wanted} == wanted


EXPOSURES: list[tuple[str, list[dict[str, Any]]]] = [
    ("dog ate 200 g of dark chocolate an hour ago",
     [{"substance": "chocolate", "amount": 200, "unit": "g", "product": "dark chocolate", "hours_ago": 1}]),
    ("dog 11# ate half a bar of 70 %", [{"substance": "chocolate", "amount": 0.5, "unit": "bar", "product": "70 %"}]),
    ("my dog swallowed two 325 aspirins", [{"substance": "aspirin", "amount": 650, "unit": "mg"}]),
    ("swallowed 3 tablets of 500 mg paracetamol", [{"substance": "acetaminophen", "amount": 1500, "unit": "mg"}]),
    ("My cat licked antifreeze and my dog ate 10 grapes 2-3 hours ago",
     [{"substance": "ethylene glycol", "amount": None, "patient": 0, "hours_ago": 3},
      {"substance": "grapes raisins", "amount": 10, "unit": "unit", "patient": 1, "hours_ago": 3}]),
    ("he ate a handful of raisins", [{"amount": 1, "unit": "handful", "product": "raisin"}]),
    ("ate half a 100 g bar of milk chocolate", [{"amount": 50, "unit": "g", "product": "milk chocolate"}]),
    ("ate 2 oz baking chocolate thirty minutes ago", [{"amount": 2, "unit": "oz", "hours_ago": 0.5}]),
    ("comió 100 g de chocolate hace 2 horas", [{"substance": "chocolate", "amount": 100, "hours_ago": 2}]),
    ("il a mangé 50 g de chocolat il y a 3 heures", [{"substance": "chocolate", "amount": 50, "hours_ago": 3}]),
    ("hat 20 g Schokolade gefressen, vor zwei Stunden", [{"substance": "chocolate", "amount": 20, "hours_ago": 2}]),
    ("he just ate a lily", [{"substance": "lilies", "hours_ago": 0}]),
    ("he did not eat the chocolate", []),
    ("are grapes toxic to dogs?", [{"substance": "grapes raisins", "status": "asked"}]),
    ("ate chocolate. It was dark chocolate, 100 g. That was 2 hours ago",
     [{"substance": "chocolate", "amount": 100, "product": "dark chocolate"}]),
    ("ate 50 g chocolate and later 30 g chocolate", [{"amount": 50}, {"amount": 30}]),
    ("one and a half tablets of ibuprofen 200 mg were eaten", [{"amount": 300, "unit": "mg"}]),
    ("ate a couple of grapes", [{"amount": 2}]),
    ("my chocolate lab is happy", []),
]  # fmt: skip


VITALS: list[tuple[str, list[Any]]] = [
    ("T 102.5 P 120 R 30", [("temperature", 39.2), ("heart_rate", 120), ("respiratory_rate", 30)]),
    ("TPR 101.5/120/30", [("temperature", 38.6), ("heart_rate", 120), ("respiratory_rate", 30)]),
    ("tpr: 38.6 / 44 / 16", [("temperature", 38.6), ("heart_rate", 44), ("respiratory_rate", 16)]),
    ("T 104.5 HR 180", [("temperature", 40.3), ("heart_rate", 180)]),
    ("temp 103 hr 90", [("temperature", 39.4), ("heart_rate", 90)]),
    ("gabapentin q8 hr 50 mg", []),
    ("his temperature is 39,8 °C", [("temperature", 39.8)]),
    ("T 36.8", [("temperature", 36.8)]),
    ("T = 36.8", [("temperature", 36.8)]),
    ("T 4", []),
    ("P 120", []),
    ("temperature 12 C, 300 F", []),
    ("temp of 212 F", []),
    ("60 breaths a minute, pulse 44 bpm", [("respiratory_rate", 60), ("heart_rate", 44)]),
    ("RR 40/min, CRT <2s", [("respiratory_rate", 40), ("capillary_refill", 2)]),
    ("bp 190, spo2 91 %", [("systolic_pressure", 190), ("oxygen_saturation", 91)]),
    ("many breaths, no pulse", []),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), VITALS, ids=[text for text, _ in VITALS])
def test_vital_signs_are_read_in_one_unit(text: str, expected: list[Any], records: Records) -> None:
    found = one(text, records)["vitals"]

    assert sorted((row["name"], row["value"]) for row in found) == sorted(expected)


LEVELS: list[tuple[str, list[Any], list[str]]] = [
    ("phenobarbital 30 mg", [], ["phenobarbital"]),
    ("phenobarbital 30 ug/mL", [("serum phenobarbital", 30, "ug/mL")], []),
    ("on phenobarb, level came back 42 ug/ml", [("serum phenobarbital", 42, "ug/mL")], ["phenobarbital"]),
    ("phenobarbital 25 mg/mL elixir", [], ["phenobarbital"]),
    ("pcv 0.45 L/L, mcv 68 fL, pco2 35 mmHg", [("pcv", 0.45, "L/L"), ("mcv", 68, "fL"), ("pco2", 35, "mmHg")], []),
    ("hco3- 20", [("bicarbonate", 20, None)], []),
    ("platelets 45,000/uL", [("platelets", 45000, "/uL")], []),
    ("calcium 500 mg", [], ["calcium"]),
    ("glucose 5 %", [], []),
    ("WBC 42k, temp 40", [("wbc", 42, "10*3/uL")], []),
    ("WBC 42 K 5.1", [("wbc", 42, None), ("potassium", 5.1, None)], []),
    ("pH 7.21", [("blood ph", 7.21, None)], []),
    ("pH 6.5", [], []),
    ("Na 128, K 7.1, Na:K 18", [("sodium", 128, None), ("potassium", 7.1, None)], []),
]  # fmt: skip


@pytest.mark.parametrize(("text", "levels", "drugs"), LEVELS, ids=[text for text, _, _ in LEVELS])
def test_a_level_in_blood_is_no_dose_and_a_dose_no_level(
    text: str, levels: list[Any], drugs: list[str], records: Records
) -> None:
    found = one(text, records)

    assert [(row["name"], row["value"], row["unit"]) for row in found["analytes"]] == levels
    assert [row["name"] for row in found["medications"]] == drugs


HISTORIES = [
    ("had a seizure last year", False),
    ("had a seizure 3 years ago", False),
    ("had a seizure in 2019", False),
    ("history of seizures", False),
    ("had seizures as a puppy", False),
    ("previously collapsed with a seizure", False),
    ("had a seizure last year and now needs flea meds", False),
    ("had a seizure last year and another seizure today", True),
    ("seizures for 2 years", True),
    ("a seizure an hour ago", True),
]


@pytest.mark.parametrize(("text", "now"), HISTORIES, ids=[text for text, _ in HISTORIES])
def test_a_sign_of_years_ago_is_history(text: str, now: bool, records: Records) -> None:
    assert bool([row for row in one("My dog " + text, records)["signs"] if "seizure" in row["sign"]]) == now


def test_not_the_dog_but_the_cat_and_a_coat_is_no_food(records: Records) -> None:
    assert one("the cat, not the dog, ate the lily", records)["exposures"][0]["patient"] == 0
    assert one("cat 4 kg, chocolate point siamese", records)["exposures"] == []


def test_urea_is_eaten_or_measured(records: Records) -> None:
    found = one("the cow ate 2 kg urea. BUN 80", records)

    assert [row["substance"] for row in found["exposures"]] == ["urea poisoning"]
    assert [row["name"] for row in found["analytes"]] == ["urea nitrogen"]
    assert found["patients"][0].get("weight_kg") is None


def test_what_was_eaten_years_ago_is_past(records: Records) -> None:
    assert one("my dog ate chocolate two years ago", records)["exposures"][0]["status"] == "past"
    assert one("my dog ate chocolate", records)["exposures"][0]["status"] == "happened"


@pytest.mark.parametrize(
    ("text", "together"),
    [
        ("carprofen or meloxicam for a 20 kg dog", False),
        ("bute vs banamine, horse", False),
        ("carprofen and meloxicam for a 20 kg dog", True),
        ("carprofen for the dog. Or meloxicam", True),
    ],
)
def test_of_drugs_to_choose_from_only_one_is_given(text: str, together: bool, records: Records) -> None:
    found = read(text, records).medications

    assert len(found) == 2
    assert (found[0].choice is None) == together
    assert found[0].choice == found[1].choice


@pytest.mark.parametrize(
    "text",
    [
        "my dog and cat both licked antifreeze",
        "my dog and my cat shared a bag of raisins",
        "my dog and cat ate raisins",
    ],
)
def test_everyone_of_both_ate_it(text: str, records: Records) -> None:
    assert sorted(row["patient"] for row in one(text, records)["exposures"]) == [0, 1]


@pytest.mark.parametrize("text", ["intralipid dose for permethrin, cat 4 kg", "ethylene glycol, dog, fomepizole dose"])
def test_a_poison_that_is_treated_was_met(text: str, records: Records) -> None:
    found = one(text, records)

    assert [row["status"] for row in found["exposures"]] == ["happened"]
    assert len(found["medications"]) == 1


@pytest.mark.parametrize(("text", "expected"), EXPOSURES, ids=[text for text, _ in EXPOSURES])
def test_exposures_are_read_as_they_stand(text: str, expected: list[dict[str, Any]], records: Records) -> None:
    found = one(text, records)["exposures"]

    assert len(found) == len(expected)
    for exposure, wanted in zip(found, expected, strict=True):
        assert {key: exposure.get(key) for key in wanted} == wanted


VALUES: list[tuple[str, list[tuple[str, float, str | None, str | None]]]] = [
    ("creat 3.2 mg/dL, BUN 45, K+ 6.8", [("creatinine", 3.2, None, "mg/dL"), ("urea nitrogen", 45, None, None),
                                         ("potassium", 6.8, None, None)]),
    ("ALT > 1000 U/L", [("ALT", 1000, ">", "U/L")]),
    ("PCV 18%", [("PCV", 18, None, "%")]),
    ("creatinine is 280 umol/l", [("creatinine", 280, None, "umol/L")]),
    ("kreatinin: 280 µmol/l", [("creatinine", 280, None, "umol/L")]),
    ("WBC 22 x10^9/L", [("WBC", 22, None, "10*9/L")]),
    ("platelets 45 K/uL", [("platelets", 45, None, "10*3/uL")]),
    ("glucose of <= 40", [("glucose", 40, "<=", None)]),
    ("platelets 45 10^3/uL, glu 5.1 mmol", [("platelets", 45, None, "10*3/uL"), ("glucose", 5.1, None, "mmol/L")]),
    ("na, I will call ca. 5 people", []),
    ("checked ALT for 2 days", []),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), VALUES, ids=[text for text, _ in VALUES])
def test_laboratory_values_are_read_as_they_stand(text: str, expected: list[Any], records: Records) -> None:
    found = [(row["name"], row["value"], row["comparator"], row["unit"]) for row in one(text, records)["analytes"]]

    assert [(name.lower(), *rest) for name, *rest in found] == [(name.lower(), *rest) for name, *rest in expected]


def test_a_word_of_two_species_is_asked_about(small: Any) -> None:
    """Only a made-up set has one: its `doe` may be two kinds of animal."""
    reading = read("dog 12 kg, no, 14 kg", small.records)

    assert [row["field"] for row in reading.needs] in ([], ["weight"])


def test_two_weights_of_one_animal_are_asked_about(records: Records) -> None:
    answer = one("My dog weighs 12 kg. The dog is 21 kg.", records)

    assert answer["needs"][0]["field"] == "weight"
    assert "weight_kg" not in answer["patient"]
    assert len(one("the dog is 12 kg. the dog is 20 kg. the dog is 30 kg", records)["needs"]) == 1
    assert one("a cat of 4 to 5 kg", records)["needs"][0]["field"] == "weight"


def test_every_span_is_where_the_fact_stands(records: Records) -> None:
    text = "Ünïcode: “my 12 kg Labrador” got Rimadyl 50 mg BID; creat 3.2 mg/dL. He ate 10 grapes 2 hours ago."
    answer = one(text, records)

    patient = answer["patient"]
    assert text[slice(*patient["spans"]["weight"])] == "12 kg"
    assert text[slice(*patient["spans"]["breed"])] == "Labrador"
    assert text[slice(*answer["medications"][0]["span"])] == "Rimadyl 50 mg"
    assert text[slice(*answer["analytes"][0]["span"])] == "creat 3.2 mg/dL"
    assert text[slice(*answer["exposures"][0]["span"])] == "10 grapes"


@pytest.mark.parametrize(
    "word",
    ["aspiring", "program", "comforts", "protein", "raising", "current", "seminar", "morphing", "methods",
     "marquise", "exceed", "reaction", "positive", "december", "carpet"],
)  # fmt: skip
def test_an_ordinary_word_is_no_drug(word: str, records: Records) -> None:
    assert one(f"the {word} here", records)["medications"] == []


def test_a_slip_of_a_letter_still_names_the_drug(records: Records) -> None:
    known = lexicon_of(records)

    for word, drug in {"carproffen": "carprofen", "meloxican": "meloxicam", "gabapentn": "gabapentin",
                       "ibuprofne": "ibuprofen"}.items():  # fmt: skip
        found = misspelt(known, word)
        assert found is not None
        assert found[0].value == drug
    for word in ("carp", "carprofenxyz", "ibuprofening", "melon"):
        assert misspelt(known, word) is None


def test_a_token_stands_where_it_stood() -> None:
    text = "İzmir’s b.i.d. 5–10 mg ＡＢ１２ ½ tab"
    words, starts, ends = tokens(text)

    assert len(folded(text)) == len(text)
    assert "bid" in words
    assert "-" in words
    assert [text[start:end] for start, end in zip(starts, ends, strict=True)][-1] == "tab"


def test_what_is_remembered_of_texts_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    module = import_module("app.clinic.lexicon")
    monkeypatch.setattr(module, "_CUTS_MAX", len(module._CUTS) + 3)

    words = [f"zqx{letter}" for letter in "abcdefghi"]

    assert tokens(" ".join(words))[0] == words
    assert len(module._CUTS) <= 6


@settings(max_examples=300, deadline=None)
@given(
    words=st.lists(
        st.sampled_from(
            ["dog's", "b.i.d.", "10.5", "3,000.5", "mg/kg", "1/2", "don't", "cant", "\n", "\t", "a", "q.i.d", "x.",
             "猫", "½", "(5)", "", "İzmir", "10%", "...", "T:38.9", "'s", "dose:5mg", "e.g.", "\u00a0"]
        ),
        max_size=12,
    )
)  # fmt: skip
def test_a_text_is_cut_alike_as_a_whole_and_piece_by_piece(words: list[str]) -> None:
    text = " ".join(words)
    by_pieces, starts, ends = tokens(text)
    whole, whole_starts, whole_ends = tokens(text + " 3 - 4")  # such a dash keeps a text in one piece

    assert whole[: len(by_pieces)] == by_pieces
    assert whole[-3:] == ["3", "-", "4"]
    assert whole_starts[: len(starts)] == starts
    assert whole_ends[: len(ends)] == ends


@settings(max_examples=200, deadline=None)
@given(
    text=st.text(max_size=300)
    | st.lists(
        st.sampled_from(
            ["dog", "cat", "12", "kg", "mg", "/", "carprofen", "chocolate", "ate", "no", "not", ",", ".", "half", "a",
             "of", "1/2", "½", "two", "hundred", "q", "every", "hours", "ago", "old", "year", "K+", ">", "%", "bar",
             "to", "-", "x", "and", "(", ")", ":", "10", "9", "lb", "oz", "3,000.5", "1.2.3", "tablet", "straining",
             "pee", "\0", "\ud800"]
        ),
        max_size=40,
    ).map(" ".join)
)  # fmt: skip
def test_any_text_gives_a_reading_with_spans_inside_it(text: str, clinic: Clinic) -> None:
    records = clinic.records
    answer = one(text, records)

    spans = [row["span"] for key in ("medications", "exposures", "analytes", "signs", "needs") for row in answer[key]]
    spans += [span for patient in answer["patients"] for span in patient["spans"].values()]
    assert all(0 <= start < end <= len(text) for start, end in spans)


@pytest.mark.usefixtures("no_collections")
@pytest.mark.parametrize(
    "piece",
    ["dog ", "a", "1", "1/", "12 kg ", "no ", ", ", "ate 5 g chocolate ", "(", "é", "b.i.d. ", "5-", "straining ", "猫"]
)  # fmt: skip
def test_a_hundred_kilobytes_take_no_more_than_a_hundred_times_one(piece: str, records: Records) -> None:
    """Linear, so that nobody can stall the event loop with a strange text."""
    read(piece * 50, records)
    small, large = piece * (2_000 // len(piece)), piece * (100_000 // len(piece))

    began = time.thread_time()
    for _ in range(3):
        read(small, records)
    single = (time.thread_time() - began) / 3
    began = time.thread_time()
    read(large, records)

    assert time.thread_time() - began < max(single * 50 * 8, 1)


MORE: list[tuple[str, str, list[dict[str, Any]]]] = [
    ("patients", "7 y/o male dog", [{"age_months": 84}]),
    ("patients", "dog 2 and a half years old", [{"age_months": 30}]),
    ("patients", "dog two and a half years old", [{"age_months": 30}]),
    ("patients", "a hundred pound dog, thirty five kg", [{"species": "dog"}]),
    ("patients", "cow of 2 hundred kg", [{"weight_kg": 200.0}]),
    ("patients", "a cow of six hundred kg", [{"weight_kg": 600.0}]),
    ("patients", "weight thirty five kg, dog", [{"weight_kg": 35.0}]),
    ("patients", "It is a beef animal, cattle, beef of 500 kg", [{"production_class": "beef", "weight_kg": 500.0}]),
    ("patients", "dog (7 years, MN)", [{"age_months": 84, "neutered": True}]),
    ("patients", "dog, age: 3 years", [{"age_months": 36}]),
    ("patients", "dogs are nice, this dog is 5 kg", [{"weight_kg": 5.0}]),
    ("patients", "labrador poodle, 20 kg", [{"breed": "Labrador Retriever", "weight_kg": 20.0}]),
    ("patients", "cat with kidney disease and liver disease", [{"conditions": ["kidney disease", "liver disease"]}]),
    ("patients", "blood pressure 12 kg/cm", []),
    ("patients", "dog weight approx. 12 kg", [{"weight_kg": 12.0}]),
    ("patients", "my cat, named", [{"name": None}]),
    ("medications", "not only carprofen", [{"status": "mentioned"}]),
    ("medications", "carprofen: none", [{"status": "denied"}]),
    ("medications", "carprofen ruled out", [{"status": "denied"}]),
    ("medications", "without tramadol, gabapentin or meloxicam", [{"status": "denied"}] * 3),
    ("medications", "no fever (well) with carprofen", [{"status": "mentioned"}]),
    ("medications", "carprofen 50 mg po od", [{"interval_h": {"min": 24, "max": 24}}]),
    ("medications", "tramadol 60 mg/24 h", [{"unit": "mg/day"}]),
    ("medications", "1 1/2 tablets of tramadol", [{"tablets": 1.5}]),
    ("medications", "1 3/2 tablets of tramadol", [{"tablets": 1.5}]),
    ("medications", "version 1.2.3 of carprofen", [{"amount": None}]),
    ("medications", "I put some revolution on him", [{"name": "selamectin", "status": "given"}]),
    ("medications", "Revolution for fleas", [{"name": "selamectin"}]),
    ("medications", "carprofen? he is on carprofen. Carprofen 50 mg", [{"amount": 50, "status": "current"}]),
    ("medications", "is carprofen safe? He gets carprofen", [{"status": "current"}]),
    ("medications", "doxorubicin 30 mg/m2", [{"unit": "mg/m2"}]),
    ("medications", "carprofen 30 mg/m²", [{"unit": "mg/m2"}]),
    ("medications", "carprofen 50 mg, then later carprofen 75 mg", [{"amount": 50}, {"amount": 75}]),
    ("patients", "dog 1½ years old", [{"age_months": 18}]),
    ("medications", "no fever, carprofen daily", [{"status": "mentioned"}]),
    ("medications", "no fever, carprofen; tramadol or gabapentin", [{}, {}, {}]),
    ("medications", "not sure whether carprofen", [{"status": "mentioned"}]),
    ("exposures", "ate a pair of grapes", [{"amount": 2}]),
    ("exposures", "ate couple of a grapes", [{"amount": 2}]),
    ("patients", "dog ate 5 kg of food", [{"weight_kg": None}]),
    ("medications", "ketoprofen 10 %", [{"strength": {"value": 10, "unit": "%"}}]),
    ("medications", "menthol or ketoprofen 2 mL/kg", [{"unit": "mL/kg"}]),
    ("medications", "I gave my dog carprofen 50 mg", [{"patient": 0, "status": "given"}]),
    ("medications", "carprofen? She was given carprofen", [{"status": "given"}]),
    ("medications", "aspirin, two 325", [{"name": "aspirin"}]),
    ("exposures", "ate three quarters of a bar of chocolate", [{"amount": 0.75, "unit": "bar"}]),
    ("exposures", "ate chocolate 70 %", [{"product": "70 %"}]),
    ("exposures", "ate 80 % of the dark chocolate", [{"product": "80 % dark chocolate"}]),
    ("exposures", "ate 2 ibuprofen 200 mg/tablet", [{"strength": {"value": 200, "unit": "mg"}}]),
    ("exposures", "ate 2 bars of 100 g of chocolate", [{"amount": 200, "unit": "g"}]),
    ("exposures", "#5 of the chocolates: ate 3#5", [{"substance": "chocolate"}]),
    ("analytes", "ALT was 3 days ago", []),
    ("analytes", "k is now 5", []),
]  # fmt: skip


@pytest.mark.parametrize(("key", "text", "expected"), MORE, ids=[text for _, text, _ in MORE])
def test_odd_ways_to_say_it_are_understood(
    key: str, text: str, expected: list[dict[str, Any]], records: Records
) -> None:
    found = one(text, records)[key]

    assert len(found) == len(expected)
    for row, wanted in zip(found, expected, strict=True):
        assert {name: row.get(name) for name in wanted} == wanted


def test_a_word_for_two_species_is_settled_by_the_sentence_or_asked(records: Records) -> None:
    """`doe` once goats have a file; here cats and rabbits are lent the word."""
    pair = {name: replace(records.species[name], female=("doe",)) for name in ("cat", "rabbit")}
    lent = replace(records, species={**records.species, **pair})

    asked = read("my doe is ill", lent)
    assert asked.animals == ()
    assert asked.needs[0]["ask"] == "Which species is it: cat or rabbit?"
    assert [animal.species for animal in read("my doe, a rabbit of 2 kg", lent).animals] == ["rabbit"]
    assert [animal.species for animal in read("my rabbit is a doe", lent).animals] == ["rabbit"]


def test_a_bar_of_seventy_per_cent_needs_chocolate_on_record(records: Records) -> None:
    bare = replace(records, toxins={name: row for name, row in records.toxins.items() if name != "chocolate"})

    assert read("ate a bar of 70 %", bare).exposures == ()


def test_an_animal_without_a_weight_has_none_in_kilograms(records: Records) -> None:
    animal = read("a dog", records).animals[0]

    assert animal.weight_kg is None
    assert animal.age_months is None


@pytest.mark.parametrize("text", ["What dose of meloxicam should I give my dog?", "meloxicam dose, he ate it"])
def test_a_question_about_a_dose_stays_one_whatever_verb_follows(text: str, records: Records) -> None:
    (medication,) = read(text, records).medications

    assert medication.status == "asked"


@pytest.mark.parametrize(
    ("text", "happened"),
    [
        ("My dog ate chocolate last year.", False),
        ("My dog ate chocolate two years ago.", False),
        ("My dog ate chocolate in 2019.", False),
        ("My dog previously ate chocolate.", False),
        ("My dog is well today but he, and the neighbour saw it, previously ate chocolate.", True),
        ("He is fine, it is only that we know he ate chocolate last year.", False),
        ("My dog ate chocolate last year and ate some again today.", True),
        ("My dog ate chocolate an hour ago.", True),
    ],
)
def test_what_was_eaten_years_ago_is_history(text: str, happened: bool, records: Records) -> None:
    """Never where the sentence speaks of now as well."""
    assert any(row["status"] == "happened" for row in one(text, records)["exposures"]) == happened


@pytest.mark.parametrize(
    ("text", "species"),
    [
        # a name that is a breed too
        ("Rex, labrador 30 kg, carprofen dose", ["dog"]),
        ("Rex, 30 kg labrador, carprofen dose", ["dog"]),
        ("My rex is not eating", ["rabbit"]),
        ("Rex rabbit 2 kg", ["rabbit"]),
        ("Rex 2 kg", ["rabbit"]),
        ("Boxer 30 kg and cat 4 kg", ["dog", "cat"]),
        # food and prey
        ("my dog ate a rabbit", ["dog"]),
        ("my cat caught a dead mouse", ["cat"]),
        ("can my dog eat chicken jerky", ["dog"]),
        ("is chicken ok for my dog", ["dog"]),
        ("my cat ate duck \u00e0 l'orange", ["cat"]),
        ("i feed my dog boiled chicken and rice", ["dog"]),
        ("my dog ate 3 chicken wings", ["dog"]),
        ("my cat drank cow milk", ["cat"]),
        ("mon chien a mang\u00e9 un lapin", ["dog"]),
        ("mein hund hat ein kaninchen gefressen", ["dog"]),
        ("my dog licked a frog", ["dog"]),
        # who bit
        ("my cat was attacked by a dog", ["cat"]),
        ("snake bite dog 20 kg", ["dog"]),
        ("my rabbit was attacked by my dog", ["rabbit", "dog"]),
        ("i fed my dog raw rabbit", ["dog"]),
        ("i fed raw chicken to my dog", ["dog"]),
        ("my dog rolled in fox poop", ["dog"]),
        ("my dog ate rabbit poop", ["dog"]),
        # those that are patients
        ("rabbit urine is red", ["rabbit"]),
        ("12 kg dog bite wounds", ["dog"]),
        ("chicken breast is swollen", ["chicken"]),
        ("horse hay belly 400 kg", ["horse"]),
        ("dog's meat allergy", ["dog"]),
        ("i fed the rabbit and now he is bloated", ["rabbit"]),
        ("we had a rabbit in today with stasis", ["rabbit"]),
        ("caught the hamster and its leg hangs", ["hamster"]),
        ("i have had a hamster for 2 years", ["hamster"]),
        ("feeding a lamb 3 kg by tube", ["sheep"]),
        ("my rabbit ate chocolate", ["rabbit"]),
        ("the chocolate was eaten by my dog", ["dog"]),
        ("my chicken's wing is broken", ["chicken"]),
        ("my dog and my chicken are sick", ["dog", "chicken"]),
        ("dog 12 kg and chicken 2 kg", ["dog", "chicken"]),
        ("lily exposure cat 4 kg", ["cat"]),
        ("goat milk withdrawal of ivermectin", ["goat"]),
        ("my snake won't eat mice", ["snake"]),
    ],
)
def test_food_prey_and_names_are_no_patients(text: str, species: list[str], records: Records) -> None:
    assert [animal.species for animal in read(text, records).animals] == species


@pytest.mark.parametrize(
    ("text", "animals"),
    [
        ("my two cats Milo 4kg and Otis 6 kg need meloxicam", [("Milo", "cat", "4"), ("Otis", "cat", "6")]),
        ("Rex 12 kg and Luna 8 kg ate raisins", [("Rex", None, "12"), ("Luna", None, "8")]),
        ("Two dogs: Bella (30 kg) and Max (5 kg)", [("Bella", "dog", "30"), ("Max", "dog", "5")]),
        ("Milo is 4 kg and Otis is 6 kg, both cats", [("Milo", "cat", "4"), ("Otis", "cat", "6")]),
        ("Max 12 kg dog, Luna 4 kg cat", [("Max", "dog", "12"), ("Luna", "cat", "4")]),
        (
            "My dogs, Max 12 kg and Luna 30 kg, and my cat Pim 4 kg",
            [("Max", "dog", "12"), ("Pim", "cat", "4"), ("Luna", "dog", "30")],
        ),
        ("our rabbit Bo 2 kg was 2.4 kg last week", [(None, "rabbit", None)]),
        ("my dog Rex 12 kg, Rex 12 kg", [("Rex", "dog", "12")]),
        ("I have a dog and a cat. Milo 4 kg and Otis 6 kg", [(None, "dog", None), (None, "cat", None)]),
    ],
)
def test_names_with_weights_are_animals_of_their_own(
    records: Records, text: str, animals: list[tuple[str, str | None, str | None]]
) -> None:
    found = [
        (one.name, one.species, None if one.weight_kg is None else str(one.weight_kg))
        for one in read(text, records).animals
    ]
    assert found == animals


@pytest.mark.parametrize(
    ("text", "eaters"),
    [
        ("Milo 4 kg and Otis 6 kg are my cats. Otis ate a lily", ["Otis"]),
        ("my two cats Milo 4kg and Otis 6 kg both chewed a lily", ["Milo", "Otis"]),
        ("Max 12 kg dog, Luna 4 kg cat, Max ate chocolate", ["Max"]),
    ],
)
def test_who_ate_it_is_known_by_name(records: Records, text: str, eaters: list[str]) -> None:
    found = read(text, records)
    assert sorted({str(found.animals[one.animal].name) for one in found.exposures if one.animal is not None}) == eaters


def test_a_list_of_names_shares_what_follows(records: Records) -> None:
    found = read("our puppies Ann 900 g, Bob 1 kg, Cy 1.1 kg need fenbendazole", records)
    assert [found.animals[one.animal or 0].name for one in found.medications] == ["Ann", "Bob", "Cy"]


@pytest.mark.parametrize(
    "text",
    [
        "mi gata de 3 kilos lamió la pipeta del perro y está temblando",
        "ma chatte de 3 kg a léché la pipette du chien",
        "meine katze von 3 kg hat das spot-on vom hund abgeleckt",
        "minha gata de 3 kg lambeu a pipeta do cachorro",
        "我的猫3公斤舔了狗的驱虫滴剂",
    ],
)
def test_a_cat_that_licked_the_dogs_spot_on_met_permethrin(records: Records, text: str) -> None:
    found = read(text, records)
    assert [(one.species, str(one.weight_kg)) for one in found.animals][:1] == [("cat", "3")]
    assert [(one.substance, one.status, one.animal) for one in found.exposures] == [("permethrin", "happened", 0)]


def test_what_it_has_is_not_what_is_asked_about(records: Records) -> None:
    found = read("my guinea pig has crusty skin, scratching, is ivermectin horse paste ok", records)
    assert {one.status for one in found.exposures} == {"asked"}


def test_the_fluid_that_something_is_put_into_is_no_dose(records: Records) -> None:
    found = read("20kg dog K 2.6 need KCl in 1L LRS at 60 ml/h", records)
    assert [(one.drugs, one.volume_ml, one.amount) for one in found.medications] == [
        (("potassium chloride",), None, None),
        (("lactated ringers",), None, None),
    ]
