"""One shape of the patient, in and out; clinic words understood; what can't be true never computed with."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.base.errors import Invalid
from app.clinic import Clinic
from app.clinic.patient import Patient, PatientShape, normalise

TODAY = date(2026, 11, 21)
VALUE = "invalid_value"


def patient(small: Clinic, **fields: Any) -> Patient:
    return normalise(PatientShape.model_validate(fields), small.records, TODAY)


@pytest.mark.parametrize(
    ("fields", "want"),
    [
        ({"species": "Canine"}, {"species": "dog"}),
        ({"species": "K9"}, {"species": "dog"}),
        ({"species": "DSH"}, {"species": "cat", "breed": "Domestic Shorthair"}),
        ({"breed": "moggy"}, {"species": "cat", "breed": "Domestic Shorthair"}),
        ({"species": "dog", "breed": "Lassie"}, {"species": "dog", "breed": "Collie"}),
        ({"species": "gelding"}, {"species": "horse", "sex": "male", "neutered": True}),
        ({"species": "mare"}, {"species": "horse", "sex": "female", "neutered": None}),
        ({"species": "horse", "sex": "gelding"}, {"sex": "male", "neutered": True}),
        ({"sex": "MN"}, {"sex": "male", "neutered": True}),
        ({"sex": "FS"}, {"sex": "female", "neutered": True}),
        ({"sex": "Female, spayed"}, {"sex": "female", "neutered": True}),
        ({"sex": "MI"}, {"sex": "male", "neutered": False}),
        ({"sex": "f", "neutered": False}, {"sex": "female", "neutered": False}),
        ({"species": "griffin", "breed": "Collie"}, {"species": "griffin", "breed": "Collie"}),
    ],
)  # fmt: skip
def test_clinic_words_come_back_normalised(small: Clinic, fields: dict[str, Any], want: dict[str, Any]) -> None:
    shape = patient(small, **fields).shape

    assert want == {name: shape[name] for name in want}


@pytest.mark.parametrize(
    ("value", "unit", "kg"),
    [
        ("12", "kg", "12"),
        ("1200", "g", "1.2"),
        ("10", "lb", "4.5359237"),
        ("10", "lbs", "4.5359237"),
        ("10", "#", "4.5359237"),
        ("160", "oz", "4.5359237"),
        ("2", "st", "12.70058636"),
    ],
)
def test_weights_convert_exactly(small: Clinic, value: str, unit: str, kg: str) -> None:
    found = patient(small, species="dog", weight={"value": Decimal(value), "unit": unit})

    assert found.weight_kg == Decimal(kg)
    assert found.shape["weight"] == {"value": float(value), "unit": unit}
    assert found.shape["weight_kg"] == pytest.approx(float(kg), abs=1e-6)


@pytest.mark.parametrize(
    ("age", "months"),
    [((3, "years"), 36), ((3, "yo"), 36), ((5, "mo"), 5), ((8, "weeks"), 1.84), ((61, "days"), 2), ((1.5, "y"), 18)],
)
def test_ages_convert_to_months(small: Clinic, age: tuple[float, str], months: float) -> None:
    shape = patient(small, age={"value": age[0], "unit": age[1]}).shape

    assert shape["age_months"] == pytest.approx(months, abs=0.01)
    assert shape["age"]["unit"] == age[1]


def test_a_date_of_birth_gives_the_age_of_today(small: Clinic) -> None:
    assert round(patient(small, birth_date="2025-11-21").shape["age_months"]) == 12
    assert normalise(PatientShape.model_validate({"birth_date": "2025-11-21"}), small.records).age_months is None


@pytest.mark.parametrize("kg", [0.2, 300])
def test_a_weight_no_dog_has_is_asked_about_and_not_used(small: Clinic, kg: float) -> None:
    found = patient(small, species="dog", weight_kg=kg)

    assert found.weight_kg is None
    assert found.shape["weight_kg"] == kg
    assert found.needs[0]["field"] == "weight"


def test_a_weight_odd_for_the_breed_is_asked_about(small: Clinic) -> None:
    heavy = patient(small, species="dog", breed="Chihuahua", weight_kg=12)
    light = patient(small, species="dog", breed="Collie", weight_kg=5, age_months=40)
    young = patient(small, species="dog", breed="Collie", weight_kg=5, age_months=3)

    assert ("unusual for a Chihuahua" in heavy.needs[0]["why"], heavy.weight_kg) == (True, 12)
    assert light.needs[0]["field"] == "weight"
    assert young.needs == ()


def test_a_weight_without_a_species_is_kept(small: Clinic) -> None:
    found = patient(small, weight_kg=7)

    assert found.weight_kg == 7
    assert [row["field"] for row in found.needs] == ["species"]


def test_a_young_animals_word_asks_for_its_age(small: Clinic) -> None:
    assert [row["field"] for row in patient(small, species="puppy").needs] == ["age"]
    assert patient(small, species="puppy").juvenile
    assert patient(small, species="dog", age_months=30).juvenile is False


def test_a_breed_of_another_species_is_asked_about(small: Clinic) -> None:
    found = patient(small, species="cat", breed="Collie")

    assert found.breed is None
    assert found.needs[0]["field"] == "breed"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"sex": "perhaps"}, "patient.sex"),
        ({"age": {"value": 3, "unit": "moons"}}, "patient.age.unit"),
        ({"age": {"value": 3, "unit": "y"}, "age_months": 3}, "patient.age_months"),
        ({"birth_date": "2027-01-01"}, "patient.birth_date"),
        ({"age": {"value": 400, "unit": "years"}}, "patient.age.value"),
        ({"age_months": 5000}, "patient.age_months"),
        ({"weight": {"value": 1e-9, "unit": "oz"}}, "patient.weight.value"),
        ({"weight": {"value": 3, "unit": "mL"}}, "patient.weight.unit"),
        ({"weight": {"value": 3, "unit": "bananas"}}, "patient.weight.unit"),
        ({"weight": {"value": 3, "unit": "kg"}, "weight_kg": 4}, "patient.weight_kg"),
    ],
)
def test_what_nobody_can_read_is_refused_naming_the_field(small: Clinic, fields: dict[str, Any], param: str) -> None:
    with pytest.raises(Invalid) as caught:
        patient(small, **fields)

    assert caught.value.param == param


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        ({"patient": {"specie": "dog"}}, "patient.specie", "unknown_parameter"),
        ({"patient": {"weight_kg": "12"}}, "patient.weight_kg", VALUE),
        ({"patient": {"weight_kg": 0}}, "patient.weight_kg", VALUE),
        ({"patient": {"weight_kg": 1e-300}}, "patient.weight_kg", VALUE),
        ({"patient": {"weight_kg": True}}, "patient.weight_kg", VALUE),
        ({"patient": {"weight_kg": float("inf")}}, "patient.weight_kg", VALUE),
        ({"patient": {"neutered": "yes"}}, "patient.neutered", VALUE),
        ({"patient": {"weight": {"value": 3}}}, "patient.weight.unit", "missing_required_parameter"),
        ({"patient": {"medications": [{"name": "x", "amount": "1"}]}}, "patient.medications[0].amount", VALUE),
        ({"patient": {"medications": [3]}}, "patient.medications[0]", VALUE),
        ({"patient": {"birth_date": "yesterday"}}, "patient.birth_date", VALUE),
        ({"drugs": [""]}, "drugs[0]", VALUE),
        ({"jurisdiction": "FR"}, "jurisdiction", VALUE),
    ],
)  # fmt: skip
def test_a_wrong_field_is_named_by_its_path(small: Clinic, body: dict[str, Any], param: str, code: str) -> None:
    with pytest.raises(Invalid) as caught:
        small.check(body)

    assert (caught.value.param, caught.value.code) == (param, code)


def test_a_body_that_is_no_object_is_refused(small: Clinic) -> None:
    with pytest.raises(Invalid) as caught:
        small.check([])  # type: ignore[arg-type]

    assert caught.value.param is None


WHOLE = {
    "id": "p1",
    "name": "Rex",
    "species": "Canine",
    "breed": "lassie",
    "sex": "MN",
    "age": {"value": 3, "unit": "years"},
    "weight": {"value": 55.1, "unit": "lb", "measured_on": "2026-11-01"},
    "ideal_weight_kg": 22.5,
    "body_condition": {"score": 7, "scale": 9},
    "pregnant": False,
    "lactating": False,
    "genotype": [{"gene": "ABCB1", "result": "normal/normal"}],
    "food_producing": False,
    "production_class": "pet",
    "conditions": ["chronic kidney disease"],
    "allergies": ["alphadol"],
    "medications": ["betasone 20 mg SID", {"name": "alphadol", "amount": 25, "unit": "mg", "started_on": "2026-01-01"}],
}


def test_what_comes_out_is_accepted_unchanged(small: Clinic) -> None:
    once = patient(small, **WHOLE).shape
    again = patient(small, **once).shape

    assert once == again
    assert once["weight"] == WHOLE["weight"]
    assert once["medications"] == WHOLE["medications"]
    assert (once["age_months"], once["sex"], once["neutered"]) == (36, "male", True)
    assert small.check({"patient": once, "drugs": ["insulin 5 IU"]}, today=TODAY)["patient"] == once


@given(value=st.decimals("0.01", "500", places=2), unit=st.sampled_from(["kg", "g", "lb", "oz", "st"]))
def test_every_weight_survives_a_round_trip(small: Clinic, value: Decimal, unit: str) -> None:
    once = patient(small, species="dog", weight={"value": value, "unit": unit}).shape

    assert patient(small, **once).shape == once


def test_a_weight_of_nothing_in_a_text_is_no_fact(clinic: Clinic) -> None:
    assert clinic.extract({"text": "dog, 0 lb, ate chocolate"})["patient"]["weight_kg"] is None


def test_the_least_weight_survives_a_round_trip(small: Clinic) -> None:
    once = patient(small, species="dog", weight_kg=1e-9).shape

    assert patient(small, **once).shape == once


def test_unclear_genetic_results_count_as_carrying(small: Clinic) -> None:
    results = {"normal": False, "N/N": False, "mutant/normal": True, "M/M": True, "??": True}
    genes = {
        word: patient(small, genotype=[{"gene": "MDR1", "result": word}]).genes["mdr1"] for word in results
    }  # fmt: skip

    assert genes == results
