"""From the assessment of a conversation to a document: what was computed in its places, and our own words beside it.

The same facts give the same document. An engine's words take the place of ours; nothing else of a document is its own.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

import msgspec

from app.base.messages import Facts, Triage
from app.clinic.documents import KINDS, Kind, Patient, decoder, words_schema
from app.clinic.records import Flag, Records
from app.clinic.units import spelt

Json = dict[str, Any]

DOSES_MAX: Final = 8
RULES_MAX: Final = 3
DIFFERENTIALS_MAX: Final = 12
OF_A_NOTE_MAX: Final = 6
RETURN_SIGNS: Final = (
    "bloat-gdv", "urinary-obstruction-male-cat", "cat-open-mouth-breathing", "cat-cold-painful-hind-legs",
    "rabbit-not-eating", "rabbit-diarrhoea", "horse-colic", "horse-choke", "cattle-bloat", "down-cow",
    "bird-too-weak-to-perch", "bird-beak-open-tail-bob", "breathing-difficulty", "collapse-unresponsive", "seizure-now",
    "pale-or-white-gums", "blue-gums", "severe-bleeding", "cannot-urinate", "vomiting-blood-or-nonstop",
    "severe-belly-pain",
)  # fmt: skip
"""Red flags that every owner is told of where the animal can have them: those of its own kind, then everybody's."""
_THRESHOLDS_MAX: Final = 6
_EFFECTS_MAX: Final = 8
_CONTACTS_MAX: Final = 8
_ASK_MAX: Final = 10
_SOURCES_A_ROW: Final = 2
_FIELDS: Final = Patient.__struct_fields__
_LISTS: Final = frozenset(("genotype", "conditions", "allergies", "medications"))
_MEDICATION: Final = ("name", "amount", "unit", "route", "frequency", "started_on", "stopped_on")
_ASIDE: Final = re.compile(r" ?\([^()]*\)")
_PRESSING: Final[tuple[Literal["emergency"], Literal["urgent"]]] = ("emergency", "urgent")
_ABBREVIATIONS: Final = frozenset(
    ("alp", "alt", "aptt", "ast", "ck", "ggt", "gldh", "ldh", "mchc", "mcv", "pcv", "rbc", "sdh", "sdma", "t4", "tli",
     "tsh", "upc", "wbc")
)  # fmt: skip
_TIMES: Final[Mapping[str, tuple[int, str]]] = {"emergency": (0, "red"), "urgent": (60, "yellow")}
_REMARK: Final = re.compile(
    r"low(er|est)? (end|reported|dose)|any amount|tiny amounts|.*\bpossible (at|with) any|small"
)
_FREQUENCY: Final = re.compile(r"\bq(\d+)h\b")
_OFTEN: Final = {"24": "once a day", "12": "twice a day", "8": "three times a day", "48": "every other day"}
_HEADLINES: Final = {
    "emergency": "EMERGENCY: this animal needs a vet now.",
    "urgent": "URGENT: this animal should be seen today, as soon as a vet can take it.",
    "routine": "Routine: nothing named here says that it can't wait for an appointment.",
    "home_care": "Home care: what was named can be watched at home.",
}
_ONE_AT_A_TIME: Final = "Several animals were named, so no list was made: ask about one animal at a time."
_NOTHING: Final = "Nothing here says that an animal is ill; say what you see, or describe the animal."


@dataclass(frozen=True, slots=True)
class Case:
    """What a document is made from.

    Attributes:
        said: the user's messages. labs, differentials: answers of those questions; {} where there is nothing to ask.
        headlines: for each level of triage how the reader's language says it; {} for English.
    """

    facts: Facts
    said: Sequence[str]
    labs: Json
    differentials: Json
    records: Records
    ruleset: str
    headlines: Mapping[str, str] = field(default_factory=dict)


class Draft:
    """One document, whole but for the words that an engine may write instead of ours.

    Attributes:
        words_schema: the JSON Schema of those words.
        task: what an engine is told.
    """

    def __init__(self, kind: Kind, document: Json) -> None:
        self._kind = kind
        self._document = document
        self._text: str | None = None
        self.words_schema = words_schema(kind.name)
        self.task = (
            f"Answer with one JSON object and nothing else. It is {kind.task}. Its fields, all required: "
            f"{', '.join(kind.places)}. The patient, every computed figure, the urgency and the sources are added to "
            "the document from the facts above, not by you: write words, and repeat no figure that isn't above. The "
            "lines below are in the document already; yours come after them, and your sentences replace these:\n"
            + msgspec.json.encode({name: _at(document, path) for name, path in kind.places.items()}).decode()
        )

    def text(self) -> str:
        """The document with our own words, as JSON."""
        if self._text is None:
            self._text = self._checked(self._document)
        return self._text

    def with_words(self, text: str, judge: Callable[[str], str]) -> str:
        """The document with an engine's words, as JSON.

        Args:
            text: the JSON that the engine wrote. judge: gives what may go out of each string.

        Raises:
            ValueError: it isn't the words of this document.
        """
        try:
            words = msgspec.to_builtins(decoder(self._kind.name).decode(text.strip()))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ValueError("not the words of this document") from error
        document = dict(self._document)
        for name, path in self._kind.places.items():
            part = document
            for step in path[:-1]:
                part[step] = part = dict(part[step])
            said = words[name]
            if isinstance(said, str):
                part[path[-1]] = judge(said)
            else:
                part[path[-1]] = list(dict.fromkeys([*part[path[-1]], *(judge(line) for line in said)]))
        return self._checked(document)

    def _checked(self, document: Json) -> str:
        msgspec.convert(document, self._kind.whole)
        return msgspec.json.encode(document).decode()


