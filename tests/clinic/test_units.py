"""Units as clinics write them, exact between each other."""

from __future__ import annotations

from decimal import Decimal

import pytest

from app.clinic.units import canonical, convert, fold, number, shown, spelt


@pytest.mark.parametrize(
    ("value", "unit", "to", "want"),
    [
        ("1", "lb", "kg", "0.45359237"),
        ("16", "oz", "lb", "1"),
        ("1", "st", "lb", "14"),
        ("1", "mg/lb", "mg/kg", "2.204622621848775807229738013"),
        ("500", "mcg/kg", "mg/kg", "0.5"),
        ("1", "mg/kg/h", "ug/kg/min", "16.66666666666666666666666667"),
        ("1", "gr", "mg", "64.79891"),
    ],
)
def test_factors_are_exact(value: str, unit: str, to: str, want: str) -> None:
    assert convert(Decimal(value), unit, to) == Decimal(want)


def test_units_that_measure_different_things_do_not_convert() -> None:
    assert convert(Decimal(1), "mg", "mL") is None
    assert convert(Decimal(1), "mg/kg", "mg") is None
    assert convert(Decimal(1), "bananas", "mg") is None


@pytest.mark.parametrize(
    ("written", "unit"),
    [
        ("MCG/KG", "ug/kg"),
        ("cc", "mL"),
        ("U/kg", "[IU]/kg"),
        ("grams", "g"),
        ("#", "lb"),
        ("mg / kg", "mg/kg"),
        ("x", None),
    ],
)
def test_clinic_words_for_units_are_known(written: str, unit: str | None) -> None:
    assert canonical(written) == unit


def test_names_fold_to_one_form() -> None:
    assert fold("  Amoxicillin-Clavulanate\u00ae ") == "amoxicillin clavulanate"
    assert fold("Ringer\u2019s") == fold("Ringer's") == "ringers"
    assert fold("Caf\u00c9") == "cafe"


@pytest.mark.parametrize(
    ("value", "text"), [("0", "0"), ("0.0123456", "0.01235"), ("123456", "123456"), ("10.0", "10"), ("2.50", "2.5")]
)
def test_figures_for_people_are_short(value: str, text: str) -> None:
    assert shown(Decimal(value)) == text


def test_whole_figures_have_no_point() -> None:
    assert repr(number(Decimal("12.0"))) == "12"
    assert repr(number(Decimal("1.20"))) == "1.2"


def test_people_read_mcg() -> None:
    assert spelt("ug/kg") == "mcg/kg"
    assert spelt("[IU]") == "IU"
