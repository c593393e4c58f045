"""`guard`: any model's text as chat's guard would let it out, without a conversation around it."""

from __future__ import annotations

from typing import Any

import pytest

from app.base.errors import Invalid
from app.clinic import Clinic
from app.clinic.words import describe_guard

CAT = {"species": "cat", "weight_kg": 4}


def test_what_was_found_names_its_place_rule_and_source(clinic: Clinic) -> None:
    text = "Rest her.\nGive paracetamol 50 mg.\n| Meloxicam | 2 mg/kg |\n"
    answer = clinic.guarded({"patient": CAT, "text": text}, "EU")

    assert answer["verdict"] == "unsafe"
    assert [row["rule"] for row in answer["findings"]] == ["acetaminophen-cat", "dose-tenfold"]
    first, second = (text[slice(*row["span"])] for row in answer["findings"])
    assert first == "paracetamol 50 mg."
    assert second.startswith("Meloxicam | 2 mg/kg") or second == "| Meloxicam | 2 mg/kg |"
    assert answer["corrected"].startswith("Rest her.\nGive \u2014 [Withheld: ")
    assert answer["patient"]["species"] == "cat"
    assert answer["jurisdiction"] == "EU"
    assert answer["needs"] == []


def test_a_long_text_in_one_piece_keeps_true_places(clinic: Clinic) -> None:
    """Words that mean nothing pass many at a time; the places still count every character."""
    text = "Keep her warm and quiet in a small room, and look at her gums. " * 200 + "Give ibuprofen 50 mg. Call us."
    (found,) = clinic.guarded({"patient": CAT, "text": text}, "EU")["findings"]

    assert text[slice(*found["span"])] == "ibuprofen 50 mg."


@pytest.mark.parametrize(
    ("body", "not_checked"),
    [
        ({"text": "Give ibuprofen 50 mg."}, [("ibuprofen", "missing_species")]),
        ({"patient": {"species": "dog"}, "text": "Give carprofen 40 mg."}, [("carprofen", "missing_weight")]),
        ({"patient": CAT, "text": "Zorblinumab 5 mg/kg once daily."}, [("zorblinumab", "unknown_drug")]),
        ({"patient": {"species": "horse", "weight_kg": 500}, "text": "Oclacitinib 0.5 mg/kg by mouth."},
         [("oclacitinib", "no_record_for_species")]),
    ],
)  # fmt: skip
def test_what_no_record_can_judge_is_never_called_safe(
    clinic: Clinic, body: dict[str, Any], not_checked: list[tuple[str, str]]
) -> None:
    answer = clinic.guarded(body, "EU")

    assert answer["verdict"] is None
    assert answer["covered"] is False
    assert [(row["text"], row["why"]) for row in answer["not_checked"]] == not_checked
    assert answer["corrected"] == body["text"]


def test_the_animal_is_read_from_the_words_that_were_answered(clinic: Clinic) -> None:
    answer = clinic.guarded({"context": "My 4 kg cat limps", "text": "Half an Advil helps.", "audience": "owner"})

    assert answer["findings"][0]["rule"] == "ibuprofen-cat"
    assert answer["patient"]["weight_kg"] == 4
    assert [row["field"] for row in answer["needs"]] == ["jurisdiction"]


def test_a_patient_that_contradicts_itself_is_refused_by_its_field(clinic: Clinic) -> None:
    patient = {"species": "cat", "weight_kg": 4, "weight": {"value": 9, "unit": "kg"}}
    with pytest.raises(Invalid) as refused:
        clinic.guarded({"patient": patient, "text": "Rest her."})

    assert str(refused.value.param).startswith("patient.")


def test_the_answer_in_words_says_verdict_reasons_and_text(clinic: Clinic) -> None:
    said = describe_guard(clinic.guarded({"patient": CAT, "text": "Give ibuprofen 50 mg."}, "EU"))
    left = describe_guard(clinic.guarded({"patient": CAT, "text": "Zorblinumab 5 mg/kg."}, "EU"))

    assert said.startswith("Patient: cat, 4 kg\nVerdict: unsafe\n! absolute, replaced (ibuprofen-cat): ")
    assert "Text:\nGive \u2014 [Withheld: " in said
    assert "Sources:" in said
    assert "Verdict: not judged in full\nNot checked: zorblinumab (unknown drug)" in left


