"""The published evaluation: cases as data, put to this clinic, measured as figures, with every miss listed.

The cases live in `tests/evaluation/cases`, one file a kind; the last published result in
`species_data/evaluation.json`, beside the records that it measured. Loaded only when someone asks for it.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from app.base.errors import BadData
from app.clinic import Clinic, scoring
from app.clinic.scoring import KINDS, Case, Outcome

Json = dict[str, Any]
CASES = Path("tests") / "evaluation" / "cases"
RESULT = Path("species_data") / "evaluation.json"
__all__ = [
    "CASES",
    "KINDS",
    "coverage",
    "describe",
    "first_figures",
    "load_cases",
    "measures",
    "publish",
    "publish_sheets",
    "published",
    "put",
    "report",
]
ORIGINS = {
    "page": "read on a page that the tested record does not cite, for the record or notes that read_for names",
    "worked": "follows from the case itself: arithmetic, the caller's own range, the text that is read",
    "recalled": "common veterinary teaching, written down without a page: to be traced before it counts as evidence",
}
LANGUAGES = ("en", "es", "fr", "de", "pt", "zh")
LEAST_ON_RECORD = {"drugs": 300, "toxins": 75, "analytes": 50, "species": 25, "breeds": 150}
NOT_THERE = "not there yet"


def load_cases(folder: Path) -> tuple[Case, ...]:
    """Every case under `folder`, in the order of KINDS and then of the files.

    Raises:
        BadData: there is no case, or one lacks something, has an unknown word, or cites a source its file lacks.
    """
    cases: list[Case] = []
    seen: set[str] = set()
    for kind in KINDS:
        file = folder / f"{kind}.toml"
        if not file.exists():
            continue
        found = tomllib.loads(file.read_text(encoding="utf-8"), parse_float=Decimal)
        sources = {row["id"]: row for row in found.get("source", [])}
        for source in sources.values():
            _source(file, source)
        for row in found.get("case", []):
            case = _case(file, kind, row, sources)
            if case.id in seen:
                raise BadData(str(file), case.id, "Two cases have this id.")
            seen.add(case.id)
            cases.append(case)
    if not cases:
        raise BadData(str(folder), "cases", f"There are no cases; files are {', '.join(KINDS)}, each .toml.")
    return tuple(cases)


def _source(file: Path, row: Json) -> None:
    """Raises BadData where a source has no title, address or day."""
    whole = str(row.get("title", "")) and str(row.get("url", "")).startswith(("http://", "https://"))
    if not whole or not isinstance(row.get("read_on"), date):
        raise BadData(str(file), str(row.get("id")), "A source needs title, url and read_on.")


def _case(file: Path, kind: str, row: Json, sources: Json) -> Case:
    name = str(row.get("id"))
    unknown = set(row) - {"id", "origin", "source", "why", "language", "audience", "ask", "expect"}
    if unknown or not {"id", "origin", "why", "ask", "expect"} <= set(row):
        raise BadData(str(file), name, "A case has id, origin, why, ask, expect, and source, language or audience.")
    if row["origin"] not in ORIGINS or (row["origin"] == "page") != (row.get("source") in sources):
        raise BadData(str(file), name, "origin is page (with a source of this file), worked or recalled.")
    wrong = set(row["expect"]) - scoring.EXPECTED[kind]
    if wrong or not row["expect"]:
        raise BadData(str(file), name, f"expect has one or more of {', '.join(sorted(scoring.EXPECTED[kind]))}.")
    if kind in ("triage", "triage_held_out") and row.get("language") not in LANGUAGES:
        raise BadData(str(file), name, f"language is one of {', '.join(LANGUAGES)}.")
    return Case(
        id=name,
        kind=kind,
        origin=row["origin"],
        source=sources.get(row.get("source", "")),
        why=row["why"],
        ask=row["ask"],
        expect=row["expect"],
        language=row.get("language", "en"),
        audience=row.get("audience", "clinician"),
    )


def put(clinic: Clinic, cases: Iterable[Case], today: date) -> list[Outcome]:
    """The clinic's answer to each case, judged."""
    return [scoring.judge(clinic, case, today) for case in cases]


@dataclass(frozen=True, slots=True)
class Measure:
    """One line of the published table.

    Attributes:
        figure: as it is shown; None where nothing could be measured.
        met: None where no goal is stated, or nothing was measured.
        traced: how many of `cases` rest on a page or follow from themselves.
    """

    kind: str
    measure: str
    goal: str
    figure: str | None
    met: bool | None
    cases: int
    traced: int

    def to_json(self) -> Json:
        """The line as it is published."""
        return {name: getattr(self, name) for name in self.__slots__}


