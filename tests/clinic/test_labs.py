"""Laboratory values: flags by unit and species, the caller's range, what must not be flagged, and what several say."""

from __future__ import annotations

import random
from typing import Any

import pytest

from app.base.errors import Invalid
from app.clinic import Clinic
from app.clinic.words import describe_labs

Row = tuple[Any, ...]
DOG, CAT, HORSE, COW, RABBIT = ({"species": name} for name in ("dog", "cat", "horse", "cattle", "rabbit"))


def judge(clinic: Clinic, patient: dict[str, Any], *rows: Any, **more: Any) -> Any:
    """The answer for rows of (name, value, unit) or whole objects."""
    values = [row if isinstance(row, dict) else dict(zip(("name", "value", "unit"), row, strict=False)) for row in rows]
    return clinic.labs({"patient": patient, "analytes": values, **more})


def flag(answer: Any, place: int = 0) -> str | None:
    found: str | None = answer["results"][place]["flag"]
    return found


def patterns(answer: Any) -> set[str]:
    return {row["id"] for row in answer["patterns"]}


def derived(answer: Any, name: str) -> Any:
    return next((row for row in answer["derived"] if row["name"].startswith(name)), None)


# species, analyte, value, unit, flag: both unit systems, edges included
FLAGS: list[tuple[str, str, float, str | None, str | None]] = [
    ("dog", "creatinine", 1.4, "mg/dL", "N"),
    ("dog", "creatinine", 1.5, "mg/dL", "H"),
    ("dog", "creatinine", 120, "umol/L", "N"),
    ("dog", "creatinine", 133, "umol/L", "H"),
    ("dog", "creatinine", 0.5, "mg/dL", "L"),
    ("cat", "creatinine", 2.1, "mg/dL", "N"),
    ("cat", "creatinine", 180, "umol/L", "N"),
    ("cattle", "creatinine", 1.2, "mg/dL", "H"),
    ("dog", "K", 7.5, "mmol/L", "HH"),
    ("dog", "K", 7.4, "mmol/L", "H"),
    ("dog", "Na", 120, None, "LL"),
    ("dog", "Na", 121, None, "L"),
    ("cat", "Na", 130, None, "LL"),
    ("dog", "glucose", 3.0, "mmol/L", "LL"),
    ("dog", "glucose", 54, "mg/dL", "LL"),
    ("dog", "HCT", 0.19, "L/L", "LL"),
    ("dog", "HCT", 21, "%", "L"),
    ("cat", "HCT", 21, "%", "L"),
    ("cat", "HCT", 14, "%", "LL"),
    ("dog", "platelets", 20, "10^9/L", "LL"),
    ("dog", "platelets", 20000, "/uL", "LL"),
    ("cattle", "calcium", 1.1, "mmol/L", "LL"),
    ("rabbit", "glucose", 21, "mmol/L", "HH"),
    ("horse", "lactate", 6, "mmol/L", "HH"),
    ("dog", "2160-0", 3, "mg/dL", "H"),
    ("dog", "urea", 18, "mmol/L", "H"),
    ("dog", "urea", 50, "mg/dL", "N"),  # 8.3 mmol/L
    ("dog", "BUN", 50, "mg/dL", "H"),  # 17.9 mmol/L
]


@pytest.mark.parametrize(("species", "analyte", "value", "unit", "expected"), FLAGS)
def test_a_value_is_flagged_by_its_species(
    clinic: Clinic, species: str, analyte: str, value: float, unit: str | None, expected: str | None
) -> None:
    row = {"loinc": analyte} if analyte[0].isdigit() else {"name": analyte}
    answer = judge(clinic, {"species": species}, {**row, "value": value, "unit": unit})

    assert flag(answer) == expected
    assert answer["results"][0]["interval"]["source"] == "record"
    assert answer["results"][0]["sources"]
    assert answer["results"][0]["si"]["value"] is not None


def test_both_unit_systems_stand_beside_the_value_and_the_interval_is_in_its_unit(clinic: Clinic) -> None:
    row = judge(clinic, DOG, ("creatinine", 265.2, "umol/L"))["results"][0]

    assert row["si"] == {"value": 265.2, "unit": "umol/L"}
    assert row["conventional"] == {"value": 3, "unit": "mg/dL"}
    assert row["interval"] == {"low": 53.04, "high": 123.8, "unit": "umol/L", "source": "record"}
    assert row["fold"] == {"times": 2.14, "of": "upper limit"}