def _at(document: Json, path: Sequence[str]) -> Any:
    value: Any = document
    for step in path:
        value = value[step]
    return value


def draft(name: str, case: Case) -> Draft:
    """The document of that name (`soap`, …) of a case."""
    page = _Page(case)
    parts = _PARTS[name](page)
    facts = case.facts
    patients = [_patient(one) for one in facts.patients]
    return Draft(
        KINDS[name],
        {
            "document": name,
            "status": "draft",
            "ruleset": case.ruleset,
            "audience": facts.audience,
            "patient": patients[0] if len(patients) == 1 else None,
            "patients": patients,
            **parts,
            "sources": page.sources(),
            "notice": facts.notice,
        },
    )


def _patient(shape: Mapping[str, Any]) -> Json:
    """A patient with all its fields, without the spans of the text it was read from."""
    row = {name: shape.get(name) for name in _FIELDS}
    row |= {name: list(shape.get(name) or []) for name in _LISTS}
    if row["weight"] is not None:
        row["weight"] = {"measured_on": None, **row["weight"]}
    row["medications"] = [
        one if isinstance(one, str) else {name: one.get(name) for name in _MEDICATION}
        for one in shape.get("medications") or ()
    ]
    return row


class _Page:
    """The parts that documents share; notes which sources were cited."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.facts = replace(case.facts, triage=_raised(case.facts.triage, case.labs))
        self.owner = case.facts.audience == "owner"
        self._sources: dict[tuple[str, str], Json] = {}

    def cite(self, *cited: Any) -> list[int]:
        """The numbers of these sources (rows, or lists of rows), at most two."""
        numbers: list[int] = []
        for one in cited:
            for source in one if isinstance(one, list | tuple) else [one]:
                if isinstance(source, Mapping) and source.get("title") and len(numbers) < _SOURCES_A_ROW:
                    key = (str(source["title"]), str(source.get("url") or ""))
                    row = self._sources.setdefault(key, {"number": len(self._sources) + 1, **_source(source)})
                    numbers.append(row["number"])
        return list(dict.fromkeys(numbers))

    def sources(self) -> list[Json]:
        """Everything cited so far."""
        return list(self._sources.values())

    def quote(self, span: Any) -> str | None:
        """The words at a span; None where there are several messages that it could be in."""
        if len(self.case.said) != 1 or not isinstance(span, list | tuple) or len(span) != 2:
            return None
        return self.case.said[0][span[0] : span[1]] or None

    def urgency(self) -> Json | None:
        triage = self.facts.triage
        if triage is None:
            return None
        return {
            "level": triage.level,
            "see_within_min": triage.see_within_min,
            "vtl_colour": triage.vtl_colour,
            "reason": triage.reason,
            "red_flags": [
                {
                    "sign": str(row["sign"]),
                    "reason": str(row.get("reason") or ""),
                    "quote": self.quote(row.get("span")),
                    "sources": self.cite(row.get("source")),
                }
                for row in triage.red_flags
            ],
        }

    def contacts(self) -> list[Json]:
        return [
            {
                "name": str(row["name"]),
                "phone": str(row["phone"]),
                "country": row.get("country") or None,
                "fee": row.get("fee") or None,
                "sources": self.cite(row.get("sources")),
            }
            for row in (self.facts.triage.contacts if self.facts.triage else ())[:_CONTACTS_MAX]
        ]

    def vitals(self) -> list[Json]:
        names = ("name", "value", "unit", "comparator", "flag")
        return [
            {name: row.get(name) for name in names}
            | {name: (row.get("interval") or row).get(name) for name in ("low", "high")}
            | {"animal": row.get("patient"), "sources": self.cite(row.get("sources"), row.get("source"))}
            for row in self.facts.vitals
        ]

    def results(self) -> list[Json]:
        """The laboratory values, each held against its animal's interval."""
        return [self._result(row) for row in self.facts.analytes]

    def _result(self, row: Mapping[str, Any]) -> Json:
        interval, si = row.get("interval"), row.get("si")
        cited = row.get("sources") or (interval or {}).get("sources")
        names = ("low", "high", "unit")
        return {
            "analyte": str(row["analyte"]),
            "value": row.get("value"),
            "unit": row.get("unit"),
            "comparator": row.get("comparator") or None,
            "si": None if si is None else {"value": si["value"], "unit": si["unit"]},
            "interval": None
            if interval is None
            else {**{name: interval.get(name) for name in names}, "source": _word(interval.get("source"))},
            "flag": row.get("flag"),
            "why": row.get("why") or None,
            "animal": row.get("patient"),
            "sources": self.cite(cited),
        }

    def patterns(self) -> list[Json]:
        return [
            {
                "name": str(row["name"]),
                "why": str(row["why"]),
                "urgency": row.get("urgency"),
                "sources": self.cite(row.get("sources")),
            }
            for row in self.facts.patterns or self.case.labs.get("patterns", ())
        ]

    def exposures(self) -> list[Json]:
        return [
            self._exposure(row, answer) for answer in self.facts.exposures for row in (answer.get("agents") or [answer])
        ]

    def _exposure(self, row: Mapping[str, Any], answer: Mapping[str, Any]) -> Json:
        emesis, onset, dose = row.get("emesis") or {}, row.get("onset_h") or {}, row.get("dose")
        calculation = row.get("calculation") or {}
        hides = self.owner and emesis.get("advised") == "yes"
        return {
            "substance": str(row.get("title") or row.get("substance") or row.get("agent") or "something"),
            "agent": row.get("agent") or None,
            "covered": answer.get("covered") is not False,
            "happened": answer.get("status") != "asked",
            "dose": None if not dose or dose.get("value") is None else {"value": dose["value"], "unit": dose["unit"]},
            "formula": calculation.get("formula") or None,
            "severity": row.get("severity") or None,
            "no_safe_amount": bool(row.get("no_safe_amount")),
            "thresholds": [
                {name: bound.get(name) for name in ("value", "unit", "band", "effect", "reached")}
                | {"sources": self.cite(bound.get("sources"))}
                for bound in (row.get("thresholds") or [])[:_THRESHOLDS_MAX]
            ],
            "effects": _once(row.get("effects") or ())[:_EFFECTS_MAX],
            "onset_h": None
            if onset.get("min") is None
            else {"min": onset["min"], "max": _or(onset.get("max"), onset["min"]), "unit": "h"},
            "emesis": None
            if not emesis
            else {"advised": None, "why": "Only a vet decides whether to make it vomit; don't try it at home."}
            if hides
            else {"advised": emesis.get("advised"), "why": str(emesis.get("why") or "")},
            "antidotes": [] if self.owner else [str(one) for one in row.get("antidotes") or ()],
            "actions": [] if self.owner else [str(one) for one in row.get("actions") or ()],
            "animal": answer.get("patient"),
            "sources": self.cite(row.get("sources"), answer.get("sources")),
        }

    def warnings(self) -> list[Json]:
        """What was found of drugs, by `check` and beside the doses, the gravest first."""
        rows: dict[str, Json] = {}
        beside = [(row, answer.get("patient")) for answer in self.facts.doses for row in answer.get("warnings") or ()]
        for row, animal in (*((row, row.get("patient")) for row in self.facts.findings), *beside):
            rows.setdefault(
                str(row["text"]),
                {
                    "rule": row.get("rule") or None,
                    "severity": row["severity"],
                    "drugs": [str(one) for one in row.get("drugs") or ()],
                    "text": str(row["text"]),
                    "alternatives": [str(one) for one in row.get("alternatives") or ()],
                    "animal": animal,
                    "sources": self.cite(row.get("sources"), row.get("source")),
                },
            )
        return sorted(rows.values(), key=lambda row: _SEVERITIES.index(row["severity"]))

    def rules(self) -> list[Json]:
        """Standing rules, where drugs or poisons are spoken of at all and no finding says them already."""
        if not (self.facts.findings or self.facts.doses or self.facts.exposures):
            return []
        said = {str(row.get("rule")) for row in self.facts.findings}
        return [
            {"id": rule.id, "severity": rule.severity, "text": rule.text, "sources": self.cite(rule.source)}
            for rule in self.facts.rules
            if rule.id not in said
        ][:RULES_MAX]

    def not_checked(self, *more: Iterable[Mapping[str, Any]]) -> list[Json]:
        rows = [*self.facts.not_checked, *(row for part in more for row in part)]
        kept = {(str(row["text"]), str(row["why"])): None for row in rows if row.get("text") and row.get("why")}
        return [{"text": text, "why": why} for text, why in kept]

    def unlisted(self) -> list[Json]:
        """That no differentials were made of several animals."""
        several = len(self.facts.patients) > 1
        return [{"text": "differentials", "why": "several_animals"}] if several else []

    def needs(self, *more: Iterable[Mapping[str, Any]]) -> list[Json]:
        kept: dict[str, Json] = {}
        for row in (*self.facts.needs, *(row for part in more for row in part)):
            kept.setdefault(str(row["ask"]), {name: str(row.get(name) or "") for name in ("field", "why", "ask")})
        return list(kept.values())[:_ASK_MAX]

    def doses(self) -> list[Json]:
        if self.owner:
            return []
        return [
            self._dose(row, answer) for answer in self.facts.doses for row in (answer.get("doses") or [])[:DOSES_MAX]
        ]

    def _dose(self, row: Mapping[str, Any], answer: Mapping[str, Any]) -> Json:
        per, volume, withdrawal = row.get("per_kg") or row.get("per_m2"), row.get("volume") or {}, row.get("withdrawal")
        strength = volume.get("strength")
        periods = ("meat_d", "milk_h", "eggs_d", "why")
        return {
            "drug": str(row.get("drug") or answer.get("drug") or ""),
            "indication": row.get("indication") or None,
            "route": row.get("route") or None,
            "per_kg": _range(per),
            "per": row.get("per") or None,
            "amount": _range(row.get("amount")),
            "per_administration": _range(row.get("per_administration")),
            "volume": _range(volume),
            "strength": _quantity(strength),
            "tablets": [
                {name: tablet.get(name) for name in ("count", "strength_mg", "amount_mg")}
                for tablet in row.get("tablets") or ()
            ],
            "formula": row.get("formula") or None,
            "frequency": row.get("frequency") or None,
            "max_single": _quantity(row.get("max_single")),
            "max_daily": _quantity(row.get("max_daily")),
            "duration_days": row.get("duration_days"),
            "status": row.get("status") or None,
            "jurisdiction": row.get("jurisdiction") or None,
            "withdrawal": None if not withdrawal else {name: withdrawal.get(name) or None for name in periods},
            "advised": bool(row.get("advised", True)),
            "notes": row.get("notes") or None,
            "animal": answer.get("patient"),
            "sources": self.cite(row.get("sources")),
        }

    def calculations(self, rows: Iterable[Mapping[str, Any]]) -> list[Json]:
        """Figures that stand nowhere else."""
        kept: dict[str, Json] = {}
        for row in rows:
            if row.get("name") not in ("dose", "exposure") and isinstance(row.get("result"), Mapping):
                kept.setdefault(msgspec.json.encode([row["name"], row["result"]]).decode(), dict(row))
        return [
            {
                "name": _spaced(row["name"]),
                "inputs": "; ".join(map(str, row.get("steps") or ()))
                or ", ".join(
                    f"{_spaced(name)} {_figure(value)}"
                    for name, value in (row.get("inputs") or {}).items()
                    if isinstance(value, int | float | str)
                ),
                "formula": str(row.get("formula") or ""),
                "result": _said(row["result"]),
                "sources": self.cite(row.get("sources")),
            }
            for row in kept.values()
        ]

    def differentials(self, most: int = DIFFERENTIALS_MAX) -> list[Json]:
        return [
            {
                "condition": str(row["condition"]),
                "urgency": str(row["urgency"]),
                "cant_miss": bool(row["cant_miss"]),
                "for": [str(one["text"]) for one in row["for"]],
                "against": [str(one["text"]) for one in row["against"]],
                "next_tests": list(row["next_tests"]),
                "why": str(row["why"]),
                "sources": self.cite(row["sources"]),
            }
            for row in self.case.differentials.get("differentials", ())[:most]
        ]

    def return_signs(self) -> list[Json]:
        """With which signs an animal of this kind goes to a vet at once: its own first, then those of every animal."""
        return [
            {"sign": flag.sign, "sources": self.cite(flag.sources[0].json)}
            for flag in _return_flags(self.facts, self.case.records)
        ]

    def told(self) -> list[Json]:
        """What was told of the animals, each with the words it was told in where they are known."""
        triage = self.facts.triage
        spans = {str(row["sign"]): row.get("span") for row in (triage.red_flags if triage else ())}
        rows = [_told("sign", sign, self.quote(spans.get(sign))) for sign in self.facts.signs]
        for answer in self.facts.exposures:
            what = ", ".join(_step(part) for part in answer.get("exposures") or ()) or str(answer.get("title") or "")
            asked = "asked about: " if answer.get("status") == "asked" else ""
            told = _told(
                "exposure", asked + (what or "something"), self.quote(answer.get("span")), answer.get("patient")
            )
            rows.append(told)
        for place, one in enumerate(self.facts.patients):
            for kind, name in (("condition", "conditions"), ("allergy", "allergies"), ("medication", "medications")):
                rows += [_told(kind, _line(line), None, place) for line in one.get(name) or ()]
        return rows