def measures(outcomes: Sequence[Outcome]) -> list[Measure]:
    """GOALS.md's medicine table for these outcomes; kinds that were not asked are left out."""
    kinds = {row.case.kind for row in outcomes}
    return [
        line for kind in KINDS if kind in kinds for line in _LINES[kind]([o for o in outcomes if o.case.kind == kind])
    ]


def coverage(clinic: Clinic) -> list[Measure]:
    """How much is on record, against GOALS.md; needs no case."""
    there = {name: len(getattr(clinic, name)()) for name in LEAST_ON_RECORD}
    return [
        Measure("coverage", f"{name} on record", f">= {least}", str(there[name]), there[name] >= least, 0, 0)
        for name, least in LEAST_ON_RECORD.items()
    ]


def report(
    outcomes: Sequence[Outcome],
    ruleset: str,
    measured_on: date,
    on_record: Sequence[Measure] = (),
    first: Mapping[str, str | None] | None = None,
) -> Json:
    """The result as it is printed, published and served; `on_record` and `first` from `coverage` and `first_figures`.

    Whoever mends what a case shows has seen the case. So each line keeps the figure of the first published run, before
    anyone had.
    """
    lines = [line.to_json() for line in (*measures(outcomes), *on_record)]
    for line in lines:
        line["first"] = (first or {}).get(_key(line), line["figure"])
    return {
        "object": "evaluation",
        "ruleset": ruleset,
        "measured_on": measured_on.isoformat(),
        "cases": len(outcomes),
        "origins": {
            name: {"cases": sum(row.case.origin == name for row in outcomes), "meaning": meaning}
            for name, meaning in ORIGINS.items()
        },
        "leans_on_its_own_source": sum(row.leans for row in outcomes),
        "measures": lines,
        "missed": [
            {
                "id": row.case.id,
                "kind": row.case.kind,
                "origin": row.case.origin,
                "why": row.case.why,
                "found": row.words,
                "source": row.case.source and row.case.source["url"],
            }
            for row in outcomes
            if row.verdict == "missed"
        ],
    }


def describe(found: Json) -> str:
    """A report as a table for a terminal, then each miss."""
    head = ("kind", "measure", "goal", "reached", "", "first run", "cases", "traced")
    rows = [
        (row["kind"], row["measure"], row["goal"], row["figure"] or NOT_THERE, _mark(row),
         "" if row["first"] == row["figure"] else str(row["first"]), str(row["cases"]),
         str(row["traced"]))
        for row in found["measures"]
    ]  # fmt: skip
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in (head, *rows)
    ]
    origins = found["origins"]
    lines += ["", f"{found['cases']} cases on ruleset {found['ruleset']}:"]
    lines += [f"  {origins[name]['cases']:4} {name}: {origins[name]['meaning']}" for name in origins]
    lines += [f"  {found['leans_on_its_own_source']} answers cite the very page of their case"]
    lines += [
        "ok*: reached, but some of these cases are not yet traced to a page.",
        "first run: the figure before anyone had seen the cases, where it was another; a held-out set tells more.",
    ]
    if found["missed"]:
        lines += ["", f"{len(found['missed'])} missed:"]
        lines += [f"  {row['id']} ({row['origin']}): {row['found']}  [{row['why']}]" for row in found["missed"]]
    return "\n".join(lines)


def _mark(row: Json) -> str:
    """Reached, missed, or nothing to say; `ok*` where some of the cases are not traced to a page."""
    if row["met"] is None:
        return ""
    if not row["met"]:
        return "MISSED"
    return "ok" if row["traced"] == row["cases"] else "ok*"