def test_the_callers_range_decides_and_ours_stands_beside(clinic: Clinic) -> None:
    own = {"name": "creatinine", "value": 1.6, "unit": "mg/dL", "reference": {"low": 0.5, "high": 1.8}}
    normal = judge(clinic, DOG, own)["results"][0]
    upper = judge(clinic, DOG, {**own, "reference": {"high": 1.2}})["results"][0]
    past = judge(clinic, DOG, {"name": "K", "value": 7.8, "unit": "mmol/L", "reference": {"low": 3, "high": 9}})

    assert (normal["flag"], normal["interval"]["source"]) == ("N", "caller")
    assert normal["record_interval"]["high"] == 1.4
    assert "range you gave" in normal["why"]
    assert (upper["flag"], upper["interval"]["low"]) == ("H", None)
    assert past["results"][0]["flag"] == "N"
    assert "critical limit on record" in past["results"][0]["why"]
    assert past["urgency"] == "emergency"


# value, comparator, flag of creatinine in a dog (0.6 to 1.4 mg/dL)
@pytest.mark.parametrize(
    ("value", "comparator", "expected"),
    [(0.5, "<", "L"), (0.6, "<=", "L"), (1.0, "<", None), (2.0, ">", "H"), (1.4, ">=", "H"), (1.0, ">", None)],
)
def test_a_value_beyond_the_assay_is_flagged_only_where_it_is_sure(
    clinic: Clinic, value: float, comparator: str, expected: str | None
) -> None:
    answer = judge(clinic, DOG, {"name": "creatinine", "value": value, "unit": "mg/dL", "comparator": comparator})

    assert flag(answer) == expected
    assert (answer["results"][0]["why"] is None) == (expected is not None)


def test_comparators_reach_critical_limits_and_patterns(clinic: Clinic) -> None:
    low = judge(clinic, DOG, {"name": "glucose", "value": 20, "unit": "mg/dL", "comparator": "<"})
    high = judge(clinic, DOG, {"name": "K", "value": 8, "unit": "mEq/L", "comparator": ">"})
    vague = judge(clinic, DOG, {"name": "K", "value": 6, "unit": "mEq/L", "comparator": ">"})
    below = judge(clinic, DOG, {"name": "SDMA", "value": 10, "unit": "ug/dL", "comparator": "<"})
    band = judge(clinic, DOG, {"name": "lactate", "value": 4, "unit": "mmol/L", "comparator": ">"})

    assert (flag(low), patterns(low)) == ("LL", {"hypoglycaemia-dog"})
    assert (flag(high), patterns(high)) == ("HH", {"hyperkalaemia"})
    assert (flag(vague), patterns(vague)) == ("H", set())
    assert flag(below) == "N"
    assert patterns(band) == set()


# analyte, value, unit: what surely is another unit is asked, never flagged
@pytest.mark.parametrize(
    ("analyte", "value", "unit"),
    [("creatinine", 60, "mg/dL"), ("creatinine", 120, "mg/dL"), ("creatinine", 200, "mg/dL"), ("glucose", 5.5, "mg/dL"),
     ("calcium", 2.4, "mg/dL"), ("PCV", 0.42, "%"), ("creatinine", 1.1, "umol/L")],
)  # fmt: skip
def test_a_unit_that_can_not_be_is_asked(clinic: Clinic, analyte: str, value: float, unit: str) -> None:
    answer = judge(clinic, DOG, (analyte, value, unit))

    assert flag(answer) is None
    assert "can't be true" in answer["needs"][0]["why"]
    assert answer["not_checked"][0]["why"] == "unknown_unit"


def test_a_value_without_a_unit_is_judged_only_where_one_unit_fits(clinic: Clinic) -> None:
    sure = judge(clinic, DOG, ("creatinine", 300))
    open_ = judge(clinic, DOG, ("glucose", 18))
    same = judge(clinic, DOG, ("ALT", 300))
    count = judge(clinic, CAT, ("wbc", 31000))
    wrong = judge(clinic, DOG, ("ALT", 300, "mg/dL"))

    assert (flag(sure), sure["results"][0]["unit"]) == ("H", "umol/L")
    assert sure["needs"][0]["field"] == "analytes[creatinine].unit"
    assert (flag(open_), open_["needs"][0]["ask"]) == (None, "In which unit is glucose: mg/dL or mmol/L?")
    assert (flag(same), same["needs"]) == ("H", [])
    assert (flag(count), count["results"][0]["unit"]) == ("H", "/uL")
    assert flag(wrong) is None
    assert "is no unit of alt" in wrong["needs"][0]["why"]


