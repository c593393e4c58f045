"""Calculators asked for in words: recognised, their inputs read, worked out by hand here; what is missing is asked."""

from __future__ import annotations

from typing import Any

import pytest

from app.base.messages import Ask, Audience, Caller, Facts, Message, Text
from app.clinic import Clinic

CALLER = Caller(1, 1, "x", frozenset(), frozenset(), "u", "account", "x")


def facts_of(clinic: Clinic, question: str, audience: Audience = "clinician", **more: Any) -> Facts:
    ask = Ask(CALLER, "vetx-23", (Message("user", (Text(question),)),), audience=audience, **more)
    return clinic.facts_for(ask)


def sums(facts: Facts) -> list[dict[str, Any]]:
    """The rows of calculators that were asked for."""
    return [dict(row) for row in facts.calculations if row.get("calculator")]


@pytest.mark.parametrize(
    ("question", "calculator", "value", "unit"),
    [
        # 20 kg x 8 % x 10 = 1600 mL over 12 h, and 20 kg x 60 mL / 24 h = 50 mL/h
        ("fluids for a 20 kg dog, 8 % dehydrated, over 12 hours, 60 ml/kg/day", "fluid_plan", 183.333, "mL/h"),
        ("fluids for a 20 kg dog, 8 % dehydrated, over 1 day, 2.5 mL/kg/h", "fluid_plan", 116.667, "mL/h"),
        ("fluids for a 20 kg dog, 8 % dehydrated, over about 12 hours, 60 ml/kg/day", "fluid_plan", 183.333, "mL/h"),
        ("fluid rate 4 kg cat 48 ml/kg/day", "fluid_plan", 8, "mL/h"),
        ("shock bolus for a 4 kg cat", "shock_bolus", 50, "mL"),
        ("RER of a 16 kg dog", "energy", 560, "kcal/day"),  # 70 x 16^0.75 = 70 x 8
        ("MER of a 16 kg dog, factor 1.5", "energy", 840, "kcal/day"),
        # 30 kg x 50 mcg x 60 min = 90 mg/h of 20 mg/mL
        ("CRI of lidocaine 50 mcg/kg/min for a 30 kg dog at 20 mg/mL", "cri", 4.5, "mL/h"),
        ("lidocaine 2% CRI at 50 mcg/kg/min, dog 30 kg", "cri", 4.5, "mL/h"),
        # 20 kg x 5 mcg/h x 1000 mL / 60 mL/h
        ("fentanyl CRI 5 mcg/kg/h in a 1 L bag at 60 ml/h, 20 kg dog, 50 mcg/ml", "cri_bag", 1666.67, "ug"),
        ("dog 30 kg dopamine 5 mcg/kg/min, 40 mg/ml", "cri", 0.225, "mL/h"),
        # 30 kg x 5 mcg x 60 min = 9 mg/h x 500 mL / 30 mL/h
        ("dog 30kg dopamine 5 mcg/kg/min in 500 ml bag at 30 ml/h 40 mg/ml", "cri_bag", 150_000, "ug"),
        ("body surface of a 20 kg dog", "body_surface", 0.744174, "m2"),
        ("drip rate in drops per minute: 60 ml/h with a 20 drops/ml set", "drip_rate", 20, "drops/min"),
        ("KCl 40 mEq/L in a 1 L bag at 60 ml/h for a 10 kg dog, 2 mEq/mL", "potassium", 0.24, "mEq/kg/h"),
        ("blood volume of a 4 kg cat", "blood_volume", 224, "mL"),
        ("transfusion 20 kg dog PCV 12 to 22, donor pcv 40", "transfusion", 430, "mL"),
        ("transfuse dog 20 kg PCV 12 %, target 22, donor PCV 40 %", "transfusion", 430, "mL"),
        ("shock index dog HR 160 SBP 80", "shock_index", 2, "ratio"),
        ("sodium deficit 20 kg dog Na 115 to 125", "sodium_deficit", 120, "mEq"),  # 0.6 x 20 x 10
        ("free water deficit 20 kg dog Na 175 to 155, water fraction 0.5", "free_water_deficit", 1.29032, "L"),
        ("corrected retics 6%, PCV 15, normal pcv 45 dog", "corrected_reticulocytes", 2, "%"),
        ("UPC, urine protein 150, creatinine 200, dog", "upc", 0.75, "ratio"),
        ("convert 120 umol/L creatinine to mg/dL", "unit_conversion", 1.35747, "mg/dl"),
        ("convert 22 lb to kg", "unit_conversion", 9.97903, "kg"),
    ],
)
def test_a_sum_asked_for_in_words_is_done(
    question: str, calculator: str, value: float, unit: str, clinic: Clinic
) -> None:
    (row,) = sums(facts_of(clinic, question))

    assert row["calculator"] == calculator
    assert row["result"]["value"] == pytest.approx(value, rel=1e-4)
    assert row["result"]["unit"] == unit
    assert row["formula"]
    assert row["steps"]