DOG = {"species": "dog", "weight_kg": 20}


@pytest.mark.parametrize(
    ("patient", "text", "rules"),
    [
        # A drug that lasts for weeks, again next day; and more in a day than any record knows.
        (DOG, "Trocoxil 2 mg/kg once a day with the main meal, long term.", ["dose-too-often"]),
        (DOG, "Trocoxil 2 mg/kg with the main meal.", []),
        (DOG, "Meloxicam 0.2 mg/kg PO every eight hours for the first fortnight.", ["dose-too-often"]),
        (DOG, "Load with phenobarbital 3 mg/kg IV every 15 minutes until the fits stop.", []),
        # What a bag holds runs for a day; the same at once is a tenfold slip.
        (DOG, "Add regular insulin 2.2 U/kg to 250 mL of saline and run it at 10 mL/h.", []),
        (DOG, "Regular insulin goes in: 2.2 U/kg into a 250 mL bag.", []),
        (DOG, "Regular insulin 22 U/kg in 250 mL of saline.", ["dose-tenfold"]),
        (DOG, "Regular insulin 5 U/kg IV now.", ["dose-tenfold"]),
        (DOG, "Rectal KBr 100 mg/kg every 4 hours for 6 doses (600 mg/kg in total).", []),
        # What an amount does, or did, is no advice.
        (DOG, "Xylitol above 0.1 g/kg can drop the blood sugar.", []),
        (DOG, "Give xylitol 0.1 g/kg with breakfast.", ["xylitol-dog"]),
        (CAT, "Between 1997 and 2001 the label of enrofloxacin went up to 20 mg/kg, and cats went blind.", []),
        (CAT, "Enrofloxacin 20 mg/kg once daily.", ["dose-tenfold"]),
        (CAT, "Hydromorphone, a tenth of a milligram per kilogram IM.", []),
        (DOG, "Regular insulin 22 UI/kg IM.", ["dose-tenfold"]),
        # The breed that a sentence names is the animal's, where nobody gave another.
        (DOG, "Ivermectin 0.3 mg/kg PO daily for this Collie.", ["ivermectin-mdr1"]),
        ({**DOG, "conditions": ["dilated cardiomyopathy"]}, "Digoxin 0.005 mg/kg PO q12h.", []),
        ({**CAT, "conditions": ["hcm"]}, "Digoxin 0.005 mg/kg PO q48h.", ["digoxin-hcm"]),
        ({**CAT, "conditions": ["heart disease"]}, "Digoxin 0.005 mg/kg PO q48h.", ["digoxin-hcm"]),
        # None of these is a bag, a year, or a word on what an amount does.
        (DOG, "Regular insulin 5 U/kg IV in 2.5 mL of saline.", ["dose-tenfold"]),
        (DOG, "Regular insulin 2.2 U/kg into a 1 L bag.", []),
        (DOG, "Up to 2000 mg went in; carprofen 44 mg/kg is allowed.", ["dose-tenfold"]),
        (DOG, "The 2024 guideline was clear: carprofen 44 mg/kg PO q12h.", ["dose-tenfold"]),
        (DOG, "Carprofen 44 mg/kg PO at home when signs appear.", ["dose-tenfold"]),
        (DOG, "Dogs show signs above 44 mg/kg of carprofen.", []),
        (CAT, "Paracetamol 10 mg/kg PO q8h rarely harms a cat.", ["acetaminophen-cat"]),
        (DOG, "Xylitol drops a dog's blood sugar from about 0.1 g/kg and harms the liver.", []),
        (CAT, "Eine halbe Paracetamol (250 mg) schadet Ihrer Katze nicht.", ["acetaminophen-cat"]),
        (CAT, "Paracetamol schadet Ihrer Katze.", []),
    ],
)
def test_what_an_independent_examiner_and_right_doses_taught(
    clinic: Clinic, patient: dict[str, Any], text: str, rules: list[str]
) -> None:
    answer = clinic.guarded({"patient": patient, "text": text, "audience": "clinician"}, "EU")
    assert [row["rule"] for row in answer["findings"]] == rules