def test_what_is_not_known_is_left_and_said(clinic: Clinic) -> None:
    unknown = judge(clinic, DOG, ("creatinin clearance x", 3, "mL/min"), ("creatininn", 3, "mg/dL"))
    species = judge(clinic, {"species": "hedgehog"}, ("creatinine", 3, "mg/dL"))
    nobody = judge(clinic, {}, ("creatinine", 3, "mg/dL"))
    own = {"name": "unobtainium", "value": 9, "unit": "x/L", "reference": {"low": 1, "high": 3}}
    ranged = judge(clinic, DOG, own, {**own, "comparator": "<"})

    assert [row["why"] for row in unknown["not_checked"]] == ["unknown_analyte", "unknown_analyte"]
    assert unknown["nearest"] == ["creatinine"]
    assert (unknown["covered"], unknown["urgency"]) == (False, None)
    assert (flag(species), species["not_checked"]) == (None, [{"text": "creatinine", "why": "no_record_for_species"}])
    assert nobody["not_checked"][0]["why"] == "missing_species"
    assert nobody["needs"][0]["field"] == "species"
    assert [row["flag"] for row in ranged["results"]] == ["H", None]
    assert ranged["results"][0]["interval"]["source"] == "caller"


def test_other_specimens_are_not_judged_by_blood(clinic: Clinic) -> None:
    urine = judge(clinic, DOG, {"name": "creatinine", "value": 200, "unit": "mg/dL", "specimen": "urine"})
    gravity = judge(clinic, DOG, {"name": "USG", "value": 1.012, "specimen": "urine"})
    serum = judge(clinic, DOG, {"name": "creatinine", "value": 2, "unit": "mg/dL", "specimen": "Serum"})

    assert (flag(urine), urine["not_checked"][0]["why"]) == (None, "other_specimen")
    assert flag(gravity) == "L"
    assert flag(serum) == "H"


def test_a_hen_in_lay_is_not_flagged_for_calcium(clinic: Clinic) -> None:
    row = {"name": "calcium", "value": 20, "unit": "mg/dL", "reference": {"low": 8, "high": 12}}
    hen = judge(clinic, {"species": "chicken", "sex": "female"}, row)
    cock = judge(clinic, {"species": "chicken", "sex": "male"}, row)
    dog = judge(clinic, DOG, row)

    assert flag(hen) is None
    assert "in lay" in hen["results"][0]["why"]
    assert flag(cock) == "H"
    assert flag(dog) == "H"


def test_age_and_breed_are_said_beside_the_flag(clinic: Clinic) -> None:
    puppy = judge(clinic, {"species": "dog", "age_months": 2}, ("PCV", 34, "%"))["results"][0]
    dog = judge(clinic, {"species": "dog", "age_months": 60}, ("PCV", 34, "%"))["results"][0]
    grey = judge(clinic, {"species": "dog", "breed": "Greyhound"}, ("PCV", 62, "%"), ("T4", 0.8, "ug/dL"))

    assert "adults" in puppy["why"]
    assert "under 4 months" in puppy["why"]
    assert dog["why"] == "mild anaemia"
    assert all("Greyhound" in row["why"] for row in grey["results"])