_SEVERITIES: Final = ("absolute", "high", "moderate", "info")


# The five.


def _soap(page: _Page) -> Json:
    facts, labs, found = page.facts, page.case.labs, page.case.differentials
    told, results, vitals, patterns = page.told(), page.results(), page.vitals(), page.patterns()
    differentials, exposures, warnings = page.differentials(OF_A_NOTE_MAX), page.exposures(), page.warnings()
    doses, alone = page.doses(), facts.patients[0] if len(facts.patients) == 1 else None
    tests = [str(row["test"]) for row in found.get("next_tests", ())]
    treatment = [_sentence(action) for row in exposures if row["happened"] for action in row["actions"]]
    return {
        "subjective": {"summary": _sentences(_animals(facts), *_told_words(told)), "told": told},
        "objective": {
            "summary": _sentences(*(_vital_words(row) for row in vitals), *(_result_words(row) for row in results))
            or "No vital signs and no laboratory values were given.",
            "weight_kg": alone.get("weight_kg") if alone else None,
            "vitals": vitals,
            "results": results,
            "patterns": patterns,
        },
        "assessment": {
            "summary": _sentences(
                _headline(facts.triage, page.case.headlines),
                *(_exposure_words(row) for row in exposures),
                *(row["text"] for row in warnings if row["severity"] in ("absolute", "high")),
                _differentials_words(differentials),
                *(f"{row['name']}: {row['why']}" for row in patterns),
            )
            or _NOTHING,
            "urgency": page.urgency(),
            "exposures": exposures,
            "differentials": differentials,
            "further_differentials": [],
            "warnings": warnings,
            "rules": page.rules(),
            "not_checked": page.not_checked(labs.get("not_checked", ()), found.get("not_checked", ()), page.unlisted()),
        },
        "plan": {
            "summary": _plan_words(page, doses, treatment, tests),
            "doses": doses,
            "calculations": page.calculations(() if page.owner else (*facts.calculations, *labs.get("derived", ()))),
            "treatment": list(dict.fromkeys(treatment)),
            "tests": tests,
            "monitoring": _watch(exposures),
            "ask": page.needs(labs.get("needs", ()), found.get("needs", ())),
            "contacts": page.contacts(),
        },
    }


