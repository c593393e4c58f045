"""Units of the laboratory: every way of writing one, and none taken for another."""

from __future__ import annotations

from decimal import Decimal

import pytest

from app.clinic.measures import can_be, in_own_unit, in_si, looks_like, read_unit
from app.clinic.records import Records

# analyte, value, unit, value in the analyte's own unit
WRITTEN = [
    ("creatinine", "3.1", "mg/dL", "3.1"),
    ("creatinine", "88.4", "µmol/L", "1"),
    ("creatinine", "88.4", "umol/l", "1"),
    ("creatinine", "88.4", "UMOL / L", "1"),
    ("creatinine", "0.0884", "mmol/L", "1"),
    ("glucose", "5.55", "mmol/L", "100"),
    ("glucose", "1", "g/L", "100"),
    ("total protein", "65", "g/L", "6.5"),
    ("albumin", "2.9", "G/DL", "2.9"),
    ("total calcium", "2.495", "mmol per L", "10"),
    ("potassium", "4.2", "mmol/L", "4.2"),
    ("wbc", "12500", "/uL", "12.5"),
    ("wbc", "12.5", "x10^9/L", "12.5"),
    ("wbc", "12.5", "10⁹/L", "12.5"),
    ("wbc", "12.5", "G/L", "12.5"),
    ("wbc", "12.5", "K/µL", "12.5"),
    ("wbc", "12.5", "10³/μL", "12.5"),
    ("wbc", "12500", "cells/mm3", "12.5"),
    ("rbc", "6", "T/L", "6"),
    ("rbc", "6", "M/uL", "6"),
    ("rbc", "6", "10¹²/L", "6"),
    ("pcv", "0.4", "L/L", "40"),
    ("pcv", "40", "percent", "40"),
    ("pco2", "5.332", "kPa", "40"),
    ("alt", "100", "IU/L", "100"),
    ("mcv", "70", "fL", "70"),
    ("prothrombin time", "8", "sec", "8"),
    ("serum phenobarbital", "25", "mg/L", "25"),
    ("blood ph", "7.3", "pH", "7.3"),
]


@pytest.mark.parametrize(("analyte", "value", "unit", "own"), WRITTEN)
def test_a_unit_is_read_as_people_write_it(records: Records, analyte: str, value: str, unit: str, own: str) -> None:
    found = in_own_unit(records.analytes[analyte], Decimal(value), unit)

    assert found is not None
    assert float(found) == pytest.approx(float(own))


@pytest.mark.parametrize(
    ("analyte", "unit"),
    [("creatinine", "mEq/L"), ("creatinine", "mg/kg"), ("alt", "mg/dL"), ("potassium", "mg/dL"), ("wbc", "g/dL"),
     ("pcv", "furlongs"), ("glucose", "mg/dL/h"), ("glucose", "mg/"), ("glucose", "/"), ("alt", "qmol/L")],
)  # fmt: skip
def test_a_unit_of_something_else_is_none(records: Records, analyte: str, unit: str) -> None:
    assert in_own_unit(records.analytes[analyte], Decimal(5), unit) is None


def test_urea_by_mass_is_not_urea_nitrogen(records: Records) -> None:
    urea = records.analytes["urea nitrogen"]
    by_mass = in_own_unit(urea, Decimal(60), "mg/dL", "urea")
    by_nitrogen = in_own_unit(urea, Decimal(60), "mg/dL", "BUN")
    in_mmol = in_own_unit(urea, Decimal(10), "mmol/L", "urea")

    assert by_mass is not None and by_nitrogen is not None and in_mmol is not None
    assert float(in_si(urea, by_mass)) == pytest.approx(9.99)
    assert float(in_si(urea, by_nitrogen)) == pytest.approx(21.42)
    assert float(in_si(urea, in_mmol)) == pytest.approx(10)


# analyte, value, unit given, the unit it surely was (None: can be true as given)
MEANT = [
    ("creatinine", 60, "mg/dL", "umol/L"),
    ("creatinine", 120, "mg/dL", "umol/L"),
    ("creatinine", 200, "mg/dL", "umol/L"),
    ("creatinine", 20, "mg/dL", None),
    ("creatinine", 1.2, "umol/L", "mg/dL"),
    ("glucose", 5, "mg/dL", "mmol/L"),
    ("glucose", 20, "mg/dL", None),
    ("glucose", 100, "mmol/L", "mg/dL"),
    ("glucose", 40, "mmol/L", None),
    ("total calcium", 2.5, "mg/dL", "mmol/L"),
    ("total calcium", 5, "mg/dL", None),
    ("total calcium", 10, "mmol/L", "mg/dL"),
    ("pcv", 45, "L/L", "%"),
    ("pcv", 0.45, "%", "L/L"),
    ("pcv", 8, "%", None),
    ("total protein", 65, "g/dL", "g/L"),
    ("total bilirubin", 25, "mg/dL", None),
    ("creatinine", 0, "mg/dL", None),
]


@pytest.mark.parametrize(("analyte", "value", "unit", "meant"), MEANT)
def test_a_value_in_the_wrong_unit_is_noticed(
    records: Records, analyte: str, value: float, unit: str, meant: str | None
) -> None:
    row = records.analytes[analyte]
    interval = next(one for one in row.intervals if one.species == "dog")
    own = in_own_unit(row, Decimal(str(value)), unit)

    assert own is not None
    assert looks_like(row, own, Decimal(str(value)), interval) == meant
    assert meant is None or not can_be(row, own, interval)


def test_every_unit_on_record_is_read(records: Records) -> None:
    for row in records.analytes.values():
        assert read_unit(row.unit) is not None, row.name
        assert read_unit(row.si_unit) is not None, row.name
        assert in_own_unit(row, Decimal(1), row.si_unit) is not None, row.name