# patient, values, patterns that must be said: worked from their sources
PATTERNS: list[tuple[dict[str, Any], list[Row], set[str]]] = [
    (DOG, [("Na", 130, "mmol/L"), ("K", 6.5, "mmol/L")], {"low-sodium-potassium"}),
    (DOG, [("Na", 128, "mmol/L"), ("K", 7.9, "mmol/L")], {"low-sodium-potassium", "hyperkalaemia"}),
    (CAT, [("K", 2.6, "mmol/L")], {"hypokalaemia-cat"}),
    (CAT, [("Na", 125, "mmol/L")], {"low-sodium-cat"}),
    (DOG, [("glucose", 450, "mg/dL"), ("BHB", 4.5, "mmol/L"), ("HCO3", 9, "mmol/L")], {"dka-dog", "dka-acidosis"}),
    (CAT, [("glucose", 25, "mmol/L"), ("BHB", 3, "mmol/L")], {"dka-cat"}),
    (CAT, [("glucose", 48, "mg/dL")], {"hypoglycaemia-cat"}),
    (DOG, [("calcium", 3.4, "mmol/L")], {"high-calcium"}),
    (DOG, [("iCa", 0.9, "mmol/L")], {"low-ionised-calcium"}),
    (DOG, [("calcium", 8.5, "mg/dL"), ("albumin", 1.5, "g/dL")], {"low-calcium-low-albumin"}),
    (DOG, [("PCV", 15, "%"), ("retics", 250, "10*3/uL")], {"anaemia-severe-dog", "anaemia-regenerative-dog"}),
    (DOG, [("PCV", 28, "%"), ("retics", 30, "10*9/L")], {"anaemia-nonregenerative-dog"}),
    (CAT, [("PCV", 16, "%"), ("retics", 6, "%"), ("RBC", 2.5, "10*12/L")], {"anaemia-regenerative-cat"}),
    (CAT, [("PCV", 12, "%"), ("retics", 20, "10*9/L")], {"anaemia-severe-cat", "anaemia-nonregenerative-cat"}),
    (DOG, [("platelets", 8, "10*9/L")], {"platelets-very-low"}),
    (DOG, [("platelets", 60, "10*9/L")], {"platelets-low"}),
    (CAT, [("bands", 5, "10*9/L"), ("neutrophils", 3, "10*9/L")], {"degenerative-left-shift"}),
    (DOG, [("neutrophils", 55, "10*9/L")], {"neutrophilia-extreme"}),
    (DOG, [("T4", 0.4, "ug/dL"), ("TSH", 1.5, "ng/mL")], {"primary-hypothyroid"}),
    (DOG, [("T4", 0.4, "ug/dL"), ("TSH", 0.2, "ng/mL")], {"low-t4-normal-tsh"}),
    (CAT, [("T4", 120, "nmol/L")], {"high-t4-cat"}),
    (DOG, [("cortisol", 120, "nmol/L")], {"cortisol-rules-out-addison"}),
    (DOG, [("cortisol", 1.1, "ug/dL")], {"cortisol-low"}),
    (DOG, [("cortisol", 3, "nmol/L")], {"cortisol-very-low"}),
    (CAT, [("fPL", 8, "ug/L")], {"fpl-positive"}),
    (DOG, [("TLI", 3, "ug/L")], {"tli-epi"}),
    (DOG, [("bile acids", 60, "umol/L")], {"bile-acids-high"}),
    (DOG, [("bile acids", 15, "umol/L")], {"bile-acids-grey"}),
    (DOG, [("lactate", 9, "mmol/L")], {"lactate-dog-severe"}),
    (HORSE, [("lactate", 7, "mmol/L")], {"lactate-horse"}),
    (COW, [("BHB", 1.5, "mmol/L")], {"ketosis-cow"}),
    (COW, [("calcium", 1.6, "mmol/L")], {"low-calcium-cow"}),
    (RABBIT, [("glucose", 25, "mmol/L")], {"rabbit-glucose"}),
    (DOG, [("PT", 60, "s"), ("APTT", 80, "s")], {"vitamin-k"}),
    (DOG, [("lead", 45, "ug/dL")], {"lead"}),
    (DOG, [("bilirubin", 90, "umol/L")], {"jaundice"}),
    (CAT, [("SDMA", 18, "ug/dL"), ("creatinine", 1.4, "mg/dL")], {"sdma-high"}),
    (DOG, [("creatinine", 4, "mg/dL"), ("USG", 1.010)], {"azotaemia-renal"}),
    (HORSE, [("BUN", 60, "mg/dL"), ("USG", 1.040)], {"azotaemia-prerenal"}),
    (CAT, [("creatinine", 9, "mg/dL"), ("K", 6.9, "mmol/L")], {"azotaemia-high-potassium"}),
    (COW, [("Mg", 1.0, "mg/dL"), ("P", 6, "mg/dL")], set()),
]