def _triage_card(page: _Page) -> Json:
    facts, exposures = page.facts, page.exposures()
    triage = facts.triage
    do_not = _do_not(page, exposures)
    do_now = []
    if triage is not None and triage.level in ("emergency", "urgent"):
        do_now.append(
            "Call the nearest vet that is open, say what happened, and go."
            if triage.level == "emergency"
            else "Call a vet and ask to be seen today."
        )
    met = [row for row in exposures if row["happened"]]
    if met:
        do_now.append("Take what it swallowed or met with you, with its packaging, and note how much and when.")
    if not page.owner:
        do_now += [_sentence(action) for row in met for action in row["actions"]]
    return {
        "headline": _headline(triage, page.case.headlines),
        "urgency": page.urgency(),
        "exposures": exposures,
        "do_now": list(dict.fromkeys(do_now)),
        "do_not": do_not,
        "go_at_once_if": page.return_signs(),
        "ask_next": list(triage.ask_next) if triage else [],
        "contacts": page.contacts(),
        "not_checked": page.not_checked(),
    }


def _differentials(page: _Page) -> Json:
    found = page.case.differentials
    rows = page.differentials()
    return {
        "summary": _differentials_words(rows)
        or (_ONE_AT_A_TIME if len(page.facts.patients) > 1 else "")
        or "No condition on record fits what was told; name signs, laboratory values and the animal.",
        "urgency": page.urgency(),
        "findings": [
            {
                "finding": str(row.get("text") or row["finding"]),
                "direction": str(row["direction"]),
                "quote": page.quote(row.get("span")),
            }
            for row in found.get("findings", ())
        ],
        "differentials": rows,
        "further_differentials": [],
        "poisonings": [
            {"condition": str(row["condition"]), "for": [str(one["text"]) for one in row["for"]]}
            for row in found.get("poisonings", ())
        ],
        "ruled_out": [
            {"condition": str(row["condition"]), "why": str(row["why"])} for row in found.get("ruled_out", ())
        ],
        "next_tests": [{"test": str(row["test"]), "for": list(row["for"])} for row in found.get("next_tests", ())],
        "further_tests": [],
        "ask_next": [*(row["ask"] for row in page.needs(found.get("needs", ()))), *_asks(found)],
        "order": str(found.get("order") or ""),
        "not_checked": page.not_checked(found.get("not_checked", ()), page.unlisted()),
    }


