"""Doses worked out by hand from the records; rounding never adds; nothing above a maximum."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.base.errors import Invalid, NotFound
from app.clinic import Clinic, open_clinic
from app.clinic.dosing import Amount, read_strength, single_per_kg, surface_m2, tablets_for, volume_step
from app.clinic.words import describe_dose
from tests.clinic.made import ALPHA, DAILY, RULES, dose, write

HALVES = {"broken_into": "halves"}
DOG = {"species": "dog", "weight_kg": 10, "age_months": 40, "sex": "male"}


def rows(answer: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["id"]: row for row in answer["doses"]}


# drug, species, weight [kg], dose record, amount in its unit: each worked out from the figure that the record cites
KNOWN = [
    ("meloxicam", "dog", 12, "meloxicam-dog-po-maintenance", (1.2, 1.2, "mg")),
    ("meloxicam", "dog", 12, "meloxicam-dog-po-loading", (2.4, 2.4, "mg")),
    ("carprofen", "dog", 20, "carprofen-dog-po-q24", (88, 88, "mg")),
    ("carprofen", "dog", 20, "carprofen-dog-po-q12", (44, 44, "mg")),
    ("maropitant", "dog", 10, "maropitant-dog-sc", (10, 10, "mg")),
    ("flunixin", "cattle", 500, "flunixin-cattle-iv-daily", (550, 1100, "mg")),
    ("gabapentin", "cat", 4, "gabapentin-cat-po-previsit-capsule", (100, 100, "mg")),
    ("insulin_glargine", "cat", 4, "insulin-glargine-cat-sc-start-low", (1, 1, "[IU]")),
]


@pytest.mark.parametrize(("drug", "species", "kg", "record", "amount"), KNOWN)
def test_shipped_doses_come_out_as_the_labels_say(
    clinic: Clinic, drug: str, species: str, kg: float, record: str, amount: tuple[float, float, str]
) -> None:
    answer = clinic.dose(
        {
            "patient": {"species": species, "weight_kg": kg, "production_class": "beef"},
            "drug": drug,
            "jurisdiction": "US",
        }
    )
    row = rows(answer)[record]

    assert tuple(row["amount"].values()) == pytest.approx(amount)
    assert row["sources"][0]["url"].startswith("http")
    assert answer["covered"]


def test_one_call_gives_amount_volume_formula_and_source(small: Clinic) -> None:
    answer = small.dose(
        {"patient": DOG, "drug": "Alphavet", "route": "oral", "strength": {"value": 10, "unit": "mg/mL"}}
    )
    row = rows(answer)["alphadol-dog-po"]

    assert row["amount"] == {"min": 10, "max": 20, "unit": "mg"}
    assert (row["volume"]["min"], row["volume"]["max"], row["volume"]["unit"]) == (1, 2, "mL")
    assert row["per_kg"] == {"min": 1, "max": 2, "unit": "mg/kg"}
    assert row["frequency"] == "once a day"
    assert answer["calculation"]["inputs"] == {
        "weight_kg": 10,
        "weight_basis": "actual",
        "strength": {"value": 10, "unit": "mg/mL"},
    }
    assert answer["calculation"]["formula"] == "weight_kg x dose per kg"
    assert answer["sources"][0]["read_on"] == "2026-11-21"
    assert answer["ruleset"] == small.ruleset


def test_a_maximum_bites_and_says_so(small: Clinic) -> None:
    row = rows(small.dose({"patient": DOG | {"weight_kg": 40}, "drug": "alphadol"}))["alphadol-dog-po"]

    assert row["amount"] == {"min": 40, "max": 50, "unit": "mg"}
    assert row["capped"] == "not more than 50 mg"
    assert row["max_single"] == {"value": 50, "unit": "mg"}


def test_doses_per_animal_are_not_multiplied(small: Clinic) -> None:
    for kg in (2, 8):
        row = rows(small.dose({"patient": {"species": "cat", "weight_kg": kg}, "drug": "alphadol"}))["alphadol-cat-po"]
        assert row["amount"] == {"min": 5, "max": 5, "unit": "mg"}
        assert row["per_kg"] is None


def test_doses_per_surface_use_meehs_formula(small: Clinic) -> None:
    # 10 kg: 10 x 10000^(2/3) / 10000 = 0.46416 m2; x 30 mg/m2 = 13.925 mg
    row = rows(small.dose({"patient": DOG, "drug": "betasone", "indication": "tumour"}))["betasone-dog-surface"]

    assert surface_m2(Decimal(8), Decimal(10)) == pytest.approx(Decimal("0.4"))
    assert row["amount"]["max"] == pytest.approx(13.9247, abs=1e-3)
    assert row["per_m2"] == {"min": 30, "max": 30, "unit": "mg/m2"}


def test_a_bare_weight_stands_for_a_body_without_a_surface(small: Clinic) -> None:
    records = small.records.drugs["betasone"].doses

    assert single_per_kg(records[0], Decimal(10), "mg") == (2, 2)
    assert single_per_kg(records[1], Decimal(10), "mg") is None


def test_without_a_surface_formula_a_dose_per_surface_is_not_computed(small: Clinic) -> None:
    answer = small.dose({"patient": {"species": "cat", "weight_kg": 4}, "drug": "betasone"})

    assert rows(answer)["betasone-cat-surface"]["amount"] is None
    assert "no-surface-formula" in [row["rule"] for row in answer["warnings"]]


def test_a_dose_a_day_is_divided_over_its_administrations(small: Clinic) -> None:
    answer = small.dose(
        {
            "patient": {"species": "horse", "weight_kg": 500},
            "drug": "alphadol",
            "strength": {"value": 500, "unit": "mg/mL"},
        }
    )
    row = rows(answer)["alphadol-horse-po"]

    assert row["amount"] == {"min": 2000, "max": 2000, "unit": "mg"}
    assert row["per_administration"] == {"min": 1000, "max": 1000, "unit": "mg"}
    assert row["volume"]["max"] == 2
    assert row["per"] == "day"


def test_an_infusion_is_given_per_time(small: Clinic) -> None:
    answer = small.dose(
        {"patient": DOG, "drug": "alphadol", "route": "IV", "strength": {"value": 10, "unit": "mg/mL"}}
    )  # fmt: skip
    row = rows(answer)["alphadol-dog-iv"]

    assert row["amount"] == {"min": 100, "max": 100, "unit": "ug/min"}
    assert (row["basis"], row["frequency"]) == ("cri", "continuous infusion")
    assert row["volume"] == {"min": 0.01, "max": 0.01, "unit": "mL/min", "strength": {"value": 10, "unit": "mg/mL"}}


def test_a_dose_in_millilitres_needs_no_strength(small: Clinic) -> None:
    row = rows(small.dose({"patient": DOG, "drug": "liquidol"}))["liquidol-dog"]

    assert row["volume"] == {"min": 20, "max": 40, "unit": "mL"}
    assert row["frequency"] == "every 8 to 12 hours"


def test_too_little_to_draw_up_says_dilute(small: Clinic) -> None:
    answer = small.dose({"patient": DOG, "drug": "insulin", "strength": {"value": 10000, "unit": "IU/mL"}})

    assert rows(answer)["insulin-dog"]["volume"]["note"] == "too little to draw up: dilute"


def test_a_strength_of_another_kind_gives_no_volume(small: Clinic) -> None:
    assert rows(small.dose({"patient": DOG, "drug": "insulin", "strength": {"value": 10, "unit": "mg/mL"}}))[
        "insulin-dog"
    ]["volume"] is None  # fmt: skip


@pytest.mark.parametrize(
    ("value", "unit", "want"),
    [
        ("1.5", "mg/mL", ("1.5", "mg", True)),
        ("250", "mg/5 mL", ("50", "mg", True)),
        ("2", "%", ("20", "mg", True)),
        ("1", "g/L", ("0.001", "g", True)),
        ("100", "mg", ("100", "mg", False)),
        ("40", "U/mL", ("40", "[IU]", True)),
    ],
)
def test_strengths_are_read_as_written(value: str, unit: str, want: tuple[str, str, bool]) -> None:
    strength = read_strength(Decimal(value), unit)

    assert strength is not None
    assert (strength.value, strength.unit, strength.per_ml) == (Decimal(want[0]), want[1], want[2])


@pytest.mark.parametrize("unit", ["bananas", "mg/0 mL", "xx/5 mL", "mL", "mg/kg"])
def test_what_is_no_strength_is_refused(small: Clinic, unit: str) -> None:
    with pytest.raises(Invalid) as caught:
        small.dose({"patient": DOG, "drug": "alphadol", "strength": {"value": 1, "unit": unit}})

    assert caught.value.param == "strength.unit"


@pytest.mark.parametrize(
    ("amount", "strength", "pieces", "minimum", "want"),
    [
        # range 10-20 mg, 25 mg tablets: halves give 12.5 mg, whole ones none
        (("10", "20"), "25", 2, False, ("0.5", "12.5", True)),
        (("10", "20"), "25", 1, False, None),
        (("10", "20"), "5", 1, False, ("4", "20", True)),
        # exactly 15 mg: quarters of 20 mg give 15
        (("15", "15"), "20", 4, False, ("0.75", "15", True)),
        # rounding never adds: 15 mg in halves of 20 is 10, outside
        (("15", "15"), "20", 2, False, ("0.5", "10", False)),
        # 2.49 kg x 0.5 mg/kg = 1.247 mg is a tablet of 1.25 mg; 1.22 mg, 2.5 % less, is not
        (("1.247", "1.247"), "1.25", 1, False, ("1", "1.25", True)),
        (("1.22", "1.22"), "1.25", 1, False, None),
        # a least dose of 15 is rounded up
        (("15", "15"), "20", 1, True, ("1", "20", True)),
        # more than 20 tablets is no answer
        (("500", "500"), "10", 1, False, None),
    ],
)
def test_tablets_are_counted_without_adding(
    amount: tuple[str, str], strength: str, pieces: int, minimum: bool, want: tuple[str, str, bool] | None
) -> None:
    found = tablets_for(Amount(Decimal(amount[0]), Decimal(amount[1]), "mg", ""), Decimal(strength), pieces, minimum)

    if want is None:
        assert found is None
    else:
        assert found is not None
        assert (found.count, found.amount, found.fits) == (Decimal(want[0]), Decimal(want[1]), want[2])


def test_a_maximum_is_never_rounded_over() -> None:
    for capped, bounded in (("100 mg", False), ("", True)):
        amount = Amount(Decimal(10), Decimal("99.9"), "mg", "", capped)
        found = tablets_for(amount, Decimal(50), 1, minimum=False, bounded=bounded)

        assert found is not None
        assert found.amount == 50


def test_amounts_that_are_no_mass_have_no_tablets() -> None:
    assert tablets_for(Amount(Decimal(1), Decimal(1), "[IU]", ""), Decimal(5), 1, minimum=False) is None


def test_tablets_break_only_as_the_record_says(small: Clinic) -> None:
    body = {"patient": DOG, "drug": "alphadol", "route": "PO"}
    recorded = rows(small.dose(body))["alphadol-dog-po"]["tablets"]
    unknown = rows(small.dose(body | {"tablet_strengths_mg": [7, 15]}))["alphadol-dog-po"]["tablets"]
    at_hand = rows(small.dose(body | {"strength": {"value": 25, "unit": "mg"}}))["alphadol-dog-po"]["tablets"]

    assert recorded == at_hand == [
        {"strength_mg": 25, "count": 0.5, "amount_mg": 12.5, "in_range": True, "percent_of_dose": 62} | HALVES
    ]  # fmt: skip
    assert [(row["strength_mg"], row["count"], row["broken_into"]) for row in unknown] == [
        (15, 1, "whole only"),
        (7, 2, "whole only"),
    ]


def test_a_least_dose_is_rounded_up_to_the_quarter(small: Clinic) -> None:
    row = rows(small.dose({"patient": DOG | {"weight_kg": 7}, "drug": "betasone"}))["betasone-dog-po"]

    assert (row["kind"], row["tablets"][0]["count"], row["tablets"][0]["amount_mg"]) == ("minimum", 0.75, 15)
    assert "least dose" in row["rounding"]


def test_without_a_weight_the_range_per_kg_stands_and_the_weight_is_asked(small: Clinic) -> None:
    answer = small.dose({"patient": {"species": "dog"}, "drug": "alphadol", "route": "PO"})
    row = rows(answer)["alphadol-dog-po"]

    assert (row["amount"], row["volume"], row["tablets"]) == (None, None, [])
    assert row["per_kg"] == {"min": 1, "max": 2, "unit": "mg/kg"}
    assert {"weight", "jurisdiction"} <= {need["field"] for need in answer["needs"]}


def test_a_weight_that_can_not_be_true_gives_no_amount(small: Clinic) -> None:
    answer = small.dose({"patient": {"species": "dog", "weight_kg": 900}, "drug": "alphadol", "route": "PO"})

    assert rows(answer)["alphadol-dog-po"]["amount"] is None
    assert "outside" in answer["needs"][0]["why"]


def test_ideal_weight_is_used_only_when_known(small: Clinic) -> None:
    body = {"drug": "alphadol", "route": "PO", "weight_basis": "ideal"}
    known = small.dose({**body, "patient": DOG | {"ideal_weight_kg": 8}})
    unknown = small.dose({**body, "patient": DOG})

    assert rows(known)["alphadol-dog-po"]["amount"]["max"] == 16
    assert rows(unknown)["alphadol-dog-po"]["amount"] is None
    assert "ideal_weight_kg" in [need["field"] for need in unknown["needs"]]


def test_an_unverified_dose_warns_and_is_never_shown(small: Clinic) -> None:
    answer = small.dose({"patient": DOG, "drug": "alphadol", "route": "SC"})

    assert answer["doses"] == []
    assert [row["rule"] for row in answer["warnings"]] == ["unverified-dose"]


def test_a_forbidden_dose_is_withheld_and_the_rule_says_why(tmp_path: Path) -> None:
    iv = dose("alphadol-cat-iv", "cat", 'min = 1, max = 1, unit = "mg/kg"', DAILY, route='"IV"')
    answer = open_clinic(write(tmp_path, drugs__alphadol=ALPHA + iv)).dose(
        {"patient": {"species": "cat", "weight_kg": 4}, "drug": "alphadol"}
    )

    assert list(rows(answer)) == ["alphadol-cat-po"]
    assert "alphadol-cat" in [row["rule"] for row in answer["warnings"]]


def test_a_rule_of_high_severity_marks_the_dose_not_advised(small: Clinic) -> None:
    answer = small.dose({"patient": DOG | {"age_months": 2}, "drug": "alphadol", "route": "PO"})

    assert rows(answer)["alphadol-dog-po"]["advised"] is False
    assert "alphadol-young" in rows(answer)["alphadol-dog-po"]["rules"]


@pytest.mark.parametrize(("unit", "most"), [("mg/kg", 15), ("mg", 12)])
def test_a_rules_limit_lowers_the_dose(tmp_path: Path, unit: str, most: float) -> None:
    limit = RULES.replace(
        'limit = { value = 3, unit = "mg/kg" }',
        f'limit = {{ value = {1.5 if unit == "mg/kg" else 12}, unit = "{unit}" }}',
    )
    small = open_clinic(write(tmp_path, rules__all=limit))
    row = rows(small.dose({"patient": DOG, "drug": "betasone", "route": "PO"}))["betasone-dog-po"]

    assert row["amount"]["max"] == most
    assert row["capped"] == "rule betasone-limit"
    assert rows(small.dose({"patient": {"species": "dog"}, "drug": "betasone"}))["betasone-dog-po"]["amount"] is None


def test_a_medication_it_takes_already_is_weighed_in(small: Clinic) -> None:
    answer = small.dose({"patient": DOG | {"medications": ["betasone 20 mg"]}, "drug": "alphadol", "route": "PO"})

    assert answer["doses"] == []
    assert answer["warnings"][0]["rule"] == "two-nsaids"
    assert answer["warnings"][0]["drugs"] == ["alphadol", "betasone"]


@pytest.mark.parametrize(
    ("figure", "rule", "severity"),
    [
        (1.5, "dose-within-range", "info"),
        (0.5, "dose-below-range", "info"),
        (0.1, "dose-tenth", "moderate"),
        (2.5, "dose-above-range", "moderate"),
        (3.5, "dose-above-range", "high"),
        (20, "dose-tenfold", "absolute"),
        ({"value": 1500, "unit": "ug/kg"}, "dose-within-range", "info"),
        ({"value": 0.68, "unit": "mg/lb"}, "dose-within-range", "info"),
    ],
)
def test_my_own_figure_is_checked(small: Clinic, figure: Any, rule: str, severity: str) -> None:
    answer = small.dose(
        {"patient": {"species": "dog", "weight_kg": 10}, "drug": "alphadol", "route": "PO", "per_kg": figure}
    )

    assert (answer["warnings"][0]["rule"], answer["warnings"][0]["severity"]) == (rule, severity)


def test_my_own_figure_of_another_kind_is_not_checked_or_refused(small: Clinic) -> None:
    body = {"patient": DOG, "drug": "alphadol", "route": "PO"}

    answer = small.dose({**body, "per_kg": {"value": 3, "unit": "IU/kg"}})
    assert answer["not_checked"][-1]["why"] == "not_comparable"
    with pytest.raises(Invalid):
        small.dose({**body, "per_kg": {"value": 3, "unit": "mg"}})


@pytest.mark.parametrize(
    ("patient", "jurisdiction", "want"),
    [
        ({"production_class": "beef"}, "US", {"meat_d": 4, "milk_h": None}),
        ({"production_class": "beef"}, "UK", {"meat_d": None, "milk_h": None}),
        ({}, None, {"meat_d": 4, "milk_h": None}),
    ],
)
def test_food_animals_always_get_a_withdrawal_or_a_why(
    small: Clinic, patient: dict[str, Any], jurisdiction: str | None, want: dict[str, Any]
) -> None:
    cow = {"species": "cow", "weight_kg": 500, **patient}
    row = rows(small.dose({"patient": cow, "drug": "alphadol", "jurisdiction": jurisdiction}))["alphadol-cattle-iv"]

    assert want == {name: row["withdrawal"][name] for name in want}
    assert row["withdrawal"]["why"]
    assert row["labelled_here"] == {"US": True, "UK": False, None: None}[jurisdiction]


def test_withdrawal_is_null_with_a_why_where_none_is_on_record(tmp_path: Path) -> None:
    extra = dose("alphadol-cattle-po", "cattle", 'min = 1, max = 1, unit = "mg/kg"',
                 DAILY + "\nwithdrawal = { meat_d = 9, milk_h = 9 }", status='"extra_label"')  # fmt: skip
    small = open_clinic(write(tmp_path, drugs__alphadol=ALPHA + extra))
    cow = {"species": "cattle", "weight_kg": 500}

    assert rows(small.dose({"patient": cow, "drug": "betasone"}))["betasone-cattle-po"]["withdrawal"]["meat_d"] is None
    assert (
        "extra-label"
        in rows(small.dose({"patient": cow, "drug": "alphadol"}))["alphadol-cattle-po"]["withdrawal"]["why"]
    )


def test_a_pet_has_no_withdrawal_and_a_horse_for_slaughter_has(small: Clinic) -> None:
    horse = {"species": "horse", "weight_kg": 500, "production_class": "slaughter", "food_producing": True}

    assert rows(small.dose({"patient": DOG, "drug": "liquidol"}))["liquidol-dog"]["withdrawal"] is None
    assert small.dose({"patient": horse, "drug": "alphadol", "jurisdiction": "US"})["doses"] == []
    row = rows(small.dose({"patient": horse, "drug": "alphadol", "jurisdiction": "UK"}))["alphadol-horse-po"]
    assert row["withdrawal"]["why"]


@pytest.mark.parametrize(
    ("body", "why", "near"),
    [
        ({"patient": {"species": "dog"}, "drug": "alfadole"}, "unknown_drug", ["alphadol"]),
        ({"patient": {"species": "canin"}, "drug": "alphadol"}, "unknown_species", ["dog"]),
        ({"drug": "alphadol"}, "missing_species", []),
        ({"patient": {"species": "cat"}, "drug": "insulin"}, "no_record_for_species", []),
        ({"patient": {"species": "cat"}, "drug": "gammaline"}, "no_record_for_species", []),
    ],
)
def test_what_is_not_covered_says_so_with_the_nearest_names(
    small: Clinic, body: dict[str, Any], why: str, near: list[str]
) -> None:
    answer = small.dose(body)

    assert answer["covered"] is False
    assert answer["doses"] == []
    assert answer["not_checked"][0]["why"] == why
    assert answer["nearest"] == near


def test_other_routes_and_uses_are_not_passed_off(small: Clinic) -> None:
    routed = small.dose({"patient": DOG, "drug": "alphadol", "route": "TOP"})
    used = small.dose({"patient": DOG, "drug": "alphadol", "route": "PO", "indication": "gout"})

    assert routed["doses"] == []
    assert routed["not_checked"][0]["why"] == "no_record_for_route"
    assert used["not_checked"][0]["why"] == "no_record_for_indication"
    assert list(rows(used)) == ["alphadol-dog-po"]


def test_life_stages_and_classes_that_contradict_are_left_out(small: Clinic) -> None:
    grown = rows(small.dose({"patient": DOG, "drug": "betasone", "route": "PO"}))
    young = rows(small.dose({"patient": {"species": "puppy", "weight_kg": 3}, "drug": "betasone", "route": "PO"}))
    dairy = small.dose({"patient": {"species": "cow", "production_class": "dairy"}, "drug": "alphadol"})

    assert set(grown) == {"betasone-dog-po"}
    assert set(young) == {"betasone-dog-po", "betasone-puppy-po"}
    assert dairy["doses"] == []


def test_a_brand_of_two_drugs_gives_the_doses_of_both(small: Clinic) -> None:
    answer = small.dose({"patient": DOG, "drug": "Duo", "route": "PO"})

    assert answer["drugs"] == ["alphadol", "betasone"]
    assert {"alphadol-dog-po", "betasone-dog-po"} == set(rows(answer))
    assert answer["controlled"] is True


def test_free_words_name_drug_patient_and_strength(clinic: Clinic) -> None:
    answer = clinic.dose(
        {"text": "How much meloxicam 1.5 mg/mL for my 12 kg dog?", "jurisdiction": "US", "route": "PO"}
    )

    assert (answer["drug"], answer["patient"]["species"], answer["patient"]["weight_kg"]) == ("meloxicam", "dog", 12)
    assert rows(answer)["meloxicam-dog-po-maintenance"]["volume"]["max"] == 0.8


def test_a_drug_has_to_be_named(small: Clinic) -> None:
    with pytest.raises(Invalid) as caught:
        small.dose({"patient": DOG})

    assert (caught.value.param, caught.value.code) == ("drug", "missing_required_parameter")


def test_a_written_line_as_the_drug_is_read(small: Clinic) -> None:
    assert small.dose({"patient": DOG, "drug": "alphadol 25 mg"})["drug"] == "alphadol"


KG = st.decimals("0.5", "110", places=2)


@given(kg=KG, more=st.decimals("0", "20", places=2))
def test_a_heavier_dog_never_gets_less_and_never_above_the_maximum(small: Clinic, kg: Decimal, more: Decimal) -> None:
    heavier = min(kg + more, Decimal(110))
    low, high = (
        rows(small.dose({"patient": {"species": "dog", "weight_kg": weight}, "drug": "alphadol"}))["alphadol-dog-po"]
        for weight in (kg, heavier)
    )

    assert low["amount"]["max"] <= high["amount"]["max"] <= 50
    assert low["amount"]["min"] <= low["amount"]["max"]
    assert all(row["amount_mg"] <= low["amount"]["max"] for row in low["tablets"])


@given(kg=st.decimals("0.6", "109", places=2))
def test_pounds_and_kilograms_give_the_same_dose(small: Clinic, kg: Decimal) -> None:
    def most(weight: dict[str, Any]) -> float:
        patient = {"species": "dog", "weight": weight}
        found: float = rows(small.dose({"patient": patient, "drug": "alphadol"}))["alphadol-dog-po"]["amount"]["max"]
        return found

    pounds = kg / Decimal("0.45359237")

    assert most({"value": float(kg), "unit": "kg"}) == pytest.approx(
        most({"value": float(pounds), "unit": "lb"}), rel=1e-5
    )


@given(mg=st.decimals("0.01", "5000", places=3), strength=st.decimals("0.1", "500", places=2))
def test_a_volume_never_holds_more_than_the_amount(mg: Decimal, strength: Decimal) -> None:
    found = read_strength(strength, "mg/mL")
    assert found is not None
    volume = volume_step(mg / found.value)

    assert mg - strength / 100 < volume * strength <= mg


@given(
    low=st.integers(1, 400), wide=st.integers(0, 200), strength=st.integers(1, 200), pieces=st.sampled_from([1, 2, 4])
)
def test_tablets_never_hold_a_fiftieth_more_than_the_range(low: int, wide: int, strength: int, pieces: int) -> None:
    amount = Amount(Decimal(low), Decimal(low + wide), "mg", "")
    found = tablets_for(amount, Decimal(strength), pieces, minimum=False)

    assert found is None or found.amount <= amount.max * Decimal("1.02")
    assert found is None or found.count * pieces == int(found.count * pieces)


def test_every_shipped_dose_can_be_asked_for(clinic: Clinic) -> None:
    """Every recorded dose computes for a middling animal, and no answer lacks a source."""
    kg = {"dog": 15, "cat": 4, "rabbit": 2, "horse": 450, "cattle": 500}
    for name, row in clinic.records.species.items():
        kg.setdefault(name, float((row.weight_kg.min * row.weight_kg.max).sqrt()))
    for drug in clinic.records.drugs.values():
        for species in {row.species for row in drug.doses}:
            answer = clinic.dose({"patient": {"species": species, "weight_kg": kg[species]}, "drug": drug.generic})
            for row in answer["doses"]:
                assert row["sources"], row["id"]
                assert row["amount"] is not None or row["basis"] == "per_m2", row["id"]
                assert row["amount"] is None or row["amount"]["max"] >= row["amount"]["min"], row["id"]
                if species == "cattle":
                    assert row["withdrawal"] is not None, row["id"]
            assert describe_dose(answer)


def test_lists_name_everything_on_record(clinic: Clinic, small: Clinic) -> None:
    assert {"dog", "cat"} <= {row["name"] for row in clinic.species()}
    assert [row["name"] for row in small.breeds("canine")] == ["Collie", "Chihuahua"]
    assert len(small.breeds()) == 3
    assert "gammaline" not in [row["name"] for row in small.drugs()]
    assert small.drug("Alphavet")["name"] == "alphadol"
    assert small.drug("alphadol")["doses"][0]["id"] == "alphadol-dog-po"
    assert small.toxins()[0]["thresholds"]
    assert small.analytes()[0]["intervals"][0]["critical_high"] == 5
    with pytest.raises(NotFound, match="alphadol"):
        small.drug("alphadole")
    with pytest.raises(NotFound):
        small.drug("gammaline")
    with pytest.raises(NotFound):
        small.breeds("unicorn")


def test_dose_in_words_names_amount_warning_and_source(small: Clinic) -> None:
    words = describe_dose(
        small.dose({"patient": DOG | {"age_months": 2}, "drug": "alphadol", "strength": {"value": 10, "unit": "mg/mL"}})
    )
    cow = describe_dose(small.dose({"patient": {"species": "cow", "weight_kg": 500}, "drug": "alphadol"}))
    cat = describe_dose(small.dose({"patient": {"species": "cat"}, "drug": "alphadol"}))
    horse = describe_dose(small.dose({"patient": {"species": "horse", "weight_kg": 500}, "drug": "alphadol"}))

    assert "10 to 20 mg (1 to 2 mg/kg), once a day" in words
    assert "volume 1 to 2 mL" in words
    assert "NOT ADVISED: alphadol-young" in words
    assert "! high: Not under 3 months." in words
    assert "T <https://example.org/t>, read 2026-11-21" in words
    assert "meat_d 4" in cow
    assert "5 mg (per animal)" in cat
    assert "2000 mg a day" in horse
    assert "Did you mean: alphadol?" in describe_dose(small.dose({"patient": DOG, "drug": "alfadole"}))


def test_of_the_tablets_above_a_least_dose_only_those_near_it_are_offered(clinic: Clinic) -> None:
    """A 160 mg tablet also reaches the 40 mg of a 20 kg dog, fourfold."""
    answer = clinic.dose({"drug": "maropitant", "patient": {"species": "dog", "weight_kg": 20, "age_months": 24}})
    (row,) = [row for row in answer["doses"] if row["id"] == "maropitant-dog-po"]

    assert [(one["strength_mg"], one["count"]) for one in row["tablets"] if one["in_range"]] == [
        (24, 2),
        (16, 3),
        (60, 1),
    ]
    assert [one["strength_mg"] for one in row["tablets"] if not one["in_range"]] == [160]


@pytest.mark.parametrize(("species", "told"), [("cat", True), ("rabbit", False)])
def test_a_margin_that_is_narrow_in_cats_is_no_rabbits_concern(clinic: Clinic, species: str, told: bool) -> None:
    answer = clinic.dose({"drug": "meloxicam", "patient": {"species": species, "weight_kg": 3}})

    assert bool(answer["narrow"]) == told


@pytest.mark.parametrize(
    ("more", "shown"),
    [
        ({}, False),
        ({"indication": "generalised demodicosis"}, True),
        ({"patient": {"species": "dog", "weight_kg": 20, "conditions": ["demodicosis"]}}, True),
    ],
)
def test_a_dose_ten_times_the_usual_one_is_only_shown_for_its_use(
    clinic: Clinic, more: dict[str, Any], shown: bool
) -> None:
    asked = {"patient": {"species": "dog", "weight_kg": 20}, "drug": "ivermectin", "route": "PO"}
    answer = clinic.dose({**asked, **more})

    assert ("ivermectin-dog-po-demodicosis" in rows(answer)) is shown
    assert any(row["why"] == "indication_needed" for row in answer["not_checked"]) is not shown