@pytest.mark.parametrize(("patient", "rows", "expected"), PATTERNS)
def test_a_pattern_is_said_with_its_source(
    clinic: Clinic, patient: dict[str, Any], rows: list[Row], expected: set[str]
) -> None:
    answer = judge(clinic, patient, *rows)

    assert patterns(answer) == expected
    assert all(row["sources"] and row["why"] for row in answer["patterns"])
    assert not expected or answer["critical"] or answer["urgency"] == answer["patterns"][0]["urgency"]


# patient, values, a pattern that must not be said
HARMLESS: list[tuple[dict[str, Any], list[Row], str]] = [
    (DOG, [("Na", 145, "mmol/L"), ("K", 4.5, "mmol/L")], "low-sodium-potassium"),
    (CAT, [("Na", 140, "mmol/L"), ("K", 5.4, "mmol/L")], "low-sodium-potassium"),
    (HORSE, [("Na", 130, "mmol/L"), ("K", 6.5, "mmol/L")], "low-sodium-potassium"),
    (DOG, [("glucose", 450, "mg/dL")], "dka-acidosis"),
    (DOG, [("glucose", 100, "mg/dL"), ("HCO3", 9, "mmol/L")], "dka-acidosis"),
    (DOG, [("calcium", 10, "mg/dL")], "high-calcium"),
    (DOG, [("PCV", 48, "%"), ("retics", 200, "10*3/uL")], "anaemia-regenerative-dog"),
    (DOG, [("cortisol", 120, "nmol/L")], "cortisol-low"),
    (CAT, [("cortisol", 3, "nmol/L")], "cortisol-very-low"),
    (DOG, [("PT", 60, "s")], "vitamin-k"),
    (RABBIT, [("glucose", 9, "mmol/L")], "rabbit-glucose"),
]


@pytest.mark.parametrize(("patient", "rows", "unsaid"), HARMLESS)
def test_a_pattern_is_not_said_without_its_grounds(
    clinic: Clinic, patient: dict[str, Any], rows: list[Row], unsaid: str
) -> None:
    assert unsaid not in patterns(judge(clinic, patient, *rows))


def test_normal_values_are_no_finding(clinic: Clinic) -> None:
    answer = judge(
        clinic, DOG, ("Na", 146, "mmol/L"), ("K", 4.5, "mmol/L"), ("ALT", 40, "U/L"), ("glucose", 5, "mmol/L")
    )

    assert {row["flag"] for row in answer["results"]} == {"N"}
    assert (answer["urgency"], answer["patterns"], answer["critical"]) == (None, [], [])


def test_what_kills_comes_first(clinic: Clinic) -> None:
    answer = judge(clinic, DOG, ("ALT", 40, "U/L"), ("ALP", 900, "U/L"), ("K", 8.1, "mmol/L"), ("foo", 1, "x"))

    assert [row["analyte"] for row in answer["results"]] == ["potassium", "alp", "foo", "alt"]
    assert (answer["urgency"], answer["critical"]) == ("emergency", ["potassium"])
    assert judge(clinic, DOG, ("TLI", 3, "ug/L"))["urgency"] == "urgent"
    assert judge(clinic, DOG, ("ALP", 900, "U/L"))["urgency"] == "routine"


def test_an_addisonian_dog_is_read_as_a_whole(clinic: Clinic) -> None:
    rows = [("Na", 128, "mmol/L"), ("K", 7.6, "mEq/L"), ("Cl", 95, "mmol/L"), ("HCO3", 12, "mmol/L"),
            ("crea", 180, "umol/L"), ("urea", 18, "mmol/L"), ("glucose", 3, "mmol/L"), ("USG", 1.018)]  # fmt: skip
    answer = judge(clinic, DOG, *rows)

    assert derived(answer, "sodium:potassium")["result"]["value"] == pytest.approx(16.8421, rel=1e-4)
    assert derived(answer, "anion gap")["result"] == {"value": 28.6, "unit": "mEq/L"}
    assert derived(answer, "calculated osmolality")["result"]["value"] == pytest.approx(277.01, rel=1e-3)
    assert derived(answer, "azotaemia")["result"]["value"].endswith("partly concentrated urine: renal likely")
    assert derived(answer, "IRIS")["result"]["label"] == "IRIS stage 2"
    assert answer["urgency"] == "emergency"
    assert any("stable, hydrated" in note for note in derived(answer, "IRIS")["notes"])