def _discharge(page: _Page) -> Json:
    facts, exposures, warnings = page.facts, page.exposures(), page.warnings()
    one = facts.patients[0] if len(facts.patients) == 1 else {}
    name = str(one.get("name") or (f"your {one['species']}" if one.get("species") else "your animal"))
    triage = facts.triage
    pressing = triage if triage is not None and triage.level in ("emergency", "urgent") else None
    met = [row for row in exposures if row["happened"]]
    found = [_sentence(_owner_exposure(row)) for row in met]
    told = dict.fromkeys([*facts.signs, *(str(name) for one in facts.patients for name in one.get("conditions") or ())])
    found += [_sentence(f"You told us of this: {what}") for what in told]
    found += [_sentence(words) for row in page.vitals() if (words := _vital_words(row, plain=True))]
    found += [_sentence(words) for row in page.results() if (words := _result_words(row, plain=True))]
    doubted = {drug for row in warnings if row["severity"] in ("absolute", "high") for drug in row["drugs"]}
    medicines = [_medicine(line, doubted) for patient in facts.patients for line in patient.get("medications") or ()]
    home = ["Go to a vet first; nothing that can be done at home replaces that."] if pressing else []
    home += _watch(exposures, plain=True)
    home += [f"Before the next dose of {row['name']}, ask your vet." for row in medicines if row["check"]]
    if any(not row["check"] for row in medicines):
        others = "other " if any(row["check"] for row in medicines) else ""
        home.append(f"Give the {others}medicines, and only those, as your vet wrote them.")
    if not pressing:
        home.append("Keep it calm, and see that it can drink and rest.")
    check = [f"triage says {pressing.level}: {pressing.reason} Send it home only after that."] if pressing else []
    check += [f"{row['severity']}: {row['text']}" for row in warnings]
    check += [f"not checked: {row['text']} ({row['why'].replace('_', ' ')})" for row in page.not_checked()]
    check += [f"still to ask: {row['ask']}" for row in page.needs()]
    if medicines:
        check.append("medicines: read from your words; compare amount, frequency and how long with what you prescribed")
    return {
        "summary": _sentences(
            f"This letter is about {name}",
            *((_headline(pressing, page.case.headlines), pressing.reason) if pressing else ()),
        ),
        "what_we_found": list(dict.fromkeys(found)),
        "medicines": medicines,
        "at_home": list(dict.fromkeys(home)),
        "do_not": _do_not(page, exposures, plain=True),
        "come_back_at_once_if": page.return_signs(),
        "contacts": page.contacts(),
        "check_before_sending": [] if page.owner else check,
    }


