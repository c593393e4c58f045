"""Conditions in an order that anybody can check, with what speaks for and against each."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from app.base.errors import Invalid, NotFound
from app.clinic import Clinic
from app.clinic.differentials import Given, differentials
from app.clinic.patient import PatientShape, normalise
from app.clinic.records import Records, Signalment
from app.clinic.triage import judged, questions

DOG: dict[str, Any] = {"species": "dog"}
CAT: dict[str, Any] = {"species": "cat"}

CASES: list[tuple[dict[str, Any], dict[str, Any], str, bool]] = [
    ({**DOG, "breed": "Standard Poodle", "sex": "FS", "age_months": 48}, {
        "signs": ["vomiting", "weak", "collapsed"],
        "analytes": [{"name": "potassium", "value": 7.1, "unit": "mmol/L"},
                     {"name": "sodium", "value": 128, "unit": "mmol/L"}]}, "hypoadrenocorticism", True),
    (DOG, {"text": "belly swollen and hard, retching, drooling, restless"}, "gastric dilatation-volvulus", True),
    ({**CAT, "sex": "male"}, {"signs": ["straining-to-urinate", "no-urine"]}, "urethral obstruction", True),
    ({**CAT, "age_months": 144}, {
        "text": "weight loss, ravenous appetite, vomiting, T4 6.5 ug/dL, HR 250"}, "hyperthyroidism", False),
    ({**DOG, "sex": "FI", "age_months": 96}, {
        "text": "drinking a lot, peeing a lot, pus from the vulva, off food"}, "pyometra", True),
    (DOG, {"text": "puppy vomiting and bloody diarrhea, lethargic"}, "canine parvovirus infection", True),
    ({"species": "rabbit"}, {"signs": ["not-eating", "few-droppings"]}, "rabbit gastrointestinal stasis", True),
    ({"species": "cattle"}, {"signs": ["down", "recent-birth"], "analytes": [
        {"name": "total calcium", "flag": "L"}]}, "milk fever", True),
    ({"species": "horse"}, {"text": "rolling, pawing, sweating and no droppings"}, "equine colic", True),
]  # fmt: skip


@pytest.mark.parametrize(("patient", "body", "expected", "first"), CASES, ids=[row[2] for row in CASES])
def test_the_condition_that_was_described_is_near_the_top(
    patient: dict[str, Any], body: dict[str, Any], expected: str, first: bool, clinic: Clinic
) -> None:
    answer = clinic.differentials({"patient": patient, **body})

    names = [row["condition"] for row in answer["differentials"]]
    assert names.index(expected) <= (0 if first else 2), names
    row = answer["differentials"][names.index(expected)]
    assert row["for"]
    assert row["next_tests"]
    assert row["sources"]


def test_what_must_not_be_missed_comes_first_and_nothing_is_a_probability(clinic: Clinic) -> None:
    answer = clinic.differentials({"patient": DOG, "signs": ["vomiting", "lethargy", "not eating"]})

    missable = [not row["cant_miss"] for row in answer["differentials"]]
    assert missable == sorted(missable)
    assert [row["rank"] for row in answer["differentials"]] == list(range(1, len(missable) + 1))
    assert not {"score", "probability", "fit", "likelihood"} & set(answer["differentials"][0])
    assert "not a chance" in answer["order"]
    assert answer["urgency"] == "emergency"


def test_the_order_of_what_is_given_changes_nothing(clinic: Clinic) -> None:
    signs = ["vomiting", "weakness", "collapse", "fever"]

    one = clinic.differentials({"patient": DOG, "signs": signs})
    other = clinic.differentials({"patient": DOG, "signs": signs[::-1]})

    assert [row["condition"] for row in one["differentials"]] == [row["condition"] for row in other["differentials"]]


def test_what_is_denied_speaks_against_and_what_is_normal_too(clinic: Clinic) -> None:
    answer = clinic.differentials(
        {
            "patient": DOG,
            "signs": ["vomiting", "fever", "dehydration", "no bloody diarrhea"],
            "analytes": [{"name": "potassium", "flag": "N"}, {"name": "sodium", "flag": "high"}],
        }
    )

    against = {row["condition"]: [one["text"] for one in row["against"]] for row in answer["differentials"]}
    assert "no bloody diarrhoea" in against["canine parvovirus infection"]
    assert {row["direction"] for row in answer["findings"]} == {"present", "absent", "normal", "high"}


def test_the_wrong_direction_speaks_against(clinic: Clinic) -> None:
    answer = clinic.differentials(
        {"patient": DOG, "signs": ["weakness", "collapse"], "analytes": [{"name": "potassium", "flag": "low"}]}
    )

    row = next(row for row in answer["differentials"] if row["condition"] == "hypoadrenocorticism")
    assert "potassium is low, expected high" in [one["text"] for one in row["against"]]


def test_a_sex_that_cannot_have_it_rules_out_and_an_unknown_one_is_asked(clinic: Clinic) -> None:
    body = {"signs": ["vaginal-discharge", "drinking-more"]}
    male = clinic.differentials({"patient": {**DOG, "sex": "male"}, **body})
    spayed = clinic.differentials({"patient": {**DOG, "sex": "FS"}, **body})
    unknown = clinic.differentials({"patient": DOG, **body})

    assert {"condition": "pyometra", "why": "only the female has it"} in male["ruled_out"]
    assert {"condition": "pyometra", "why": "only where not neutered"} in spayed["ruled_out"]
    assert "pyometra" in [row["condition"] for row in unknown["differentials"]]
    assert {"sex", "neutered"} <= {row["field"] for row in unknown["needs"]}


def weighed(records: Records, patient: dict[str, Any], **facts: Signalment) -> dict[str, Any]:
    """The differentials of a limping animal where a limp has one cause, with this signalment."""
    condition = replace(records.conditions["patellar luxation"], **facts)  # type: ignore[arg-type]
    only = replace(records, conditions={condition.name: condition})
    known = normalise(PatientShape.model_validate(patient), records)
    return differentials(known, [Given("sign", "lameness", "present")], (), only)


def test_a_breed_and_an_age_speak_for_or_against(records: Records) -> None:
    usual = Signalment(breeds=("Yorkshire Terrier",), age_months_min=Decimal(72), neutered=True, ages=("old",))
    old = weighed(records, {**DOG, "breed": "yorkie", "age_months": 120, "neutered": True}, signalment=usual)
    young = weighed(records, {**DOG, "breed": "Beagle", "age_months": 8, "neutered": False}, signalment=usual)

    assert {row["finding"] for row in old["differentials"][0]["for"]} >= {"breed", "age", "neutered"}
    assert {row["finding"] for row in young["differentials"][0]["against"]} == {"age", "neutered"}


@pytest.mark.parametrize(
    ("patient", "only", "why"),
    [
        ({"age_months": 3}, Signalment(age_months_min=Decimal(6)), "only from 6 months of age"),
        ({"age_months": 30}, Signalment(age_months_max=Decimal(6)), "only up to 6 months of age"),
        ({"breed": "Beagle"}, Signalment(breeds=("Yorkshire Terrier",)), "only in certain breeds"),
        ({"pregnant": False}, Signalment(pregnant=True), "only where pregnant"),
    ],
)
def test_who_cannot_have_it_is_ruled_out(patient: dict[str, Any], only: Signalment, why: str, records: Records) -> None:
    answer = weighed(records, {**DOG, **patient}, only=only)

    assert answer["differentials"] == []
    assert answer["ruled_out"] == [{"condition": "patellar luxation", "why": why}]


def test_who_may_have_it_is_kept(records: Records) -> None:
    only = Signalment(breeds=("Yorkshire Terrier",), age_months_min=Decimal(6), pregnant=True)

    assert weighed(records, {**DOG, "breed": "yorkie", "age_months": 9}, only=only)["differentials"]
    assert weighed(records, DOG, only=only)["differentials"]


def test_a_direction_in_words_is_a_finding(clinic: Clinic) -> None:
    answer = clinic.differentials({"patient": DOG, "signs": ["weak"], "text": "high potassium, no hyponatraemia"})

    assert ("potassium", "high") in {(row["finding"], row["direction"]) for row in answer["findings"]}
    assert ("sodium", "normal") in {(row["finding"], row["direction"]) for row in answer["findings"]}


def test_a_poison_that_was_met_is_listed_first_and_others_are_only_asked_about(clinic: Clinic) -> None:
    met = clinic.differentials({"text": "My dog ate chocolate and is vomiting and shaking"})
    unmet = clinic.differentials({"patient": DOG, "signs": ["tremors", "seizures"]})

    assert met["differentials"][0]["condition"] == "chocolate poisoning"
    assert not any(row["toxin"] for row in unmet["differentials"])
    assert unmet["poisonings"]
    assert unmet["ask_next"][-1]["kind"] == "exposure"


def test_the_next_questions_split_the_list_and_ask_nothing_twice(clinic: Clinic) -> None:
    answer = clinic.differentials({"patient": DOG, "signs": ["vomiting", "no fever"]})

    asked = [row["finding"] for row in answer["ask_next"]]
    assert "vomiting" not in asked
    assert "fever" not in asked
    assert len(set(asked)) == len(asked)
    assert all(row["speaks_for"] for row in answer["ask_next"])
    assert answer["next_tests"][0]["for"]


@pytest.mark.parametrize(
    ("row", "direction", "why"),
    [
        ({"name": "potassium", "value": 7.1, "unit": "mmol/L"}, "high", None),
        ({"name": "potassium", "value": 4.3, "unit": "mmol/L"}, "normal", None),
        ({"name": "creatinine", "value": 300, "unit": "umol/L"}, "high", None),
        ({"name": "creatinine", "value": 0.1, "unit": "mg/dL"}, "low", None),
        ({"name": "potassium", "value": 7.1, "unit": "mmol/L", "reference": {"low": 3.5, "high": 8}}, "normal", None),
        ({"name": "potassium", "value": 7.1, "reference": {"high": 5.5}}, "high", None),
        ({"name": "potassium", "value": 2, "reference": {"low": 3.5}}, "low", None),
        ({"name": "potassium", "value": 9, "comparator": ">", "unit": "mmol/L"}, "high", None),
        ({"name": "potassium", "value": 2, "comparator": "<", "unit": "mmol/L"}, "low", None),
        ({"name": "potassium", "value": 2, "comparator": ">", "unit": "mmol/L"}, None, "comparator"),
        ({"name": "potassium", "value": 9, "comparator": "<=", "unit": "mmol/L"}, None, "comparator"),
        ({"name": "potassium", "value": 7.1}, None, "missing_unit"),
        ({"name": "potassium", "value": 7.1, "unit": "furlong"}, None, "unknown_unit"),
        ({"name": "potassium"}, None, "missing_value"),
        ({"name": "moonlight", "value": 1}, None, "unknown_analyte"),
        ({"analyte": "ALT", "flag": "HH"}, "high", None),
    ],
)
def test_a_value_is_judged_by_the_callers_range_then_by_ours(
    row: dict[str, Any], direction: str | None, why: str | None, clinic: Clinic
) -> None:
    answer = clinic.differentials({"patient": DOG, "analytes": [row]})

    assert [one["direction"] for one in answer["findings"]] == ([] if direction is None else [direction])
    assert [one["why"] for one in answer["not_checked"]] == ([] if why is None else [why])


def test_a_value_without_a_species_or_an_interval_is_not_judged(clinic: Clinic) -> None:
    value = {"name": "potassium", "value": 7.1, "unit": "mmol/L"}
    nobody = clinic.differentials({"analytes": [value]})
    bee = clinic.differentials({"patient": {"species": "honey bee"}, "analytes": [value]})

    assert [row["why"] for row in nobody["not_checked"]] == ["missing_species"]
    assert "species" in [row["field"] for row in nobody["needs"]]
    assert [row["why"] for row in bee["not_checked"]] == ["no_interval_on_record"]
    assert bee["covered"] is False


def test_what_is_not_understood_is_said_with_what_is_near(clinic: Clinic) -> None:
    answer = clinic.differentials({"patient": {"species": "gryphon"}, "signs": ["vomiting", "weird cough thing x"]})
    unknown = clinic.differentials({"patient": DOG, "signs": ["purple elbow", "seizure last year"]})

    assert answer["covered"] is False
    assert answer["differentials"] == []
    assert "no_record_for_species" in [row["why"] for row in answer["not_checked"]]
    assert [row["why"] for row in unknown["not_checked"]] == ["unknown_sign", "past"]


def test_nothing_to_think_about_is_refused(clinic: Clinic) -> None:
    for body in ({}, {"patient": DOG}, {"patient": DOG, "analytes": [{"value": 3}]}):
        with pytest.raises(Invalid):
            clinic.differentials(body)


def test_the_list_of_conditions_can_be_narrowed_to_a_species(clinic: Clinic) -> None:
    every, cats = clinic.conditions(), clinic.conditions("feline")

    assert 0 < len(cats) < len(every)
    assert all("cat" in row["species"] for row in cats)
    assert all(row["sources"] for row in every)
    with pytest.raises(NotFound):
        clinic.conditions("gryphon")


def test_vital_signs_are_held_against_the_species(records: Records, clinic: Clinic) -> None:
    answer = clinic.triage(
        {
            "patient": DOG,
            "text": "he is quiet",
            "vitals": [
                {"name": "temperature", "value": 42, "unit": "C"},
                {"name": "pulse", "value": 150},
                {"name": "RR", "value": 20},
                {"name": "SpO2", "value": 88, "unit": "%"},
                {"name": "mood", "value": 3},
            ],
        }
    )

    flags = {row["name"]: row["flag"] for row in answer["vitals"]}
    assert flags == {"temperature": "HH", "heart_rate": "H", "respiratory_rate": "N", "oxygen_saturation": None}
    assert answer["level"] == "emergency"
    assert {row["id"] for row in answer["red_flags"]} >= {"vital-temperature", "vital-heart-rate"}
    assert [row["why"] for row in answer["not_checked"]] == ["unknown_vital", "no_interval_on_record"]
    assert all(row["source"]["url"].startswith("http") for row in answer["red_flags"])


def test_a_low_vital_sign_counts_as_well(clinic: Clinic) -> None:
    cold = clinic.triage({"patient": CAT, "text": "temp 35.0, HR 100"})
    nobody = clinic.triage({"text": "temp 35.0"})

    assert {row["name"]: row["flag"] for row in cold["vitals"]} == {"temperature": "LL", "heart_rate": "L"}
    assert [row["why"] for row in nobody["not_checked"]] == ["missing_species"]
    assert "species" in [row["field"] for row in nobody["needs"]]


def test_quiet_words_are_routine_and_the_gravest_signs_are_asked_for(clinic: Clinic, records: Records) -> None:
    answer = clinic.triage({"patient": {"species": "rabbit"}, "text": "a bit quiet"})

    assert answer["level"] == "routine"
    assert "clean bill" in answer["reason"]
    assert any("half a day" in line for line in answer["ask_next"])
    assert not any("womb" in line for line in questions({"species": "dog", "sex": "male"}, records))
    assert judged([], {}, records) == ([], [])


def test_what_was_named_in_another_sense_is_shown(clinic: Clinic) -> None:
    answer = clinic.triage({"patient": DOG, "text": "he had a seizure last year"})

    assert answer["level"] == "routine"
    assert {row["why"] for row in answer["not_raised"]} == {"past"}


def test_a_poison_that_was_eaten_decides_by_its_amount(clinic: Clinic) -> None:
    answer = clinic.triage({"text": "My 5 kg dog ate 200 g of dark chocolate", "jurisdiction": "UK"})

    assert answer["level"] == "emergency"
    assert "exposure-chocolate" in [row["id"] for row in answer["red_flags"]]
    assert {row["country"] for row in answer["contacts"]} == {"UK"}


def test_an_animal_nobody_knows_is_said_and_still_triaged(clinic: Clinic) -> None:
    answer = clinic.triage({"patient": {"species": "gryphon"}, "text": "it is having a seizure"})

    assert answer["covered"] is False
    assert answer["level"] == "emergency"
    assert answer["not_checked"][0]["why"] == "no_record_for_species"


def test_nothing_said_is_refused(clinic: Clinic) -> None:
    with pytest.raises(Invalid):
        clinic.triage({"patient": DOG})