def test_a_cat_with_old_kidneys_is_staged(clinic: Clinic) -> None:
    rows = [("creatinine", 3.1, "mg/dL"), ("SDMA", 30, "ug/dL"), ("USG", 1.014), ("UPC", 0.6), ("Ca", 2.6, "mmol/L"),
            ("phos", 7, "mg/dL"), ("TP", 9, "g/dL"), ("albumin", 2.5, "g/dL")]  # fmt: skip
    answer = judge(clinic, CAT, *rows)
    stage = derived(answer, "IRIS")

    assert stage["result"]["label"] == "IRIS stage 3"
    assert "upc: proteinuric" in stage["notes"]
    assert derived(answer, "calcium x phosphorus")["result"]["value"] == pytest.approx(72.95, rel=1e-3)
    assert derived(answer, "albumin:globulin")["result"]["value"] == pytest.approx(0.384615, rel=1e-4)


def test_nothing_is_derived_from_a_slip_of_zero(clinic: Clinic) -> None:
    panel = ("Na", "K", "Cl", "HCO3", "glucose", "BUN", "creatinine", "albumin", "globulin", "TP", "Ca", "phos", "SDMA")
    rows = [{"name": name, "value": 0} for name in (*panel, "bands", "neutrophils", "RBC", "UPC", "USG")]
    answer = judge(clinic, DOG, *rows, {"name": "retics", "value": 0, "unit": "%"})

    assert [row["name"] for row in answer["derived"]] == ["proteinuria (IRIS)"]
    for place in range(len(rows)):
        whole = [{**row, "value": 0 if at == place else 5} for at, row in enumerate(rows)]
        assert judge(clinic, DOG, *whole)["results"]


def test_a_gravity_written_without_its_point_is_read(clinic: Clinic) -> None:
    answer = judge(clinic, DOG, ("creatinine", 4, "mg/dL"), ("SG", 1010))
    row = next(row for row in answer["results"] if row["analyte"] == "urine specific gravity")

    assert (row["value"], row["conventional"]["value"], row["why"]) == (1.01, 1.01, "1010 read as 1.01")
    assert patterns(answer) == {"azotaemia-renal"}


def test_derived_values_take_what_they_need(clinic: Clinic) -> None:
    gap = judge(clinic, DOG, ("Na", 145), ("glucose", 90, "mg/dL"), ("BUN", 14, "mg/dL"), ("osmolality", 360))
    sugar = judge(clinic, DOG, ("Na", 132), ("glucose", 600, "mg/dL"))
    urine = judge(clinic, CAT, ("UPC", 0.3))
    horse = judge(clinic, HORSE, ("UPC", 0.3))
    dry = judge(clinic, DOG, ("creatinine", 3, "mg/dL"))
    alone = judge(clinic, DOG, ("retics", 4, "%"))
    share = judge(clinic, DOG, ("retics", 0.04, "L/L"), ("RBC", 3, "T/L"))
    twice = judge(clinic, DOG, ("K", 4.5), ("K", 8))

    assert any("ethylene glycol" in note for note in derived(gap, "calculated osmolality")["notes"])
    assert derived(sugar, "sodium corrected")["result"]["value"] > 139
    assert derived(urine, "proteinuria")["result"]["label"] == "borderline proteinuric"
    assert derived(horse, "proteinuria") is None
    assert dry["needs"][0]["field"] == "analytes[urine specific gravity]"
    assert dry["urgency"] == "urgent"
    assert alone["needs"][0]["field"] == "analytes[rbc]"
    assert derived(share, "absolute reticulocytes")["result"]["value"] == 120
    assert {"text": "K", "why": "given_twice"} in twice["not_checked"]
    assert twice["critical"] == ["potassium"]


def test_values_are_read_from_words(clinic: Clinic) -> None:
    text = "12 y old cat, 4 kg: creatinine 3.1 mg/dL, urea 80 mg/dl, K 6.9 mmol/l, USG 1.012"
    answer = clinic.labs({"text": text})
    rows = {row["analyte"]: row for row in answer["results"]}

    assert answer["patient"]["species"] == "cat"
    assert rows["creatinine"]["flag"] == "H"
    assert "read as urea" in rows["urea nitrogen"]["why"]
    assert rows["potassium"]["flag"] == "H"