def _medicine(line: Any, doubted: set[str]) -> Json:
    """A medicine as it was read, in plain words; `check` where a grave finding speaks against it."""
    name = str(line["name"]) if isinstance(line, Mapping) else str(line).split()[0]
    check = "A safety finding speaks against it: a vet decides before it is given again." if name in doubted else None
    words = _FREQUENCY.sub(lambda found: _OFTEN.get(found[1], f"every {found[1]} hours"), _line(line))
    return {"name": name, "as_read": re.sub(r"\bPO\b", "by mouth", words), "check": check}


def _lab_table(page: _Page) -> Json:
    labs, results, patterns = page.case.labs, page.results(), page.patterns()
    off = [_result_words(row) for row in results if row["flag"] not in (None, "N")]
    judged = any(row["flag"] for row in results)
    return {
        "summary": _sentences(*off, *(f"{row['name']}: {row['why']}" for row in patterns))
        or ("Every value that could be judged is inside its range." if judged else "No value here could be judged."),
        "urgency": labs.get("urgency"),
        "critical": [row["analyte"] for row in results if row["flag"] in ("LL", "HH")],
        "results": results,
        "derived": page.calculations(labs.get("derived", ())),
        "patterns": patterns,
        "comments": [f"{_analyte(row)}: {row['why']}." for row in results if row["why"]],
        "ask": page.needs(labs.get("needs", ())),
        "not_checked": page.not_checked(labs.get("not_checked", ())),
    }


_PARTS: Final[Mapping[str, Callable[[_Page], Json]]] = {
    "soap": _soap,
    "triage_card": _triage_card,
    "differentials": _differentials,
    "discharge": _discharge,
    "lab_table": _lab_table,
}


def _raised(triage: Triage | None, labs: Mapping[str, Any]) -> Triage | None:
    """The triage of what was told, raised where the laboratory values alone are more urgent."""
    level = next((one for one in _PRESSING if one == labs.get("urgency")), None)
    if level is None or (triage is not None and triage.level in _PRESSING[: _PRESSING.index(level) + 1]):
        return triage
    minutes, colour = _TIMES[level]
    named = [*labs.get("critical", ()), *(row["name"] for row in labs.get("patterns", ()) if row["urgency"] == level)]
    reason = f"By the laboratory values: {', '.join(dict.fromkeys(map(str, named))) or 'out of range'}."
    quiet = triage or Triage(level, minutes, colour, reason)
    return replace(quiet, level=level, see_within_min=minutes, vtl_colour=colour, reason=reason)


# Words.


def _headline(triage: Triage | None, headlines: Mapping[str, str]) -> str:
    """How soon, in the reader's language and in English."""
    if triage is None:
        return _NOTHING
    own, within = headlines.get(triage.level), triage.see_within_min
    said = f"{own} {_HEADLINES[triage.level]}" if own else _HEADLINES[triage.level]
    if not within:
        return said
    return f"{said} See a vet within {f'{within // 60} hours' if within >= 120 else f'{within} minutes'}."


def _animals(facts: Facts) -> str:
    return "; ".join(words for words in map(_animal, facts.patients) if words)


def _animal(one: Mapping[str, Any]) -> str:
    neutered = (
        {True: "neutered", False: "intact"}.get(one.get("neutered") or False) if one.get("neutered") is not None else ""
    )
    words = [str(one.get("name") or ""), str(one.get("breed") or ""), neutered or "", str(one.get("sex") or "")]
    words += [str(one.get("species") or "")]
    age = one.get("age") or {}
    told = [" ".join(word for word in words if word)]
    if age.get("value") is not None:
        told.append(f"{_figure(age['value'])} {age.get('unit') or ''}".strip())
    elif one.get("age_months") is not None:
        told.append(f"{_figure(one['age_months'])} months")
    if one.get("weight_kg") is not None:
        told.append(f"{_figure(one['weight_kg'])} kg")
    told += [name for name in ("pregnant", "lactating") if one.get(name)]
    return ", ".join(word for word in told if word)