@pytest.mark.parametrize(
    ("question", "asked"),
    [
        ("maintenance fluids for a 20 kg dog, dehydrated", "Estimated dehydration? [%]"),
        ("maintenance fluids for a 20 kg dog, 8 % dehydrated", "Over how many hours shall the deficit be replaced?"),
        ("fluid rate for a dog", "What does it weigh?"),
        ("RER of a cat", "What does it weigh?"),
        ("KCl to add to the bag for a 10 kg dog", "Fluid in the bag? [mL]"),
        ("anion gap na 140 k 4 cl 100", "Bicarbonate or total CO2? [mEq/L]"),
        ("osmolality of a dog with Na 145, glucose 90", "Glucose? [mg/dL]"),
        ("corrected retics", "Which normal PCV do you use for this species?"),
        ("drip rate 60 ml/h", "How many drops of the giving set make 1 mL?"),
        ("fluids for a 20 kg dog, 60 % dehydrated", "How much is it dehydrated, in percent?"),
        ("convert glucose", "The value?"),
        ("body surface of a 900 kg cat", "Please weigh again, and say the unit (kg or lb)."),
    ],
)
def test_what_a_sum_lacks_is_asked(question: str, asked: str, clinic: Clinic) -> None:
    facts = facts_of(clinic, question)

    assert asked in [row["ask"] for row in facts.needs]
    assert all(row["result"] is None or row["result"]["unit"] == "mL/h" for row in sums(facts))


def test_a_figure_that_a_calculator_refuses_is_asked_again(clinic: Clinic) -> None:
    facts = facts_of(clinic, "dog 10 kg, shock index, HR 100, systolic 90, KCl 40 mEq/L in a 1 L bag at 0 ml/h")

    assert "rate_ml_per_h must be more than 0." in [row["ask"] for row in facts.needs]


@pytest.mark.parametrize(
    "question",
    [
        "my dog limps",
        "lidocaine CRI in mL/h for a 30 kg dog?",  # no rate of theirs: the doses on record answer it
        "lidocaine CRI 50 mg/kg/min for a 30 kg dog, 20 mg/mL",  # a thousand times the rate on record
        "he has fluid on the lungs",
        "Na 140 K 4 Cl 100 HCO3 15 anion gap, dog",  # the laboratory values bring it already
    ],
)
def test_no_sum_is_done_that_nobody_asked_or_that_would_harm(question: str, clinic: Clinic) -> None:
    assert sums(facts_of(clinic, question)) == []


def test_each_animal_gets_its_own(clinic: Clinic) -> None:
    facts = facts_of(clinic, "RER of my 16 kg dog and my 4 kg cat")

    assert [(row["patient"], row["inputs"]["weight_kg"]) for row in sums(facts)] == [(0, 16), (1, 4)]


def test_a_given_patient_is_computed_for(clinic: Clinic) -> None:
    patient = {"species": "dog", "weight_kg": 16}
    facts = facts_of(clinic, "what is the RER?", patients=(patient,))

    assert [row["result"]["value"] for row in sums(facts)] == [560]


def test_owners_get_no_sums_of_the_ward(clinic: Clinic) -> None:
    assert sums(facts_of(clinic, "maintenance fluids for my 4 kg cat", "owner")) == []
    assert sums(facts_of(clinic, "how many calories does my 4 kg cat need", "owner"))


def test_values_of_the_donor_are_not_the_patients(clinic: Clinic) -> None:
    facts = facts_of(clinic, "transfusion 20 kg dog PCV 12 to 22, donor pcv 40")

    assert [(row["analyte"], row["value"], row["flag"]) for row in facts.analytes] == [("pcv", 12, "LL")]


def of_turns(clinic: Clinic, *questions: str) -> Facts:
    messages = tuple(Message("user", (Text(question),)) for question in questions)
    return clinic.facts_for(Ask(CALLER, "vetx-23", messages))


def test_an_answer_to_what_was_asked_belongs_to_the_question_before(clinic: Clinic) -> None:
    facts = of_turns(clinic, "fluids for a 20 kg dog, 8 % dehydrated, 60 ml/kg/day", "over 12 hours")
    weighed = of_turns(clinic, "RER of a dog?", "he weighs 16 kg")

    assert [row["result"]["value"] for row in sums(facts)] == [183.333]
    assert [row["result"]["value"] for row in sums(weighed)] == [560]


@pytest.mark.parametrize(
    "turns",
    [
        ("RER of a 16 kg dog?", "now he had 3 seizures"),
        ("RER of a 16 kg dog?", "and the dose of meloxicam?"),
        ("RER of my 16 kg dog and my 4 kg cat?", "thanks"),
    ],
)
def test_a_sum_is_not_done_again_when_the_talk_has_moved_on(turns: tuple[str, str], clinic: Clinic) -> None:
    assert sums(of_turns(clinic, *turns)) == []


def test_a_sum_leaves_no_room_for_differentials(clinic: Clinic) -> None:
    facts = facts_of(clinic, "fluids for a vomiting 20 kg dog, 8 % dehydrated")

    assert sums(facts)
    assert facts.differentials == ()