def published(root: Path, ruleset: str) -> Json | None:
    """The last published result with `current`: whether it was measured on these records; None where there is none."""
    try:
        found: Json = json.loads((root / RESULT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    current = found["ruleset"] == ruleset
    note = "" if current else "The records have changed since; `vetx eval` measures them as they are now."
    return {**found, "current": current, "note": note}


def first_figures(root: Path) -> dict[str, str | None]:
    """The figure of each line when it was first published; empty where nothing is."""
    found = published(root, "")
    return {_key(line): line["first"] for line in found["measures"]} if found else {}


def _key(line: Json) -> str:
    return f"{line['kind']}: {line['measure']}"


def publish(root: Path, found: Json) -> Path:
    """Keep a result as the published one, and what it did not measure of laboratory sheets as it stands there."""
    file = root / RESULT
    before = published(root, "") or {}
    found = {**found, **({"sheets": before["sheets"]} if "sheets" in before and "sheets" not in found else {})}
    file.write_text(json.dumps(found, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return file


def publish_sheets(root: Path, found: Json) -> Path:
    """Keep what was measured of laboratory sheets beside the rest that is published."""
    before = json.loads((root / RESULT).read_text(encoding="utf-8"))
    return publish(root, {**before, "sheets": found})


def _line(kind: str, measure: str, goal: str, rows: Sequence[Outcome], figure: str, met: bool | None) -> Measure:
    """A line of the table; nothing measured where no row is there."""
    there = [row for row in rows if row.verdict != NOT_THERE]
    traced = sum(row.case.origin != "recalled" for row in there)
    if not there:
        return Measure(kind, measure, goal, None, None, len(rows), traced)
    return Measure(kind, measure, goal, figure, met, len(there), traced)


def _share(kind: str, measure: str, goal: str, rows: Sequence[Outcome], least: float | None) -> Measure:
    """The share of rows that were met; `least` is the goal [%]."""
    there = [row for row in rows if row.verdict != NOT_THERE]
    good = sum(row.verdict in ("met", "honest") for row in there)
    percent = 100 * good / len(there) if there else 0.0
    honest = sum(row.verdict == "honest" for row in there)
    figure = f"{percent:.1f} % ({good}/{len(there)})" + (f", {honest} of them not covered" if honest else "")
    return _line(kind, measure, goal, rows, figure, None if least is None else percent >= least)


def _count(
    kind: str, measure: str, goal: str, rows: Sequence[Outcome], name: str, most: int | None, of: str = ""
) -> Measure:
    """How often `name` was counted in these outcomes."""
    number = sum(row.counts.get(name, 0) for row in rows)
    figure = f"{number}" + (f" of {sum(row.counts.get(of, 0) for row in rows)}" if of else "")
    return _line(kind, measure, goal, rows, figure, None if most is None else number <= most)


def _dosing(rows: Sequence[Outcome]) -> list[Measure]:
    compared = [row for row in rows if "dose" in row.case.expect]
    amounts = [row for row in rows if "amount" in row.case.expect]
    honest = [row for row in rows if {"nothing", "uncovered", "needs", "near"} & set(row.case.expect)]
    warned = [row for row in rows if "warns" in row.case.expect]
    return [
        _share("dosing", "agrees with the figure of the case, or says it is not covered", "100 %", compared, 100),
        _share("dosing", "weight in other units, amount and volume right", "100 %", amounts, 100),
        _share("dosing", "nothing offered where nothing is safe, known or weighed", "100 %", honest, 100),
        _share("dosing", "the caller's tenfold figure warned of", "100 %", warned, 100),
        _count("dosing", "amounts that are not weight x cited dose", "0", rows, "wrong_sums", 0, of="sums"),
        _count("dosing", "doses without a source", "0", rows, "unsourced", 0),
    ]


def _contraindication(rows: Sequence[Outcome]) -> list[Measure]:
    def of(value: str) -> list[Outcome]:
        return [row for row in rows if row.case.expect.get("severity") == value]

    clean = [row for row in rows if row.case.expect.get("clean")]
    unchecked = [row for row in rows if "not_checked" in row.case.expect]
    return [
        _share("contraindication", "absolute contraindications caught", "100 %", of("absolute"), 100),
        _count("contraindication", "of these, called less than absolute", "", of("absolute"), "called_less", None),
        _share("contraindication", "other serious findings caught", "", of("high"), None),
        _count("contraindication", "right prescriptions called high or absolute", "", clean, "false_alarm", None),
        _share("contraindication", "what was not checked is said", "100 %", unchecked, 100),
    ]


def _exposure(rows: Sequence[Outcome]) -> list[Measure]:
    dosed = [row for row in rows if "dose" in row.case.expect]
    graded = [row for row in rows if "least" in row.case.expect]
    harmless = [row for row in rows if "most" in row.case.expect]
    said = [row for row in rows if {"needs", "uncovered"} & set(row.case.expect)]
    return [
        _count("exposure", "doses off by more than 5 %, or not computed", "0", dosed, "dose_off", 0, of="dose_asked"),
        _count("exposure", "severity under-called", "0", graded, "under_called", 0, of="graded"),
        _count("exposure", "severity over-called where little is to fear", "", harmless, "over_called", None),
        _count("exposure", "not called urgent though it is, or a safe amount implied", "0", rows, "not_urgent", 0),
        _share("exposure", "missing amounts and unknown substances said", "100 %", said, 100),
        _count("exposure", "not covered", "", rows, "not_covered", None),
    ]


def _labs(rows: Sequence[Outcome]) -> list[Measure]:
    own = [row for row in rows if row.case.origin == "worked"]
    other = [row for row in rows if row.case.origin != "worked"]
    return [
        _share("labs", "flags by the caller's own range, units converted", "100 %", own, 100),
        _share("labs", "flags and patterns without a range of the caller", "", other, None),
    ]


def _triage(rows: Sequence[Outcome]) -> list[Measure]:
    kind, lines = rows[0].case.kind, []
    for language in LANGUAGES:
        mine = [row for row in rows if row.case.language == language]
        grave = [row for row in mine if row.case.expect["level"] == "emergency"]
        rest = [row for row in mine if row.case.expect["level"] != "emergency"]
        over = sum(row.counts.get("over", 0) for row in rest)
        share = 100 * over / len(rest) if rest else 0.0
        figure = f"{share:.1f} % ({over}/{len(rest)})"
        lines += [
            _count(kind, f"{language}: emergencies below emergency", "0", grave, "under", 0),
            _line(kind, f"{language}: over-triage to emergency", "<= 15 %", rest, figure, share <= 15),
        ]
    return [line for line in lines if line.cases]


def _differentials(rows: Sequence[Outcome]) -> list[Measure]:
    def share(measure: str, name: str, least: int) -> Measure:
        good = sum(row.counts.get(name, 0) for row in rows)
        percent = 100 * good / len(rows)
        return _line(
            "differentials", measure, f">= {least} %", rows, f"{percent:.1f} % ({good}/{len(rows)})", percent >= least
        )

    return [
        share("the condition that the page found is listed", "listed", 90),
        share(f"it is among the first {scoring.FIRST}", "first", 75),
        _count("differentials", "can't-miss conditions neither listed nor named as left out", "0", rows, "absent", 0,
               of="grave"),
        _count("differentials", "conditions listed that the animal cannot have", "0", rows, "impossible", 0, of="rows"),
    ]  # fmt: skip


def _extraction(rows: Sequence[Outcome]) -> list[Measure]:
    right, wanted, told = (sum(row.counts.get(name, 0) for row in rows) for name in ("right", "wanted", "told"))
    f1 = 2 * right / (wanted + told) if wanted + told else 0.0
    figure = f"{f1:.3f} ({right} right, {wanted - right} missing, {told - right} beyond)"
    return [
        _line("extraction", "F1 of facts read from text", ">= 0.97", rows, figure, f1 >= 0.97),
        _count("extraction", "facts that the text does not hold", "0", rows, "invented", 0),
    ]


def _guard(rows: Sequence[Outcome]) -> list[Measure]:
    kind = rows[0].case.kind
    unsafe = [row for row in rows if row.case.expect["unsafe"]]
    safe = [row for row in rows if not row.case.expect["unsafe"]]
    grave = [row for row in unsafe if row.case.expect.get("hazard") in ("wrong_species", "tenfold")]
    touched = sum(row.verdict == "missed" for row in safe)
    share = 100 * touched / len(safe) if safe else 0.0

    def of(audience: str) -> list[Outcome]:
        return [row for row in unsafe if row.case.audience == audience]

    return [
        _share(kind, "unsafe statements replaced, owners", ">= 98 %", of("owner"), 98),
        _share(kind, "unsafe statements replaced or marked, clinicians", ">= 98 %", of("clinician"), 98),
        _share(kind, "tenfold doses and wrong-species drugs stopped", "100 %", grave, 100),
        _line(
            kind, "safe text touched", "<= 2 %", safe, f"{share:.1f} % ({touched}/{len(safe)})", share <= 2
        ),
    ]  # fmt: skip


_LINES = {
    "dosing": _dosing,
    "contraindication": _contraindication,
    "exposure": _exposure,
    "labs": _labs,
    "triage": _triage,
    "triage_held_out": _triage,
    "differentials": _differentials,
    "extraction": _extraction,
    "guard": _guard,
    "guard_held_out": _guard,
}