def _told_words(told: Sequence[Json]) -> list[str]:
    """One sentence a kind of what was told."""
    leads = {"exposure": "Swallowed or met", "sign": "Signs", "condition": "Said to have", "allergy": "Allergic to",
             "medication": "Gets"}  # fmt: skip
    lines = []
    for kind, lead in leads.items():
        if rows := list(dict.fromkeys(row["text"] for row in told if row["kind"] == kind)):
            lines.append(f"{lead}: {'; '.join(rows)}")
    return lines or ["No sign, exposure or medication was told"]


def _vital_words(row: Json, *, plain: bool = False) -> str:
    said = f"{_spaced(row['name'])} {row['comparator'] or ''}{_figure(row['value'])} {_unit(row['unit'])}".strip()
    if row["low"] is None:
        return "" if plain else said
    side = {"L": "low", "H": "high"}.get(str(row["flag"]), "within the usual")
    return f"{said}: {side} (usual {_figure(row['low'])} to {_figure(row['high'])})"


def _result_words(row: Json, *, plain: bool = False) -> str:
    flag = {"LL": "critically low", "L": "low", "N": "normal", "H": "high", "HH": "critically high"}.get(
        str(row["flag"])
    )
    if plain:
        return f"The blood value {_analyte(row)} was {flag}" if flag and flag != "normal" else ""
    said = f"{_analyte(row)} {row['comparator'] or ''}{_figure(row['value'])} {_unit(row['unit'])}".strip()
    interval = row["interval"]
    if not flag or interval is None:
        return said
    ends = [_figure(interval[name]) for name in ("low", "high") if interval[name] is not None]
    return f"{said}: {flag} ({' to '.join(ends)} {_unit(interval['unit'])})".replace(" )", ")")


def _analyte(row: Json) -> str:
    name = str(row["analyte"])
    return name.upper() if name in _ABBREVIATIONS else name


def _exposure_words(row: Json) -> str:
    lead = "" if row["happened"] else "If it happened: "
    if not row["covered"]:
        return f"{lead}{row['substance']}: nothing is on record, so nothing is claimed of its danger"
    dose = f", {_figure(row['dose']['value'])} {_unit(row['dose']['unit'])}" if row["dose"] else ", dose not known"
    severity = f": {_spaced(row['severity'])}" if row["severity"] else ""
    safe = "; no amount of it is known to be safe for this animal" if row["no_safe_amount"] else ""
    return f"{lead}{row['substance']}{dose}{severity}{safe}"


def _owner_exposure(row: Json) -> str:
    if not row["covered"]:
        return f"It met {row['substance']}, of which we have no record"
    severity = f"; by what was told this is {_spaced(row['severity'])}" if row["severity"] else ""
    return f"It swallowed or met {row['substance']}{severity}"


def _differentials_words(rows: Sequence[Json]) -> str:
    missed = [row["condition"] for row in rows if row["cant_miss"]]
    others = [row["condition"] for row in rows if not row["cant_miss"]]
    parts = [f"must not be missed: {', '.join(missed)}"] if missed else []
    parts += [f"to think of{' also' if missed else ''}: {', '.join(others)}"] if others else []
    return _capital("; ".join(parts))


def _plan_words(page: _Page, doses: Sequence[Json], treatment: Sequence[str], tests: Sequence[str]) -> str:
    advised = "; ".join(_dose_words(row) for row in doses if row["advised"])
    said = [f"Doses on record, of which one a drug is to be chosen: {advised}"] if advised else []
    if page.owner and page.facts.doses:
        said.append("Doses of medicines are set by your vet after seeing the animal")
    elif doses and not said:
        said.append("Every dose on record stands under a finding against it; see the warnings")
    if treatment:
        said.append("Treat the exposure as listed")
    if tests:
        said.append(f"First tests: {', '.join(tests[:4])}")
    triage = page.facts.triage
    if triage is not None and triage.level in ("emergency", "urgent"):
        said.insert(0, "See the animal first; nothing here waits for the rest of this note")
    return _sentences(*said) or "Ask what is listed; nothing on record tells what to do yet."


def _dose_words(row: Json) -> str:
    amount = row["amount"] or row["per_kg"]
    figure = f"{_span(amount)} {_unit(amount['unit'])}" if amount else "as its record says"
    use = ", ".join(part for part in (row["indication"], row["route"]) if part)
    often = f", {row['frequency']}" if row["frequency"] else ""
    return f"{row['drug']} ({use}): {figure}{often}"


