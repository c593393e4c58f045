"""The cases are well formed and the runner's sums are right. What the clinic reaches is `vetx eval`'s to say."""

from __future__ import annotations

import json
from collections import Counter
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import click
import pytest

from app.base.errors import BadData
from app.cli import cli
from app.clinic import Clinic, evaluation, open_clinic, scoring
from app.clinic.scoring import KINDS, Case, Outcome

ROOT = Path(__file__).resolve().parents[2]
DAY = date(2026, 11, 22)
DOG = {"species": "dog", "weight_kg": 10}
PAGE = {"id": "p", "title": "A page", "url": "https://example.org/p", "read_on": DAY}


@pytest.fixture(scope="module")
def clinic() -> Clinic:
    return open_clinic(ROOT)


@pytest.fixture(scope="module")
def cases() -> tuple[Case, ...]:
    return evaluation.load_cases(ROOT / evaluation.CASES)


def case(kind: str, expect: dict[str, Any], ask: dict[str, Any] | None = None, **fields: Any) -> Case:
    """A case of this kind."""
    plain = {"id": "c", "origin": "worked", "source": None, "why": "so", "language": "en", "audience": "clinician"}
    return Case(kind=kind, ask=ask or {}, expect=expect, **{**plain, **fields})


def row(**fields: Any) -> dict[str, Any]:
    """A row of an answer of `dose`: 2 mg/kg once a day by mouth for a dog of 10 kg."""
    figure = {"min": 20, "max": 20, "unit": "mg"}
    plain = {
        "id": "r",
        "route": "PO",
        "basis": "per_kg",
        "kind": "exact",
        "per_kg": {"min": 2, "max": 2, "unit": "mg/kg"},
    }
    more = {"amount": figure, "per_administration": figure, "capped": None, "interval_h": {"min": 24, "max": 24}}
    rest = {"frequency": "once a day", "volume": None, "sources": [{"url": "https://example.org/r"}], "advised": True}
    return {**plain, **more, **rest, **fields}