def test_values_of_several_animals_are_not_mixed(clinic: Clinic) -> None:
    both = clinic.labs({"text": "The dog has creatinine 3.1 mg/dL. The cat has K 2.5 mmol/L."})
    one = clinic.labs({"text": "We have a cat too. The dog has creatinine 3.1 mg/dL and K 4.5 mmol/L."})

    assert both["results"] == []
    assert {row["why"] for row in both["not_checked"]} == {"another_patient"}
    assert both["needs"][-1]["field"] == "patient"
    assert (one["patient"]["species"], len(one["results"])) == ("dog", 2)


def test_rows_of_extract_are_taken_as_they_are(clinic: Clinic) -> None:
    read = clinic.extract({"text": "dog, creatinine 3.1 mg/dL, K <3 mmol/L"})
    answer = clinic.labs({"patient": read["patient"], "analytes": read["analytes"]})

    assert [row["analyte"] for row in answer["results"]] == ["creatinine", "potassium"]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "analytes"),
        ({"analytes": [{"value": 3}]}, "analytes[0].name"),
        ({"analytes": [{"name": "K"}]}, "analytes[0].value"),
        ({"analytes": [{"name": "K", "value": -1}]}, "analytes[0].value"),
        ({"analytes": [{"name": "K", "value": 1, "comparator": "~"}]}, "analytes[0].comparator"),
        ({"analytes": [{"name": "K", "value": 1, "colour": 1}]}, "analytes[0].colour"),
        ({"analytes": [{"name": "K", "value": 1, "reference": {"low": 5, "high": 3}}]}, "analytes[0].reference"),
    ],
)
def test_a_wrong_body_names_its_field(clinic: Clinic, body: dict[str, Any], param: str) -> None:
    with pytest.raises(Invalid) as error:
        clinic.labs(body)

    assert error.value.param == param


def test_a_person_can_read_it(clinic: Clinic) -> None:
    rows = [("K", 7.9, "mmol/L"), ("Na", 128, "mmol/L"), ("foo", 3, "x"), ("USG", 1.02), ("creatinine", 3, "mg/dL"),
            {"name": "ALT", "value": 30, "unit": "U/L", "reference": {"high": 90}}]  # fmt: skip
    text = describe_labs(judge(clinic, {"species": "dog", "weight_kg": 12}, *rows))
    lines = [" ".join(line.split()) for line in text.splitlines()]

    assert lines[:3] == ["Patient: dog, 12 kg", "URGENCY: EMERGENCY", "Critical: potassium"]
    assert "potassium 7.9 mmol/L 4.1-5.4 HH 1.46 x upper limit" in lines
    assert "alt 30 U/L -90 (yours) N" in lines
    assert "foo 3 x not on record -" in lines
    assert "sodium:potassium: 16.2025" in text
    assert "IRIS stage 3" in text
    assert "! emergency: potassium 7.5 mEq/L or more." in text
    assert "Sources:" in text
    assert describe_labs(judge(clinic, DOG, ("ALT", 30, "U/L"))).startswith("Patient: dog\n")


def test_any_values_of_any_species_give_an_answer(clinic: Clinic) -> None:
    """3,000 random panels: extremes, units of something else, comparators, ranges; every value comes back once."""
    chance = random.Random(11)
    names = [*clinic.records.analytes, "nonsense", "urea", "ca"]
    units = ("mg/dL", "mmol/L", "umol/L", "U/L", "%", "10^9/L", "g/L", "", None, "x", "/uL", "s", "ug/dL")
    numbers = (0, 1, 1e-9, 1e9, 0.45, 7.4, 120, 40, 3.2, 250000)
    for _ in range(3_000):
        rows: list[dict[str, Any]] = []
        for name in chance.sample(names, chance.randint(1, 12)):
            row: dict[str, Any] = {"name": name, "value": chance.choice(numbers), "unit": chance.choice(units)}
            if chance.random() < 0.2:
                row["comparator"] = chance.choice(("<", "<=", ">", ">="))
            if chance.random() < 0.2:
                row["reference"] = {"low": chance.choice((None, 0, 1)), "high": chance.choice((None, 3, 1e9))}
            rows.append(row)
        species = chance.choice([None, *clinic.records.species])
        answer = judge(clinic, {"species": species} if species else {}, *rows)

        assert len(answer["results"]) == len(rows)
        assert all(row["flag"] is not None or row["why"] or not row["interval"] for row in answer["results"])