def _watch(exposures: Sequence[Json], *, plain: bool = False) -> list[str]:
    lines = []
    for row in exposures:
        if row["happened"] and row["effects"]:
            onset = row["onset_h"]
            when = f" from {_span(onset)} h after" if onset and not plain else ""
            lines.append(f"Watch{when} for: {'; '.join(row['effects'])}.")
    return lines


def _do_not(page: _Page, exposures: Sequence[Json], *, plain: bool = False) -> list[str]:
    lines = []
    owners = {rule.id: rule.owner_text for rule in page.case.records.rules} if plain else {}
    if exposures:
        against = any((row["emesis"] or {}).get("advised") in ("no", "contraindicated") for row in exposures)
        if against:
            lines.append("Do not make it vomit.")
        elif page.owner:
            lines.append("Do not make it vomit unless a vet tells you to.")
    if page.owner:
        lines.append("Do not give any medicine from your own cupboard.")
    lines += [
        _sentence(owners.get(row["rule"]) or row["text"])
        for row in page.warnings()
        if row["severity"] == "absolute" and row["drugs"]
    ]
    return lines


def _asks(found: Mapping[str, Any]) -> list[str]:
    return [str(row["ask"]) for row in found.get("ask_next", ())]


def _return_flags(facts: Facts, records: Records) -> list[Flag]:
    """Those of `RETURN_SIGNS` that one of these animals can have."""
    flags = {flag.id: flag for flag in records.flags}
    species = {one.get("species") for one in facts.patients}
    sexes = {one.get("sex") for one in facts.patients} or {None}
    return [
        flag
        for flag in (flags[name] for name in RETURN_SIGNS if name in flags)
        if ("any" in flag.species or species & set(flag.species)) and (not flag.sex or sexes & {None, flag.sex})
    ]


# Small things.


def _told(kind: str, text: str, quote: str | None, animal: int | None = None) -> Json:
    return {"kind": kind, "text": text, "quote": quote, "animal": animal}


def _step(part: Mapping[str, Any]) -> str:
    amount = part.get("amount") or {}
    what = str(part.get("product") or part.get("substance") or "something")
    hours = f", {_figure(part['hours_ago'])} h ago" if part.get("hours_ago") is not None else ""
    if amount.get("value") is None:
        return f"{what}, amount not known{hours}"
    return f"{_figure(amount['value'])} {_unit(amount.get('unit'))} of {what}{hours}"


def _once(effects: Iterable[Any]) -> list[str]:
    """Effects without remarks and asides, and without those that an earlier one names already."""
    said: list[str] = []
    for effect in (_ASIDE.sub("", str(effect)).partition(";")[0] for effect in effects):
        if not _REMARK.match(effect) and not any(effect in earlier for earlier in said):
            said.append(effect)
    return said


def _line(row: Any) -> str:
    if not isinstance(row, Mapping):
        return str(row)
    parts = [row.get("name"), None if row.get("amount") is None else _figure(row["amount"])]
    return " ".join(str(part) for part in (*parts, row.get("unit"), row.get("route"), row.get("frequency")) if part)


def _source(source: Mapping[str, Any]) -> Json:
    return {name: str(source.get(name) or "") for name in ("title", "url", "publisher", "read_on")}


def _range(row: Mapping[str, Any] | None) -> Json | None:
    if not row or row.get("min") is None:
        return None
    return {"min": row["min"], "max": _or(row.get("max"), row["min"]), "unit": str(row.get("unit") or "")}


def _quantity(row: Mapping[str, Any] | None) -> Json | None:
    return None if not row or row.get("value") is None else {"value": row["value"], "unit": str(row.get("unit") or "")}


def _or(value: Any, otherwise: Any) -> Any:
    return otherwise if value is None else value


def _word(source: Any) -> str | None:
    """`caller` or `record`."""
    return source if isinstance(source, str) else None if source is None else "record"


def _said(result: Mapping[str, Any]) -> str:
    values = dict.fromkeys(_figure(result[name]) for name in ("value", "min", "max") if result.get(name) is not None)
    said, unit = " to ".join(values), _unit(result.get("unit"))
    return f"stage {said}" if unit == "stage" else f"{said} {unit}".strip()


def _span(row: Mapping[str, Any]) -> str:
    low, high = row["min"], row["max"]
    return _figure(low) if low == high else f"{_figure(low)} to {_figure(high)}"


def _figure(value: Any) -> str:
    """A number as a person writes it: four significant digits, no exponent."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if value == int(value):
        return str(int(value))
    return f"{value:.{max(0, 3 - math.floor(math.log10(abs(value))))}f}".rstrip("0").rstrip(".")


def _unit(unit: Any) -> str:
    return spelt(str(unit or "")).replace("10*", "10^")


def _spaced(words: Any) -> str:
    return str(words).replace("life_threatening", "life-threatening").replace("_", " ")


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _sentence(text: str) -> str:
    text = _capital(text.strip())
    return text if not text or text[-1] in ".!?" else f"{text}."


def _sentences(*parts: str) -> str:
    return " ".join(dict.fromkeys(_sentence(part) for part in parts if part))