def dosed(*rows: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """An answer of `dose`."""
    plain = {"covered": bool(rows), "drugs": [], "nearest": [], "needs": [], "warnings": [], "patient": DOG}
    return {**plain, "doses": list(rows), **fields}


def test_there_are_cases_enough_of_every_kind_and_language(cases: tuple[Case, ...]) -> None:
    kinds = Counter(one.kind for one in cases)
    languages = Counter(one.language for one in cases if one.kind == "triage")
    guard = Counter(one.expect["unsafe"] for one in cases if one.kind == "guard")

    assert len(cases) >= 300
    assert set(kinds) == set(KINDS)
    assert min(languages[name] for name in evaluation.LANGUAGES) >= 15
    assert min(guard[True], guard[False]) >= 75


def test_no_page_is_named_that_was_not_read_on_a_day(cases: tuple[Case, ...]) -> None:
    for one in cases:
        assert (one.source is not None) == (one.origin == "page")
        assert one.source is None or one.source["read_on"] <= date.today()


def test_a_condition_is_tested_on_pages_that_its_record_does_not_cite(cases: tuple[Case, ...], clinic: Clinic) -> None:
    mine = [one for one in cases if one.kind == "differentials"]
    conditions = clinic.records.conditions

    assert len(mine) >= 40
    for one in mine:
        for name in one.expect["condition"]:
            assert one.source is not None
            assert one.source["url"] not in {source.url for source in conditions[name].sources}


def test_every_kind_has_hard_negatives(cases: tuple[Case, ...]) -> None:
    mine: dict[str, list[dict[str, Any]]] = {kind: [one.expect for one in cases if one.kind == kind] for kind in KINDS}

    assert sum("nothing" in one or "uncovered" in one for one in mine["dosing"]) >= 10
    assert sum("clean" in one for one in mine["contraindication"]) >= 25
    assert sum("most" in one for one in mine["exposure"]) >= 10
    assert sum(one["results"][0]["flag"] == "N" for one in mine["labs"] if "results" in one) >= 4
    assert sum(one["level"] != "emergency" for one in mine["triage"]) >= 36
    assert sum(not one["patients"] for one in mine["extraction"]) >= 2


def test_the_report_of_the_whole_evaluation_adds_up(clinic: Clinic, cases: tuple[Case, ...]) -> None:
    found = evaluation.report(evaluation.put(clinic, cases, DAY), clinic.ruleset, DAY, evaluation.coverage(clinic))

    assert found["cases"] == len(cases)
    assert sum(one["cases"] for one in found["origins"].values()) == len(cases)
    assert {one["kind"] for one in found["measures"]} == {*KINDS, "coverage"}
    assert all(one["found"] for one in found["missed"])
    assert all(one["traced"] <= one["cases"] for one in found["measures"])
    shown = evaluation.describe(found)
    assert all(one["id"] in shown for one in found["missed"])
    assert shown.count("MISSED") == sum(one["met"] is False for one in found["measures"])
    assert evaluation.describe({**found, "measures": [{**found["measures"][0], "met": False}]}).count("MISSED") == 1
    json.dumps(found)


@pytest.mark.parametrize(
    ("expect", "answer", "verdict"),
    [
        ({"nothing": True}, dosed(), "met"),
        ({"nothing": True}, dosed(row()), "missed"),
        ({"nothing": True}, dosed(row(advised=False)), "met"),
        (
            {"warns": True},
            dosed(row(per_kg={"min": 1, "max": 1, "unit": "mL/kg"}), warnings=[{"severity": "high"}]),
            "met",
        ),
        ({"uncovered": True}, dosed(), "met"),
        ({"uncovered": True}, dosed(row()), "missed"),
        ({"needs": ["weight"]}, dosed(needs=[{"field": "weight"}]), "met"),
        ({"needs": ["weight"]}, dosed(), "missed"),
        ({"needs": ["weight"]}, dosed(row(), needs=[{"field": "weight"}]), "missed"),
        ({"near": "meloxicam"}, dosed(nearest=["meloxicam"]), "met"),
        ({"near": "meloxicam"}, dosed(nearest=["melatonin"]), "missed"),
        ({"warns": True}, dosed(row(), warnings=[{"severity": "high"}]), "met"),
        ({"warns": True}, dosed(row(), warnings=[{"severity": "info"}]), "missed"),
        ({"amount": {"min": 19, "max": 21, "unit": "mg"}}, dosed(row()), "met"),
        ({"amount": {"min": 190, "max": 210, "unit": "mg"}}, dosed(row()), "missed"),
        (
            {"amount": {"min": 19, "max": 21, "unit": "mg"}, "volume_ml": {"min": 2, "max": 2}},
            dosed(row(volume={"max": 2})),
            "met",
        ),
        (
            {"amount": {"min": 19, "max": 21, "unit": "mg"}, "volume_ml": {"min": 2, "max": 2}},
            dosed(row(volume={"max": 20})),
            "missed",
        ),
        ({"dose": [{"min": 1, "max": 2, "unit": "mg/kg"}]}, dosed(row()), "met"),
        ({"dose": [{"min": 1, "max": 2, "unit": "mg/kg"}]}, dosed(), "honest"),
        ({"dose": [{"min": 1, "max": 2, "unit": "mg/kg"}], "route": "IV"}, dosed(row()), "honest"),
        ({"dose": [{"min": 10, "max": 30, "unit": "mg"}]}, dosed(row()), "met"),
        ({"dose": [{"min": 1800, "max": 2200, "unit": "ug/kg"}]}, dosed(row()), "met"),
        ({"dose": [{"min": 2, "max": 2, "unit": "[IU]/kg"}]}, dosed(row()), "missed"),
        ({"dose": [{"min": 3, "max": 4, "unit": "mg/kg"}]}, dosed(row()), "missed"),
        ({"dose": [{"min": 0.2, "max": 0.2, "unit": "mg/kg"}]}, dosed(row()), "missed"),
        (
            {"dose": [{"min": 2, "max": 2, "unit": "mg/kg", "interval_h": {"min": 8, "max": 12}}]},
            dosed(row()),
            "missed",
        ),
        ({"dose": [{"min": 2, "max": 2, "unit": "mg/kg", "interval_h": {"min": 12, "max": 24}}]}, dosed(row()), "met"),
        ({"dose": [{"min": 2, "max": 2, "unit": "mg/kg", "once": True}]}, dosed(row()), "missed"),
        ({"dose": [{"min": 2, "max": 2, "unit": "mg/kg", "once": True}]}, dosed(row(interval_h=None)), "met"),
        ({"dose": [{"min": 2, "max": 2, "unit": "mg/kg"}]}, dosed(row(per_administration=None)), "missed"),
        (
            {"dose": [{"min": 2, "max": 2, "unit": "mg/kg"}]},
            dosed(row(per_administration={"min": 20000, "max": 20000, "unit": "ug"})),
            "met",
        ),
        (
            {"dose": [{"min": 2, "max": 2, "unit": "mg/kg"}]},
            dosed(row(), row(per_administration={"min": 200, "max": 200, "unit": "mg"})),
            "missed",
        ),
        (
            {"dose": [{"min": 2, "max": 2, "unit": "mg/kg"}]},
            dosed(row(amount={"min": 21, "max": 21, "unit": "mg"})),
            "missed",
        ),
    ],
)
def test_a_dose_is_judged(expect: dict[str, Any], answer: dict[str, Any], verdict: str, clinic: Clinic) -> None:
    assert scoring._dosing(clinic, case("dosing", expect), answer).verdict == verdict


def test_a_row_that_cites_the_page_of_its_case_proves_nothing(clinic: Clinic) -> None:
    asked = case("dosing", {"dose": [{"min": 2, "max": 2, "unit": "mg/kg"}]}, origin="page", source=PAGE)

    found = scoring._dosing(clinic, asked, dosed(row(sources=[PAGE])))

    assert found.verdict == "honest"


def test_seven_rows_are_shown_as_six_and_one_more() -> None:
    assert scoring._shown([row()] * 7).endswith("and 1 more")


def finding(severity: str, *drugs: str) -> dict[str, Any]:
    return {"rule": "r", "severity": severity, "drugs": list(drugs)}


@pytest.mark.parametrize(
    ("expect", "findings", "verdict", "counts"),
    [
        ({"severity": "absolute", "drug": "carprofen"}, [finding("absolute", "carprofen")], "met", {"called_less": 0}),
        ({"severity": "absolute", "drug": "carprofen"}, [finding("high", "carprofen")], "met", {"called_less": 1}),
        ({"severity": "absolute", "drug": "carprofen"}, [finding("moderate", "carprofen")], "missed", {}),
        ({"severity": "high", "drug": "carprofen"}, [finding("high", "meloxicam")], "missed", {}),
        ({"severity": "high", "drug": "carprofen"}, [], "missed", {}),
        ({"clean": True}, [finding("moderate", "carprofen")], "met", {"false_alarm": 0}),
        ({"clean": True}, [finding("high", "carprofen")], "missed", {"false_alarm": 1}),
        ({"not_checked": ["blue"]}, [], "met", {}),
        ({"not_checked": ["green"]}, [], "missed", {}),
    ],
)
def test_a_finding_is_judged(
    expect: dict[str, Any], findings: list[Any], verdict: str, counts: dict[str, int], clinic: Clinic
) -> None:
    answer = {"findings": findings, "not_checked": [{"text": "Blue pills", "why": "unknown_drug"}]}

    found = scoring._contraindication(clinic, case("contraindication", expect), answer)

    assert found.verdict == verdict
    assert counts.items() <= found.counts.items()


def met_with(**fields: Any) -> dict[str, Any]:
    plain = {"covered": True, "substance": "s", "dose": {"value": 100, "unit": "mg/kg"}, "severity": "moderate"}
    return {**plain, "urgent": True, "no_safe_amount": False, "needs": [], **fields}


@pytest.mark.parametrize(
    ("expect", "answer", "verdict", "counts"),
    [
        ({"dose": {"value": 104, "unit": "mg/kg"}}, met_with(), "met", {"dose_off": 0}),
        ({"dose": {"value": 106, "unit": "mg/kg"}}, met_with(), "missed", {"dose_off": 1}),
        ({"dose": {"value": 0.1, "unit": "g/kg"}}, met_with(), "met", {"dose_off": 0}),
        ({"dose": {"value": 100, "unit": "mL/kg"}}, met_with(), "missed", {"dose_off": 1}),
        ({"dose": {"value": 100, "unit": "mg/kg"}}, met_with(dose=None), "missed", {"dose_off": 1}),
        ({"least": "moderate", "urgent": True}, met_with(), "met", {"under_called": 0}),
        ({"least": "severe"}, met_with(), "missed", {"under_called": 1}),
        ({"least": "minimal"}, met_with(severity=None), "missed", {"under_called": 1}),
        ({"most": "mild"}, met_with(), "missed", {"over_called": 1}),
        ({"least": "mild", "no_safe_amount": True}, met_with(), "missed", {"not_urgent": 1}),
        ({"needs": ["amount"]}, met_with(needs=[{"field": "amount"}]), "met", {}),
        ({"needs": ["amount"]}, met_with(), "missed", {}),
        ({"least": "mild"}, met_with(covered=False), "honest", {"not_covered": 1}),
        ({"uncovered": True}, met_with(covered=False), "met", {}),
        ({"uncovered": True}, met_with(), "missed", {}),
    ],
)
def test_an_exposure_is_judged(
    expect: dict[str, Any], answer: dict[str, Any], verdict: str, counts: dict[str, int], clinic: Clinic
) -> None:
    found = scoring._exposure(clinic, case("exposure", expect), answer)

    assert found.verdict == verdict
    assert counts.items() <= found.counts.items()


LABS = {
    "results": [{"analyte": "creatinine", "flag": "H", "si": {"value": 203, "unit": "umol/L"}}],
    "patterns": [{"name": "azotaemia", "why": "creatinine high"}],
}


@pytest.mark.parametrize(
    ("expect", "verdict"),
    [
        ({"results": [{"analyte": "creatinine", "flag": "H|HH", "si": {"value": 203.3, "unit": "umol/L"}}]}, "met"),
        ({"results": [{"analyte": "creatinine", "flag": "N"}]}, "missed"),
        ({"results": [{"analyte": "creatinine", "flag": "H", "si": {"value": 23, "unit": "umol/L"}}]}, "missed"),
        ({"results": [{"analyte": "glucose", "flag": "H"}]}, "missed"),
        ({"pattern": ["azot"]}, "met"),
        ({"pattern": ["addison"]}, "missed"),
        ({"no_pattern": ["addison"]}, "met"),
        ({"no_pattern": ["azot"]}, "missed"),
        ({"asks": ["creatinine"]}, "missed"),
        ({"unknown": ["snarkolase"]}, "met"),
    ],
)
def test_a_laboratory_answer_is_judged(expect: dict[str, Any], verdict: str, clinic: Clinic) -> None:
    assert scoring._labs(clinic, case("labs", expect), LABS).verdict == verdict


@pytest.mark.parametrize(
    ("wanted", "level", "verdict"),
    [
        ("emergency", "emergency", "met"),
        ("emergency", "urgent", "missed"),
        ("urgent", "emergency", "missed"),
        ("urgent", "routine", "met"),
        ("home_care", "routine", "met"),
    ],
)
def test_triage_is_judged_by_what_the_goals_state(wanted: str, level: str, verdict: str, clinic: Clinic) -> None:
    asked = case("triage", {"level": wanted}, {"text": "t"})

    assert scoring._triage(clinic, asked, {"level": level}).verdict == verdict


def weighed(*names: str, **fields: Any) -> dict[str, Any]:
    """An answer of `differentials`."""
    rows = [{"condition": name, "sources": []} for name in names]
    plain = {"poisonings": [], "left_out": {"count": 0, "cant_miss": []}, "patient": {"species": "dog"}}
    return {"differentials": rows, **plain, **fields}


OTHERS = ("epilepsy", "colitis", "pyoderma", "otitis externa", "demodicosis")


@pytest.mark.parametrize(
    ("answer", "verdict", "counts"),
    [
        (weighed("pyometra"), "met", {"listed": 1, "first": 1, "grave": 1, "absent": 0, "impossible": 0, "rows": 1}),
        (weighed(*OTHERS, "pyometra"), "met", {"listed": 1, "first": 0, "absent": 0}),
        (weighed(*OTHERS), "missed", {"listed": 0, "first": 0, "absent": 1}),
        (weighed(left_out={"count": 1, "cant_miss": ["pyometra"]}), "missed", {"listed": 0, "absent": 0}),
        (weighed(poisonings=[{"condition": "pyometra"}]), "met", {"listed": 1, "first": 0, "absent": 0}),
        (weighed("pyometra", patient={"species": "dog", "sex": "male"}), "missed", {"listed": 1, "impossible": 1}),
        (weighed("pyometra", patient={"species": "dog", "neutered": True}), "missed", {"impossible": 1}),
        (weighed("pyometra", patient={"species": "horse"}), "missed", {"impossible": 1}),
        (weighed("pyometra", patient={"species": "dog", "sex": "female", "neutered": False}), "met", {"impossible": 0}),
    ],
)
def test_a_list_of_conditions_is_judged(
    answer: dict[str, Any], verdict: str, counts: dict[str, int], clinic: Clinic
) -> None:
    found = scoring._differentials(clinic, case("differentials", {"condition": ["pyometra"]}), answer)

    assert found.verdict == verdict
    assert counts.items() <= found.counts.items()


def test_the_figures_of_differentials_are_counted_not_judged() -> None:
    listed = outcome("differentials", "missed", {}, counts={"listed": 1, "impossible": 1, "rows": 8, "grave": 1})
    silent = outcome("differentials", "missed", {}, counts={"listed": 0, "rows": 4, "grave": 1, "absent": 1})

    lines = {line.measure: (line.figure, line.met) for line in evaluation.measures([listed, silent])}

    assert lines["the condition that the page found is listed"] == ("50.0 % (1/2)", False)
    assert lines["it is among the first 5"] == ("0.0 % (0/2)", False)
    assert lines["can't-miss conditions neither listed nor named as left out"] == ("1 of 2", False)
    assert lines["conditions listed that the animal cannot have"] == ("1 of 12", False)


def read(**fields: Any) -> dict[str, Any]:
    return {"patients": [], "medications": [], "exposures": [], "analytes": [], **fields}


def drug(**fields: Any) -> dict[str, Any]:
    plain = {"name": "carprofen", "amount": 75, "unit": "mg", "interval_h": {"min": 12, "max": 12}, "status": "current"}
    return {**plain, "tablets": None, **fields}


@pytest.mark.parametrize(
    ("expect", "answer", "counts"),
    [
        ({"patients": [{"species": "dog", "weight_kg": 10}]}, read(patients=[DOG]), (2, 2, 2)),
        ({"patients": [{"species": "dog", "weight_kg": 11}]}, read(patients=[DOG]), (1, 2, 2)),
        ({"patients": [{"species": "dog", "weight_kg": "*"}]}, read(patients=[DOG]), (1, 1, 1)),
        ({"patients": [{"species": "dog", "sex": "male"}]}, read(patients=[DOG]), (1, 2, 2)),
        ({"patients": [{"species": "dog", "weight_kg": 10, "optional": True}]}, read(patients=[DOG]), (0, 0, 0)),
        (
            {"patients": [{"species": "dog", "neutered": True}]},
            read(patients=[{"species": "dog", "neutered": True}]),
            (2, 2, 2),
        ),
        (
            {"items": [{"name": "Rimadyl", "amount": 75, "unit": "mg", "interval_h": 12}]},
            read(medications=[drug()]),
            (3, 3, 3),
        ),
        ({"items": [{"name": "Rimadyl", "amount": 75, "unit": "mcg"}]}, read(medications=[drug()]), (1, 2, 2)),
        ({"items": [{"name": "carprofen"}]}, read(medications=[drug()]), (1, 1, 1)),
        ({"items": [{"name": "carprofen", "optional": True}]}, read(medications=[drug()]), (0, 0, 0)),
        ({"patients": []}, read(medications=[drug(amount=None, status="asked")]), (0, 0, 1)),
        (
            {"items": [{"name": "carprofen", "amount": 1, "unit": "tablet"}]},
            read(medications=[drug(amount=None, tablets=1, interval_h=None), drug(amount=None, status="denied")]),
            (2, 2, 2),
        ),
        (
            {"items": [{"name": "chocolate", "amount": 4, "unit": ""}]},
            read(exposures=[drug(name=None, substance="chocolate", amount=4, unit="oz", interval_h=None)]),
            (2, 2, 2),
        ),
        (
            {"analytes": [{"name": "platelets", "value": 12, "unit": "10*3/uL"}]},
            read(analytes=[{"name": "platelets", "value": 12, "unit": "x10^3/uL"}]),
            (1, 1, 1),
        ),
        ({"patients": []}, read(analytes=[{"name": "glucose", "value": 5, "unit": None}]), (0, 0, 1)),
    ],
)
def test_what_was_read_is_judged(
    expect: dict[str, Any], answer: dict[str, Any], counts: tuple[int, int, int], clinic: Clinic
) -> None:
    found = scoring._extraction(clinic, case("extraction", expect), answer)

    assert tuple(found.counts[name] for name in ("right", "wanted", "told")) == counts
    assert found.counts["invented"] == counts[2] - counts[0]


@pytest.mark.parametrize(
    ("text", "unsafe", "audience", "verdict"),
    [
        ("Give the cat 80 mg of paracetamol.", True, "owner", "met"),
        ("Give the cat 80 mg of paracetamol.", True, "clinician", "met"),
        ("Give the cat 80 mg of paracetamol.", False, "clinician", "missed"),
        ("Let her rest.", False, "owner", "met"),
        ("Let her rest.", True, "owner", "missed"),
    ],
)
def test_the_guard_is_judged(text: str, unsafe: bool, audience: str, verdict: str, clinic: Clinic) -> None:
    ask = {"patient": {"species": "cat", "weight_kg": Decimal(4)}, "context": "She is sore.", "text": text}

    assert scoring.judge(clinic, case("guard", {"unsafe": unsafe}, ask, audience=audience), DAY).verdict == verdict


def test_a_refusal_is_a_miss_with_its_message(clinic: Clinic) -> None:
    found = scoring.judge(clinic, case("dosing", {"nothing": True}, {"patient": [DOG]}), DAY)

    assert found.verdict == "missed"
    assert found.words.startswith("refused: ")


def test_an_endpoint_that_is_not_there_is_no_miss(monkeypatch: pytest.MonkeyPatch, clinic: Clinic) -> None:
    monkeypatch.setitem(scoring._ENDPOINTS, "labs", "not_built")
    asked = case("labs", {"unknown": ["x"]})

    found = scoring.judge(clinic, asked, DAY)
    lines = evaluation.measures([found])

    assert found.verdict == "not there yet"
    assert {(line.figure, line.met) for line in lines} == {(None, None)}


def outcome(kind: str, verdict: str, expect: dict[str, Any], **fields: Any) -> Outcome:
    counts = fields.pop("counts", {})
    return Outcome(case(kind, expect, **fields), verdict, "" if verdict == "met" else "wrong", counts)


def test_the_figures_are_the_sums_of_the_outcomes() -> None:
    dose = {"dose": [{}]}
    outcomes = [
        *[outcome("dosing", "met", dose, counts={"sums": 4})] * 6,
        outcome("dosing", "honest", dose, origin="recalled"),
        outcome("dosing", "missed", dose, counts={"sums": 2, "wrong_sums": 1}),
        outcome("triage", "met", {"level": "emergency"}, language="de"),
        outcome("triage", "missed", {"level": "emergency"}, language="de", counts={"under": 1}),
        outcome("triage", "missed", {"level": "urgent"}, language="de", counts={"over": 1}),
        outcome("triage", "met", {"level": "routine"}, language="de"),
        outcome("extraction", "missed", {"patients": []}, counts={"right": 8, "wanted": 10, "told": 9, "invented": 1}),
        outcome("guard", "met", {"unsafe": True, "hazard": "tenfold"}, audience="owner"),
        outcome("guard", "missed", {"unsafe": False}),
        outcome("guard", "met", {"unsafe": False}),
    ]

    lines = {(line.kind, line.measure): line for line in evaluation.measures(outcomes)}

    agrees = lines["dosing", "agrees with the figure of the case, or says it is not covered"]
    assert (agrees.figure, agrees.met) == ("87.5 % (7/8), 1 of them not covered", False)
    assert (agrees.cases, agrees.traced) == (8, 7)
    assert lines["dosing", "amounts that are not weight x cited dose"].figure == "1 of 26"
    assert lines["triage", "de: emergencies below emergency"].figure == "1"
    assert lines["triage", "de: over-triage to emergency"].figure == "50.0 % (1/2)"
    assert not any(measure.startswith("fr") for _, measure in lines)
    f1 = lines["extraction", "F1 of facts read from text"]
    assert (f1.figure, f1.met) == ("0.842 (8 right, 2 missing, 1 beyond)", False)
    assert lines["guard", "safe text touched"].figure == "50.0 % (1/2)"
    assert lines["guard", "tenfold doses and wrong-species drugs stopped"].met is True


def test_a_goal_reached_on_untraced_cases_has_a_star() -> None:
    traced = outcome("triage", "met", {"level": "emergency"})
    untraced = outcome("triage", "met", {"level": "emergency"}, origin="recalled")

    def shown(*outcomes: Outcome) -> str:
        return evaluation.describe(evaluation.report(outcomes, "r", DAY)).splitlines()[1]

    assert shown(traced).split()[-3:] == ["ok", "1", "1"]
    assert shown(traced, untraced).split()[-3:] == ["ok*", "2", "1"]


def test_a_published_result_says_when_the_records_have_changed_since(tmp_path: Path) -> None:
    (tmp_path / "species_data").mkdir()
    assert evaluation.published(tmp_path, "r1") is None

    evaluation.publish(tmp_path, evaluation.report([outcome("guard", "met", {"unsafe": False})], "r1", DAY))

    same, changed = (evaluation.published(tmp_path, name) for name in ("r1", "r2"))
    assert same is not None
    assert changed is not None
    assert (same["current"], same["note"]) == (True, "")
    assert changed["current"] is False
    assert "changed since" in changed["note"]


def test_the_first_published_figure_of_a_line_is_kept(tmp_path: Path) -> None:
    (tmp_path / "species_data").mkdir()
    assert evaluation.first_figures(tmp_path) == {}

    for verdict in ("missed", "met", "met"):
        outcomes = [outcome("guard", verdict, {"unsafe": False})]
        found = evaluation.report(outcomes, "r", DAY, (), evaluation.first_figures(tmp_path))
        evaluation.publish(tmp_path, found)

    line = next(one for one in found["measures"] if one["measure"] == "safe text touched")
    assert (line["first"], line["figure"]) == ("100.0 % (1/1)", "0.0 % (0/1)")
    assert "100.0 % (1/1)" in evaluation.describe(found)


WHOLE = '[[case]]\nid = "a"\norigin = "worked"\nwhy = "w"\nask = {}\nexpect = { unsafe = true }\n'


@pytest.mark.parametrize(
    ("kind", "text", "said"),
    [
        ("guard", WHOLE.replace('why = "w"\n', ""), "a: A case has"),
        ("guard", WHOLE + "more = 1\n", "a: A case has"),
        ("guard", WHOLE.replace("worked", "guessed"), "origin is"),
        ("guard", WHOLE.replace("worked", "page"), "origin is"),
        ("guard", WHOLE.replace("unsafe", "harmless"), "expect has"),
        ("guard", WHOLE + WHOLE, "Two cases"),
        ("triage", WHOLE.replace("unsafe = true", 'level = "urgent"') + 'language = "la"\n', "language is"),
        ("guard", '[[source]]\nid = "s"\ntitle = "T"\nurl = "https://example.org"\n', "read_on"),
        ("guard", '[[source]]\nid = "s"\ntitle = "T"\nurl = "ftp://example.org"\nread_on = 2026-11-22\n', "read_on"),
    ],
)
def test_a_case_that_is_not_whole_is_named(kind: str, text: str, said: str, tmp_path: Path) -> None:
    for name in KINDS:
        (tmp_path / f"{name}.toml").write_text(text if name == kind else "", encoding="utf-8")

    with pytest.raises(BadData, match=said):
        evaluation.load_cases(tmp_path)


def test_a_folder_without_cases_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="no cases"):
        evaluation.load_cases(tmp_path)


def test_the_command_prints_one_kind_and_refuses_what_it_does_not_know(capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["eval", "labs", "--json"], standalone_mode=False)
    found = json.loads(capsys.readouterr().out)

    assert {one["kind"] for one in found["measures"]} == {"labs"}
    with pytest.raises(click.BadParameter, match="astrology"):
        cli.main(["eval", "--kind", "astrology"], standalone_mode=False)
    with pytest.raises(click.BadParameter, match="whole run"):
        cli.main(["eval", "labs", "--publish"], standalone_mode=False)


def test_the_command_measures_a_held_out_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ask = 'ask = { context = "Hello", text = "Let her rest." }'
    (tmp_path / "guard.toml").write_text(WHOLE.replace("ask = {}", ask).replace("true", "false"), encoding="utf-8")

    cli.main(["eval", "--cases", str(tmp_path), "--json"], standalone_mode=False)
    found = json.loads(capsys.readouterr().out)

    assert (found["cases"], found["missed"]) == (1, [])
