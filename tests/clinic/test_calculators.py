"""Calculators: worked examples, guideline limits at their edges, hard negatives, and that any numbers get an answer."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import Any

import pytest

from app.base.errors import Invalid
from app.clinic import Clinic
from app.clinic.calculators import ALL, calculate
from app.clinic.formulas import Coefficient, Formulas
from app.clinic.patient import PatientShape, normalise
from app.clinic.words import describe_calculate

DOG, CAT, HORSE = {"species": "dog"}, {"species": "cat"}, {"species": "horse"}
DOG_20 = {"species": "dog", "weight_kg": 20}
SODIUM = {"sodium": 120, "sodium_wanted": 140, "body_water_fraction": 0.6}


def ask(clinic: Clinic, calculator: str, inputs: dict[str, Any], patient: dict[str, Any] | None = None) -> Any:
    return clinic.calculate({"calculator": calculator, "inputs": inputs, "patient": patient or {}})


def result(answer: Any) -> tuple[Any, Any]:
    return (answer["result"]["value"], answer["result"]["unit"]) if answer["result"] else (None, None)


def named(answer: Any, name: str) -> Any:
    return next(row["value"] for row in answer["results"] if row["name"] == name)


# calculator, patient, inputs, value, unit: each worked out by hand from the formula that its source prints
WORKED: list[tuple[str, dict[str, Any], dict[str, Any], Any, str]] = [
    ("dose", DOG_20, {"dose": "4.4 mg/kg"}, 88, "mg"),
    ("dose", DOG_20, {"dose": {"value": 2, "unit": "mg/lb"}}, 88.1849, "mg"),
    ("dose", DOG_20, {"dose": "30 mg/m2"}, 22.3252, "mg"),  # 10.1 x 20000^(2/3) / 10000 = 0.744174 m2
    ("dose", {"species": "cat"}, {"dose": "5 mg"}, 5, "mg"),
    ("cri", DOG_20, {"dose": "50 ug/kg/min", "strength": "20 mg/mL"}, 3, "mL/h"),  # lidocaine 2 %: 60 mg/h
    ("cri", DOG_20, {"dose": "50 ug/kg/min", "strength": {"value": 2, "unit": "%"}}, 3, "mL/h"),
    ("cri", {"species": "dog", "weight_kg": 10}, {"dose": "5 mcg/kg/min", "strength": "2 mg/mL"}, 1.5, "mL/h"),
    ("cri", DOG_20, {"dose": "0.1 mg/kg/h"}, 2, "mg/h"),
    ("cri", {}, {"dose": "10 mg/h", "strength": "5 mg/mL"}, 2, "mL/h"),
    ("cri_bag", DOG_20, {"dose": "1 mg/kg/day", "bag_ml": 1000, "rate_ml_per_h": 50}, 16.6667, "mg"),
    ("cri_bag", DOG_20, {"dose": "1 mg/kg/d", "bag_ml": {"value": 1, "unit": "L"}, "rate_ml_per_h": 50}, 16.6667, "mg"),
    ("body_surface", {"species": "dog", "weight_kg": 10}, {}, 0.4688, "m2"),
    ("body_surface", {"species": "rabbit", "weight_kg": 2}, {}, 0.174613, "m2"),
    ("body_surface", {"species": "horse", "weight_kg": 500}, {"k": 10}, 6.29961, "m2"),
    ("drip_rate", {}, {"rate_ml_per_h": 60, "drops_per_ml": 15}, 15, "drops/min"),
    ("fluid_plan", {"species": "dog", "weight_kg": 10},
     {"dehydration_percent": 8, "replace_over_h": 24, "maintenance_ml_per_kg_day": 48, "losses_ml_per_day": 240},
     63.3333, "mL/h"),
    # AAHA/AAFP 2013: 132 (dog) or 80 (cat) x 16^0.75 = 8; the deficit of none adds nothing
    ("fluid_plan", {"species": "dog", "weight_kg": 16}, {"dehydration_percent": 0, "replace_over_h": 24}, 44, "mL/h"),
    ("fluid_plan", {"species": "cat", "weight_kg": 16}, {"dehydration_percent": 0, "replace_over_h": 24}, 26.6667,
     "mL/h"),
    # MSD: 50 mL/kg/24 h x 500 kg = 25 L; 8 % x 500 kg = 40 L
    ("fluid_plan", {"species": "horse", "weight_kg": 500}, {"dehydration_percent": 8, "replace_over_h": 24}, 2708.33,
     "mL/h"),
    # Navarre: 1 mL/lb/h, so a calf of 50 kg needs 110 mL/h (2.2 mL/kg/h)
    ("fluid_plan", {"species": "cattle", "weight_kg": 50}, {"dehydration_percent": 0, "replace_over_h": 24}, 110,
     "mL/h"),
    ("fluid_plan", {"species": "african grey", "weight_kg": 0.48}, {"dehydration_percent": 0, "replace_over_h": 24}, 1,
     "mL/h"),
    ("shock_bolus", {"species": "horse", "weight_kg": 500}, {}, 10000, "mL"),  # dvm360: 10 L for an average horse
    ("shock_bolus", {"species": "rabbit", "weight_kg": 2}, {}, 20, "mL"),
    ("shock_bolus", {"species": "cat", "weight_kg": 4}, {}, 50, "mL"),  # AAHA/AAFP 2013: a quarter of 50 mL/kg
    ("shock_bolus", DOG_20, {}, 400, "mL"),
    ("potassium", {"species": "dog", "weight_kg": 10},
     {"bag_ml": 1000, "rate_ml_per_h": 50, "target_meq_per_l": 40}, 0.2, "mEq/kg/h"),
    ("energy", {"species": "dog", "weight_kg": 16}, {"coefficient": 70, "exponent": 0.75, "factor": 1.5}, 840,
     "kcal/day"),
    ("energy", {"species": "dog", "weight_kg": 16}, {}, 560, "kcal/day"),
    ("energy", {"species": "cat", "weight_kg": 5}, {"factor": 1.2}, 280.869, "kcal/day"),
    ("blood_volume", {"species": "cat", "weight_kg": 4}, {"blood_ml_per_kg": 60}, 240, "mL"),
    ("blood_volume", {"species": "cat", "weight_kg": 4.5}, {}, 252, "mL"),  # MUSC prints 252 mL for this cat
    ("blood_volume", {"species": "rabbit", "weight_kg": 3.2}, {}, 179.2, "mL"),  # MUSC: 180 mL
    ("blood_volume", {"species": "pig", "weight_kg": 110}, {}, 7150, "mL"),  # Montana State prints 7.15 L
    ("blood_volume", {"species": "cattle", "weight_kg": 520}, {}, 31200, "mL"),  # Montana State: 31.2 L
    ("blood_volume", {"species": "chicken", "weight_kg": 2.5}, {}, 150, "mL"),  # Montana State: 150 mL
    # 11.6 x 356^(2/3) = 582.7 cm2; the study measured 580 cm2 on average
    ("body_surface", {"species": "bearded dragon", "weight_kg": 0.356}, {}, 0.0582673, "m2"),
    ("transfusion", {"species": "goat", "weight_kg": 50}, {"pcv": 10, "pcv_wanted": 20, "pcv_donor": 40}, 950, "mL"),
    ("transfusion", DOG_20, {"pcv": 10, "pcv_wanted": 25, "pcv_donor": 50, "blood_ml_per_kg": 80}, 480, "mL"),
    ("transfusion", DOG_20, {"pcv": "0.1 L/L", "pcv_wanted": 25, "pcv_donor": 50, "blood_ml_per_kg": 80}, 480, "mL"),
    ("shock_index", DOG, {"heart_rate": 160, "systolic_pressure": 80}, 2, "ratio"),
    ("sodium_deficit", DOG_20, {"sodium": 115, "sodium_wanted": 125, "body_water_fraction": 0.5}, 100, "mEq"),
    ("sodium_deficit", DOG_20, {"sodium": 115, "sodium_wanted": 125}, 120, "mEq"),
    ("free_water_deficit", DOG_20, {"sodium": 180, "sodium_wanted": 150, "body_water_fraction": 0.6}, 2.4, "L"),
    ("sodium_potassium_ratio", DOG, {"sodium": 130, "potassium": 6.5}, 20, "ratio"),
    ("sodium_potassium_ratio", DOG, {"sodium": "130 mmol/L", "potassium": "6.5 mmol/L"}, 20, "ratio"),
    ("albumin_globulin_ratio", CAT, {"albumin": 2.1, "total_protein": 9.3}, 0.291667, "ratio"),
    ("albumin_globulin_ratio", CAT, {"albumin": "21 g/L", "globulin": "72 g/L"}, 0.291667, "ratio"),
    ("anion_gap", DOG, {"sodium": 145, "potassium": 4, "chloride": 105, "bicarbonate": 12}, 32, "mEq/L"),
    ("osmolality", DOG, {"sodium": 145, "glucose": 90, "urea_nitrogen": 14}, 300, "mOsm/kg"),
    ("corrected_sodium", DOG, {"sodium": 138, "glucose": 500, "normal_glucose": 100}, 144.4, "mEq/L"),
    ("corrected_sodium", CAT, {"sodium": 150, "glucose": 90}, 150, "mEq/L"),
    ("calcium_phosphorus_product", CAT, {"total_calcium": 12, "phosphorus": 7}, 84, "mg2/dL2"),
    # eClinpath: absolute (10*3/uL) = % x red cells (10*6/uL) x 10
    ("absolute_reticulocytes", DOG, {"reticulocyte_percent": 5, "rbc": 3}, 150, "10*3/uL"),
    ("corrected_reticulocytes", DOG, {"reticulocyte_percent": 6, "pcv": 15, "normal_pcv": 45}, 2, "%"),
    ("upc", DOG, {"urine_protein": 150, "urine_creatinine": 200}, 0.75, "ratio"),
    ("upc", DOG, {"urine_protein": "1.5 g/L", "urine_creatinine": "17680 umol/L"}, 0.75, "ratio"),
    ("unit_conversion", {}, {"value": 120, "from": "umol/L", "to": "mg/dL", "analyte": "creatinine"}, 1.35747, "mg/dL"),
    ("unit_conversion", {}, {"value": 100, "from": "mg/dL", "to": "mmol/L", "analyte": "urea"}, 16.65, "mmol/L"),
    ("unit_conversion", {}, {"value": 100, "from": "mg/dL", "to": "mmol/L", "analyte": "BUN"}, 35.7, "mmol/L"),
    ("unit_conversion", {}, {"value": 103.1, "from": "F", "to": "C"}, 39.5, "C"),
    ("unit_conversion", {}, {"value": -40, "from": "Cel", "to": "fahrenheit"}, -40, "fahrenheit"),
    ("unit_conversion", {}, {"value": 26.5, "from": "lb", "to": "kg"}, 12.0202, "kg"),
    ("unit_conversion", {}, {"value": 5, "from": "mmol/L", "to": "umol/L"}, 5000, "umol/L"),
]  # fmt: skip


@pytest.mark.parametrize(("calculator", "patient", "inputs", "value", "unit"), WORKED)
def test_a_worked_example_comes_out(
    clinic: Clinic, calculator: str, patient: dict[str, Any], inputs: dict[str, Any], value: float, unit: str
) -> None:
    answer = ask(clinic, calculator, inputs, patient)

    assert result(answer) == (pytest.approx(value, rel=1e-5), unit)
    assert answer["formula"]
    assert answer["steps"]


# species, inputs, stage: IRIS 2019 at the edges of its bands, in both unit systems, and where the two disagree
STAGES: list[tuple[str, dict[str, Any], str]] = [
    ("dog", {"creatinine": 1.3}, "1"),
    ("dog", {"creatinine": 1.4}, "2"),
    ("dog", {"creatinine": 2.8}, "2"),
    ("dog", {"creatinine": 2.9}, "3"),
    ("dog", {"creatinine": 5.0}, "3"),
    ("dog", {"creatinine": 5.1}, "4"),
    ("dog", {"creatinine": "124 umol/L"}, "1"),
    ("dog", {"creatinine": "125 umol/L"}, "2"),
    ("dog", {"creatinine": "181 umol/L"}, "2"),  # the limit of 2017 and before would say 3
    ("dog", {"creatinine": "251 umol/L"}, "3"),
    ("dog", {"creatinine": "441 umol/L"}, "4"),
    ("cat", {"creatinine": 1.5}, "1"),
    ("cat", {"creatinine": "140 umol/L"}, "2"),
    ("cat", {"creatinine": 2.9}, "3"),
    ("cat", {"sdma": 17}, "1"),
    ("cat", {"sdma": 25}, "2"),
    ("cat", {"sdma": 26}, "3"),
    ("cat", {"sdma": 39}, "4"),
    ("dog", {"sdma": 35}, "2"),
    ("dog", {"sdma": 36}, "3"),
    ("dog", {"sdma": 55}, "4"),
    ("dog", {"creatinine": 1.2, "sdma": 20}, "2"),
    ("dog", {"creatinine": 2.5, "sdma": 40}, "3"),
    ("cat", {"creatinine": 4.0, "sdma": 45}, "4"),
    ("cat", {"creatinine": 4.0, "sdma": 20}, "3"),
]


@pytest.mark.parametrize(("species", "inputs", "stage"), STAGES)
def test_an_iris_stage_is_the_guidelines(clinic: Clinic, species: str, inputs: dict[str, Any], stage: str) -> None:
    answer = ask(clinic, "iris_ckd", inputs, {"species": species})

    assert answer["result"]["label"] == f"IRIS stage {stage}"
    assert any("stable" in row["field"] for row in answer["needs"])
    assert answer["sources"]


def test_iris_asks_for_what_a_whole_stage_needs_and_says_what_disagrees(clinic: Clinic) -> None:
    apart = ask(clinic, "iris_ckd", {"creatinine": 1.2, "sdma": 60, "stable": True}, DOG)
    lower = ask(clinic, "iris_ckd", {"creatinine": 4, "sdma": 20, "stable": True}, CAT)
    nothing = ask(clinic, "iris_ckd", {"stable": True}, CAT)
    unnamed = ask(clinic, "iris_ckd", {"creatinine": 4})
    horse = ask(clinic, "iris_ckd", {"creatinine": 4, "sdma": 30, "upc": 1}, HORSE)
    whole = ask(clinic, "iris_ckd", {"creatinine": 2, "upc": 0.5, "systolic_pressure": 185, "stable": True}, DOG)

    assert any("more than one stage apart" in note for note in apart["notes"])
    assert any("staged by creatinine" in note for note in lower["notes"])
    assert nothing["result"] is None
    assert nothing["needs"][0]["field"] == "inputs.creatinine"
    assert [row["field"] for row in unnamed["needs"]] == ["species"]
    assert (horse["covered"], horse["result"]) == (False, None)
    assert [row["why"] for row in horse["not_checked"]] == ["no_record_for_species"] * 3
    assert whole["needs"] == []
    assert "upc: borderline proteinuric" in whole["notes"]
    assert any(note.startswith("systolic pressure: severely hypertensive") for note in whole["notes"])
    assert any("proteinuria that persists" in note for note in whole["notes"])
    assert whole["not_checked"] == [{"text": "SDMA (the graver of the two decides)", "why": "missing_value"}]


# of, value, species, label: UPC sub-stages at their edges
@pytest.mark.parametrize(
    ("species", "protein", "label"),
    [("dog", 19, "non-proteinuric"), ("dog", 20, "borderline proteinuric"), ("dog", 50, "borderline proteinuric"),
     ("dog", 51, "proteinuric"), ("cat", 40, "borderline proteinuric"), ("cat", 41, "proteinuric")],
)  # fmt: skip
def test_proteinuria_is_sub_staged(clinic: Clinic, species: str, protein: int, label: str) -> None:
    answer = ask(clinic, "upc", {"urine_protein": protein, "urine_creatinine": 100}, {"species": species})

    assert f"upc: {label}" in answer["notes"]


# species, gravity, creatinine, what is said
@pytest.mark.parametrize(
    ("species", "gravity", "creatinine", "said"),
    [
        ("dog", 1.035, 4, "prerenal likely"),
        ("dog", 1.030, 4, "renal likely"),
        ("dog", 1.010, 4, "isosthenuric urine: renal likely"),
        ("dog", 1.004, 4, "diluted urine: renal likely"),
        ("cat", 1.033, 4, "partly concentrated urine: renal likely"),
        ("cat", 1.040, 4, "prerenal likely"),
        ("horse", 1.027, 4, "prerenal likely"),
        ("cattle", 1.020, 4, "renal likely"),
    ],
)
def test_an_azotaemia_is_classed_by_gravity(
    clinic: Clinic, species: str, gravity: float, creatinine: float, said: str
) -> None:
    inputs = {"urine_specific_gravity": gravity, "creatinine": creatinine}
    answer = ask(clinic, "azotaemia", inputs, {"species": species})

    assert answer["result"]["value"].endswith(said)
    assert answer["urgency"] == "urgent"


def test_no_azotaemia_no_species_and_no_value_are_said(clinic: Clinic) -> None:
    normal = ask(clinic, "azotaemia", {"urine_specific_gravity": 1.010, "urea_nitrogen": 15}, DOG)
    alone = ask(clinic, "azotaemia", {"urine_specific_gravity": 1.010}, DOG)
    unnamed = ask(clinic, "azotaemia", {"urine_specific_gravity": 1.010, "creatinine": 4})

    assert normal["notes"] == ["No azotaemia in what was given."]
    assert alone["needs"][0]["field"] == "inputs.creatinine"
    assert unnamed["covered"] is False


def test_ratios_say_what_they_mean_only_for_the_species_their_limits_come_from(clinic: Clinic) -> None:
    low = ask(clinic, "sodium_potassium_ratio", {"sodium": 130, "potassium": 6.5}, DOG)
    normal = ask(clinic, "sodium_potassium_ratio", {"sodium": 145, "potassium": 4.5}, DOG)
    cat = ask(clinic, "sodium_potassium_ratio", {"sodium": 130, "potassium": 6.5}, CAT)
    gap = ask(clinic, "anion_gap", {"sodium": 145, "potassium": 4, "chloride": 105, "bicarbonate": 12}, DOG)
    slip = ask(clinic, "anion_gap", {"sodium": 110, "potassium": 4, "chloride": 145, "bicarbonate": 12}, DOG)
    pig = ask(clinic, "anion_gap", {"sodium": 145, "potassium": 4, "chloride": 105, "bicarbonate": 12})

    assert low["urgency"] == "urgent"
    assert "hypoadrenocorticism" in low["notes"][0]
    assert normal["urgency"] is None
    assert "not ruled out" in normal["notes"][0]
    assert cat["not_checked"] == [{"text": "ratio of cat", "why": "no_record_for_species"}]
    assert gap["notes"][0].startswith("above 17 to 27 mEq/L")
    assert slip["needs"][0]["field"] == "inputs.chloride"
    assert pig["not_checked"][0]["text"] == "anion gap of an unnamed species"


def test_a_gap_to_measured_osmolality_speaks_of_ethylene_glycol(clinic: Clinic) -> None:
    inputs = {"sodium": 145, "glucose": 90, "urea_nitrogen": 14, "measured": 345}
    answer = ask(clinic, "osmolality", inputs, DOG)

    assert named(answer, "osmolality gap") == 45
    assert answer["notes"][0].startswith("above 0 to 10")
    assert "ethylene glycol" in answer["notes"][1]


def test_globulin_that_can_not_be_is_asked(clinic: Clinic) -> None:
    missing = ask(clinic, "albumin_globulin_ratio", {"albumin": 3}, DOG)
    absurd = ask(clinic, "albumin_globulin_ratio", {"albumin": 5, "total_protein": 4}, DOG)

    assert (missing["result"], missing["needs"][0]["field"]) == (None, "inputs.globulin")
    assert (absurd["result"], absurd["needs"][0]["field"]) == (None, "inputs.total_protein")


def test_calcium_is_not_corrected(clinic: Clinic) -> None:
    answer = ask(clinic, "corrected_calcium", {"total_calcium": 8.5, "albumin": 1.9}, DOG)

    assert answer["result"] is None
    assert "not recommended" in answer["notes"][0]
    assert answer["sources"]


# species, % and red cells, label
@pytest.mark.parametrize(
    ("species", "percent", "rbc", "label"),
    [("dog", 1, 9.2, "none or inadequate"), ("dog", 5, 3, "equivocal"), ("dog", 10, 3.5, "marked"),
     ("cat", 2, 3, "none or inadequate"), ("cat", 3, 3, "mild"), ("horse", 3, 3, None), ("rabbit", 3, 3, None)],
)  # fmt: skip
def test_regeneration_is_graded(clinic: Clinic, species: str, percent: float, rbc: float, label: str | None) -> None:
    answer = ask(clinic, "absolute_reticulocytes", {"reticulocyte_percent": percent, "rbc": rbc}, {"species": species})

    assert answer["result"].get("label") == label
    assert species != "horse" or any("even in severe anaemia" in note for note in answer["notes"])


def test_tablets_are_broken_only_where_they_may_be(clinic: Clinic) -> None:
    whole = ask(clinic, "dose", {"dose": "5 mg/kg", "strength": "75 mg"}, {"species": "dog", "weight_kg": 25})
    halves = ask(
        clinic, "dose", {"dose": "5 mg/kg", "strength": "75 mg", "pieces": 2}, {"species": "dog", "weight_kg": 25}
    )
    small = ask(clinic, "dose", {"dose": "1 mg/kg", "strength": "75 mg"}, {"species": "cat", "weight_kg": 4})
    units = ask(clinic, "dose", {"dose": "1 IU/kg", "strength": "75 IU"}, {"species": "cat", "weight_kg": 4})
    other = ask(clinic, "dose", {"dose": "1 mg/kg", "strength": "40 IU/mL"}, {"species": "cat", "weight_kg": 4})

    assert named(whole, "tablets") == 1
    assert (named(halves, "tablets"), named(halves, "given with them")) == (1.5, 112.5)
    assert {"text": "tablets of 75 mg", "why": "no_piece_fits"} in small["not_checked"]
    assert {"text": "tablets of 75 IU", "why": "not_comparable"} in units["not_checked"]
    assert other["not_checked"][0]["why"] == "not_comparable"


def test_a_volume_is_rounded_down(clinic: Clinic) -> None:
    answer = ask(clinic, "dose", {"dose": "0.333 mg/kg", "strength": "1 mg/mL"}, {"species": "cat", "weight_kg": 4.04})

    assert named(answer, "volume, rounded down to 0.01 mL") == 1.34


def test_a_bag_that_can_not_hold_the_drug_is_refused(clinic: Clinic) -> None:
    inputs = {"dose": "1 mg/kg/h", "bag_ml": 100, "rate_ml_per_h": 1, "strength": "10 mg/mL"}
    full = ask(clinic, "cri_bag", inputs, DOG_20)
    good = ask(clinic, "cri_bag", {**inputs, "rate_ml_per_h": 50, "strength": "10 mg/mL"}, DOG_20)
    tablet = ask(clinic, "cri_bag", {**inputs, "strength": "10 mg"}, DOG_20)
    unweighed = ask(clinic, "cri_bag", inputs, DOG)

    assert full["result"] is None
    assert full["needs"][0]["field"] == "inputs.bag_ml"
    assert named(good, "volume to add") == 4
    assert tablet["not_checked"][0]["why"] == "not_comparable"
    assert unweighed["needs"][0]["field"] == "inputs.weight_kg"


def test_an_infusion_asks_for_what_it_lacks(clinic: Clinic) -> None:
    unweighed = ask(clinic, "cri", {"dose": "5 ug/kg/min"}, DOG)
    tablet = ask(clinic, "cri", {"dose": "5 ug/kg/min", "strength": "10 mg"}, DOG_20)
    daily = ask(clinic, "dose", {"dose": "5 mg/kg"}, DOG)

    assert unweighed["needs"][0]["field"] == "inputs.weight_kg"
    assert tablet["not_checked"][0]["why"] == "not_comparable"
    assert (daily["result"], daily["needs"][0]["field"]) == (None, "inputs.weight_kg")


# calculator, patient, inputs, the input asked for: a coefficient nobody read a source for is never assumed
@pytest.mark.parametrize(
    ("calculator", "inputs", "asked"),
    [
        ("fluid_plan", {"dehydration_percent": 5, "replace_over_h": 12}, "inputs.maintenance_ml_per_kg_day"),
        ("energy", {}, "inputs.coefficient"),
        ("blood_volume", {}, "inputs.blood_ml_per_kg"),
        ("transfusion", {"pcv": 10, "pcv_wanted": 25, "pcv_donor": 50}, "inputs.blood_ml_per_kg"),
        ("sodium_deficit", {"sodium": 120, "sodium_wanted": 140}, "inputs.body_water_fraction"),
    ],
)
def test_a_figure_without_a_source_is_asked_for(
    clinic: Clinic, calculator: str, inputs: dict[str, Any], asked: str
) -> None:
    answer = ask(clinic, calculator, inputs, {"species": "deer", "weight_kg": 40})

    assert answer["result"] is None
    assert answer["needs"][0]["field"] == asked
    assert answer["not_checked"][0]["why"] == "no_sourced_figure"


def test_potassium_is_held_against_the_limit_and_never_passes_without_one(clinic: Clinic) -> None:
    patient = {"species": "dog", "weight_kg": 5}
    inputs = {"bag_ml": 500, "rate_ml_per_h": 80, "target_meq_per_l": 60, "present_meq_per_l": 4}
    unknown = ask(clinic, "potassium", inputs, {"species": "goat", "weight_kg": 5})
    recorded = ask(clinic, "potassium", inputs, patient)
    fast = ask(clinic, "potassium", {**inputs, "limit_meq_per_kg_h": 0.4, "strength": "2 mEq/mL"}, patient)
    good = ask(clinic, "potassium", {**inputs, "rate_ml_per_h": 10, "limit_meq_per_kg_h": 0.4}, patient)
    backwards = ask(clinic, "potassium", {**inputs, "present_meq_per_l": 80}, patient)
    salt = ask(clinic, "potassium", {**inputs, "strength": "2 mmol/mL"}, patient)

    assert any("NOT checked" in note for note in unknown["notes"])
    assert {"text": "potassium maximum rate", "why": "no_sourced_figure"} in unknown["not_checked"]
    assert recorded["urgency"] == "emergency"  # 0.96 mEq/kg/h
    assert named(recorded, "fastest rate of this fluid") == 41.6  # 0.5 x 5 / 0.06
    assert recorded["sources"]
    assert (named(fast, "to add"), named(fast, "volume to add")) == (28, 14)
    assert named(fast, "fastest rate of this fluid") == 33.3
    assert fast["urgency"] == "emergency"
    assert any(note.startswith("TOO FAST") for note in fast["notes"])
    assert good["urgency"] is None
    assert backwards["needs"][0]["field"] == "inputs.present_meq_per_l"
    assert named(salt, "volume to add") == 14


# calculator, inputs, field: what can't be true is asked again, not computed
@pytest.mark.parametrize(
    ("calculator", "inputs", "field"),
    [
        ("transfusion", {"pcv": 30, "pcv_wanted": 25, "pcv_donor": 40, "blood_ml_per_kg": 80}, "inputs.pcv_wanted"),
        ("transfusion", {"pcv": 10, "pcv_wanted": 45, "pcv_donor": 40, "blood_ml_per_kg": 80}, "inputs.pcv_wanted"),
        ("fluid_plan", {"dehydration_percent": 60, "replace_over_h": 12}, "inputs.dehydration_percent"),
        ("energy", {"coefficient": 70, "exponent": 3}, "inputs.exponent"),
        ("energy", {"coefficient": 70, "exponent": 0.75}, "inputs.factor"),
        ("sodium_deficit", {**SODIUM, "sodium": 145}, "inputs.sodium_wanted"),
        ("sodium_deficit", {**SODIUM, "body_water_fraction": 60}, "inputs.body_water_fraction"),
        ("free_water_deficit", SODIUM, "inputs.sodium_wanted"),
        ("free_water_deficit", {**SODIUM, "body_water_fraction": 1}, "inputs.body_water_fraction"),
        ("dose", {"dose": "5 mg/kg", "weight_kg": 500}, "inputs.weight_kg"),
        ("iris_ckd", {"creatinine": 120}, "inputs.creatinine"),
        ("unit_conversion", {"value": 5, "from": "mg/dL", "to": "mmol/L"}, "inputs.analyte"),
        ("corrected_reticulocytes", {"reticulocyte_percent": 5, "pcv": 20}, "inputs.normal_pcv"),
    ],
)  # fmt: skip
def test_what_can_not_be_is_asked_again(clinic: Clinic, calculator: str, inputs: dict[str, Any], field: str) -> None:
    answer = ask(clinic, calculator, inputs, DOG_20)

    assert field in [row["field"] for row in answer["needs"]]


def test_surface_is_not_guessed_for_a_species_without_a_constant(clinic: Clinic) -> None:
    cat = ask(clinic, "body_surface", {}, {"species": "cat", "weight_kg": 4})
    unnamed = ask(clinic, "body_surface", {"weight_kg": 4})
    dose = ask(clinic, "dose", {"dose": "30 mg/m2"}, {"species": "cat", "weight_kg": 4})

    assert (cat["covered"], cat["result"], cat["needs"][0]["field"]) == (False, None, "inputs.k")
    assert (unnamed["covered"], unnamed["result"]) == (True, None)
    assert dose["result"] is None


def test_shock_volume_is_known_for_dogs_and_cats_only(clinic: Clinic) -> None:
    snake = ask(clinic, "shock_bolus", {}, {"species": "snake", "weight_kg": 2})
    horse = ask(clinic, "shock_bolus", {}, {"species": "horse", "weight_kg": 500})
    cat = ask(clinic, "shock_bolus", {}, {"species": "cat", "weight_kg": 4})

    assert (snake["covered"], snake["result"]) == (False, None)
    assert horse["results"] == []
    assert horse["not_checked"] == [{"text": "whole shock volume", "why": "no_sourced_figure"}]
    assert named(cat, "whole shock volume") == 200
    assert cat["sources"]


def test_sodium_is_given_the_time_that_it_needs(clinic: Clinic) -> None:
    high = ask(clinic, "free_water_deficit", {"sodium": 175, "sodium_wanted": 155}, DOG_20)
    low = ask(clinic, "sodium_deficit", {"sodium": 110, "sodium_wanted": 135}, {"species": "cat", "weight_kg": 4})
    horse = ask(clinic, "sodium_deficit", SODIUM, {"species": "horse", "weight_kg": 500})

    assert named(high, "least time for it") == 40  # 20 mEq/L at 0.5 mEq/L an hour
    assert named(low, "least time for it") == 60  # 25 mEq/L at 10 mEq/L a day
    assert high["not_checked"] == low["not_checked"] == []
    assert horse["results"] == []
    assert horse["not_checked"] == [{"text": "safe speed of change", "why": "no_sourced_figure"}]


def test_the_resuscitation_sheet_gives_low_dose_epinephrine_from_the_records(clinic: Clinic) -> None:
    dog = ask(clinic, "cpr", {}, DOG_20)
    cat = ask(clinic, "cpr", {}, {"species": "cat"})
    unnamed = ask(clinic, "cpr", {})
    rabbit = ask(clinic, "cpr", {}, {"species": "snake", "weight_kg": 2})
    rows = {row["drug"]: row for row in dog["rows"]}

    assert rows["epinephrine"]["amount"] == {"min": 0.2, "max": 0.2, "unit": "mg"}
    assert rows["epinephrine"]["volumes"][0]["volume"] == {"value": 0.2, "unit": "mL"}
    assert rows["epinephrine"]["sources"]
    assert "lidocaine" in rows
    assert "amiodarone" not in rows
    assert "lidocaine" not in {row["drug"] for row in cat["rows"]}
    assert all(row["amount"] is None for row in cat["rows"])
    assert cat["needs"][0]["field"] == "inputs.weight_kg"
    assert unnamed["needs"][0]["field"] == "species"
    assert (rabbit["covered"], rabbit["rows"]) == (False, [])
    assert any("high-dose" in note for note in dog["notes"])
    assert any("100 to 120" in note for note in dog["notes"])
    assert [(row["name"], row["value"]) for row in dog["results"]] == [
        ("shock biphasic least", 40), ("shock biphasic most", 80), ("shock monophasic least", 80),
        ("shock monophasic most", 120),
    ]  # fmt: skip
    assert cat["results"] == []
    assert len(dog["notes"]) == len(set(dog["notes"]))
    assert dog["not_checked"] == []
    assert dog["urgency"] == "emergency"


# species, heart rate over a pressure of 100, what is said: the cut-offs of Peterson 2013 (dog) and Fadel 2025 (cat)
@pytest.mark.parametrize(
    ("species", "heart", "label"),
    [("dog", 90, "not above the cut-off"), ("dog", 91, "above the cut-off"), ("cat", 154, "not above the cut-off"),
     ("cat", 155, "above the cut-off"), ("horse", 60, None)],
)  # fmt: skip
def test_a_shock_index_is_held_against_the_species_cut_off(
    clinic: Clinic, species: str, heart: int, label: str | None
) -> None:
    answer = ask(clinic, "shock_index", {"heart_rate": heart, "systolic_pressure": 100}, {"species": species})

    assert answer["result"].get("label") == label
    assert bool(answer["sources"]) is (label is not None)


def test_energy_without_a_factor_shows_every_life_stage_on_record_and_asks(clinic: Clinic) -> None:
    answer = ask(clinic, "energy", {}, {"species": "cat", "weight_kg": 16})

    assert result(answer) == (560, "kcal/day")
    assert named(answer, "neutered adult (x 1.2)") == 672
    assert named(answer, "growth (x 2.5)") == 1400
    assert "inputs.factor" in [row["field"] for row in answer["needs"]]


def test_conversions_that_can_not_be_are_not_covered(clinic: Clinic) -> None:
    unknown = ask(clinic, "unit_conversion", {"value": 5, "from": "mg/dL", "to": "mmol/L", "analyte": "unobtainium"})
    unit = ask(clinic, "unit_conversion", {"value": 5, "from": "kg", "to": "mmol/L", "analyte": "glucose"})

    assert (unknown["covered"], unknown["not_checked"][0]["why"]) == (False, "unknown_analyte")
    assert (unit["covered"], unit["not_checked"][0]["why"]) == (False, "unknown_unit")


def test_normal_glucose_is_asked_where_the_species_has_none(clinic: Clinic) -> None:
    snake = ask(clinic, "corrected_sodium", {"sodium": 140, "glucose": 500}, {"species": "axolotl"})
    dog = ask(clinic, "corrected_sodium", {"sodium": 140, "glucose": 500}, DOG)

    assert snake["needs"][0]["field"] == "inputs.normal_glucose"
    assert "upper limit for the species" in dog["notes"][0]


# inputs of `dose`, the field that is refused
@pytest.mark.parametrize(
    ("calculator", "inputs", "param"),
    [
        ("dose", {"colour": 1}, "inputs.colour"),
        ("dose", {"dose": "five"}, "inputs.dose"),
        ("dose", {"dose": 5}, "inputs.dose.unit"),
        ("dose", {"dose": "5 mg/kg/min"}, "inputs.dose.unit"),
        ("cri", {"dose": "5 mg/kg"}, "inputs.dose.unit"),
        ("dose", {"dose": {"value": 5, "unit": "mg/kg", "per": 1}}, "inputs.dose.per"),
        ("dose", {"dose": {"value": 5, "unit": 3}}, "inputs.dose.unit"),
        ("dose", {"dose": [5]}, "inputs.dose"),
        ("dose", {"dose": True}, "inputs.dose"),
        ("dose", {"dose": "-5 mg/kg"}, "inputs.dose"),
        ("dose", {"dose": "0 mg/kg"}, "inputs.dose"),
        ("dose", {"dose": "5 mg/kg", "weight_kg": 1e-12}, "inputs.weight_kg"),
        ("dose", {"dose": "5 mg/kg", "weight_kg": 1e30}, "inputs.weight_kg"),
        ("dose", {"dose": "5 mg/kg", "weight_kg": float("nan")}, "inputs.weight_kg"),
        ("dose", {"dose": "5 mg/kg", "weight_kg": "20 mL"}, "inputs.weight_kg.unit"),
        ("dose", {"dose": "5 mg/kg", "weight_kg": 10**5000}, "inputs.weight_kg"),
        ("dose", {"dose": "5 mg/kg", "strength": "20 furlongs"}, "inputs.strength.unit"),
        ("dose", {"dose": "5 mg/kg", "pieces": 3}, "inputs.pieces"),
        ("iris_ckd", {"stable": "yes"}, "inputs.stable"),
        ("iris_ckd", {"creatinine": "5 furlongs"}, "inputs.creatinine.unit"),
        ("unit_conversion", {"value": 5, "from": 3}, "inputs.from"),
        ("unit_conversion", {"value": 5, "from": "x" * 300}, "inputs.from"),
    ],
)
def test_a_wrong_input_is_refused_by_name(clinic: Clinic, calculator: str, inputs: dict[str, Any], param: str) -> None:
    with pytest.raises(Invalid) as error:
        ask(clinic, calculator, inputs, DOG_20)

    assert error.value.param == param


def test_an_unknown_calculator_is_refused_with_the_nearest_names(clinic: Clinic) -> None:
    with pytest.raises(Invalid, match="anion_gap") as error:
        ask(clinic, "anion gaps", {})
    with pytest.raises(Invalid, match="There are: dose, cri"):
        ask(clinic, "zzzzzz", {})

    assert error.value.param == "calculator"
    assert ask(clinic, "IRIS CKD", {"creatinine": 2}, CAT)["calculator"] == "iris_ckd"


@pytest.mark.parametrize("name", ["osmolality", "corrected_sodium", "absolute_reticulocytes", "corrected_calcium"])
def test_without_its_figures_on_record_a_formula_is_not_covered(small: Clinic, name: str) -> None:
    answer = ask(small, name, dict(ALL[name].example), DOG)

    assert (answer["covered"], answer["result"]) == (False, None)


def test_a_ratio_without_limits_on_record_is_not_judged(small: Clinic) -> None:
    answer = ask(small, "sodium_potassium_ratio", {"sodium": 130, "potassium": 6.5}, DOG)

    assert answer["result"]["value"] == 20
    assert answer["not_checked"][0]["why"] == "no_record_for_species"


def test_a_figure_that_comes_on_record_is_used_with_its_source(clinic: Clinic) -> None:
    """The day somebody reads a maintenance rate at its source, the plan takes it without a change of code."""
    source = clinic.records.analytes["creatinine"].factor_sources
    rows = {
        "fluid-maintenance": (
            Coefficient("fluid-maintenance", ("dog",), Decimal(40), "mL/kg/d", "By weight.", source),
        ),
        "cpr-compressions": (Coefficient("cpr-compressions", (), None, "", "Compress.", source),),
    }
    patient = normalise(PatientShape.model_validate({"species": "dog", "weight_kg": 10}), clinic.records)
    inputs = {"dehydration_percent": 0, "replace_over_h": 24}
    plan = calculate(ALL["fluid_plan"], inputs, patient, clinic.records, Formulas(coefficients=rows))
    sheet = calculate(ALL["cpr"], {}, patient, clinic.records, Formulas(coefficients=rows))

    assert plan["result"] == {"value": 16.6667, "unit": "mL/h"}
    assert plan["notes"][0] == "By weight."
    assert plan["sources"][0]["title"] == source[0].title
    assert "Compress." in sheet["notes"]
    assert sheet["not_checked"] == []
    bare = calculate(ALL["cpr"], {}, patient, clinic.records, Formulas())
    assert [row["why"] for row in bare["not_checked"]] == ["no_sourced_figure"]


def test_values_are_read_from_words(clinic: Clinic) -> None:
    text = "8 kg dog, Na 128 mmol/L, K 7.1 mmol/L"
    answer = clinic.calculate({"calculator": "sodium_potassium_ratio", "text": text})

    assert result(answer) == (pytest.approx(18.0282, rel=1e-4), "ratio")
    assert answer["patient"]["weight_kg"] == 8


def test_a_person_can_read_it(clinic: Clinic) -> None:
    sheet = describe_calculate(ask(clinic, "cpr", {}, DOG_20))
    unweighed = describe_calculate(ask(clinic, "cpr", {}, DOG))
    stage = describe_calculate(ask(clinic, "iris_ckd", {"creatinine": 4}, CAT))
    gap = describe_calculate(ask(clinic, "upc", {"urine_protein": 30, "urine_creatinine": 100}, CAT))
    asked = describe_calculate(ask(clinic, "energy", {}, {"species": "deer", "weight_kg": 40}))
    regenerates = describe_calculate(ask(clinic, "absolute_reticulocytes", {"reticulocyte_percent": 9, "rbc": 3}, DOG))

    assert "- epinephrine IV: 0.2 mg = 0.2 mL of 1 mg/mL, every 3 to 5 minutes" in sheet
    assert "- epinephrine IV: not computed" in unweighed
    assert "IRIS stage of chronic kidney disease: IRIS stage 3\n" in stage
    assert "Urine protein to creatinine: 0.3\n" in gap
    assert "(moderate)" in regenerates
    assert "Resting and maintenance energy: not computed" in asked
    assert "Please say: Which coefficient" in asked


def test_every_calculator_is_listed_with_an_example_that_holds(clinic: Clinic) -> None:
    rows = clinic.calculators()

    assert {row["name"] for row in rows} == set(ALL)
    for row in rows:
        answer = ask(clinic, row["name"], row["example"]["inputs"], row["example"]["patient"])
        assert answer["result"] == row["example"]["result"]
        assert answer["result"] is not None or row["name"] in ("cpr", "corrected_calcium")
        assert row["sources"] or row["basis"].startswith(("arithmetic", "conversion"))


def test_any_numbers_give_an_answer_or_a_named_error(clinic: Clinic) -> None:
    """A calculator is total: 6,000 random questions, extremes included, and not one exception of another kind."""
    chance = random.Random(7)
    numbers = (0, 1, 1e-9, 1e9, -1, 0.5, 37, 120, 2.5, 1e-8, 999999999, 7)
    units = ("mg/dL", "umol/L", "mg/kg", "ug/kg/min", "kg", "%", "", "mL", "mg/m2", "IU/kg", "mEq/L", "x")
    animals = ({}, DOG, CAT, HORSE, DOG_20, {"species": "rabbit", "weight_kg": 2}, {"species": "hamster"})
    for _ in range(6_000):
        calculator = ALL[chance.choice(list(ALL))]
        inputs: dict[str, Any] = {}
        for row in calculator.inputs:
            kind = chance.random()
            value = chance.choice(numbers)
            if kind < 0.55:
                inputs[row.name] = value if row.kind == "number" else f"{abs(value)} {chance.choice(units)}"
            elif kind < 0.8:
                inputs[row.name] = {"value": value, "unit": chance.choice(units)}
            elif kind < 0.85:
                inputs[row.name] = chance.choice((True, "mg/dL", None, "creatinine", "5 mg/kg", [], {}))
        try:
            answer = ask(clinic, calculator.name, inputs, dict(chance.choice(animals)))
        except Invalid as refusal:
            assert refusal.param is not None
            assert refusal.param.startswith("inputs.")
            continue
        assert answer["result"] is not None or answer["needs"] or answer["not_checked"] or answer["notes"]
