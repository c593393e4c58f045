"""Findings and the animal to an ordered list of conditions to think of, each with what speaks for and against it.

No probability is given, because no record holds one. The order is a rule that anybody can check, and says itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from app.clinic.findings import labs_in, nearest_signs, signs_in
from app.clinic.patient import Patient, need
from app.clinic.reading import Reading
from app.clinic.records import Analyte, Condition, Finding, Records, Signalment, Source
from app.clinic.units import convert, fold, number, shown, spelt

Json = dict[str, Any]
Key = tuple[str, str]

ORDER = (
    "Listed: what explains at least half as many of the findings as the condition that explains most. Conditions that "
    "must not be missed come first; those of them that explain less are named in left_out. Within each part the "
    "stronger fit comes first: a cardinal sign counts more than a common one, a common one more than a possible one, "
    "each the more the fewer conditions of the species share it; findings and signalment against count back. Then the "
    "more urgent, then the alphabet. It is an order, not a chance."
)
LISTED_MAX = 20
_TESTS_MAX = 12
_ASK_MAX = 6
_POISONS_MAX = 12
_WEIGHTS = {"cardinal": 3, "common": 2, "possible": 1}
_RANKS = {"emergency": 0, "urgent": 1, "routine": 2}
_SHARED = ((3, 4), (8, 3), (20, 2))
_AGAINST = {"cardinal": 6, "common": 3, "possible": 1}
_YOUNG = frozenset(("newborn", "young"))
_FLAGS = {"H": "high", "HH": "high", "L": "low", "LL": "low", "N": "normal"}


@dataclass(frozen=True, slots=True)
class Given:
    """A finding that was given.

    Attributes:
        kind, name: `sign` and its id, or `analyte` and its name.
        direction: `high`, `low`, `normal`; `present` or `absent` for a sign.
        shown: the row that answers show of it.
    """

    kind: str
    name: str
    direction: str
    shown: Json = field(default_factory=dict)

    @property
    def key(self) -> Key:
        """What records are matched by."""
        return (self.name, "") if self.kind == "sign" else (self.name, self.direction)


@dataclass(slots=True)
class _Case:
    """A condition being weighed."""

    condition: Condition
    speaks_for: list[Json] = field(default_factory=list)
    against: list[Json] = field(default_factory=list)
    fit: int = 0
    explained: int = 0
    exposed: bool = False
    unknown: list[Json] = field(default_factory=list)


def judge(
    analyte: Analyte, value: Decimal, unit: str | None, reference: tuple[Decimal | None, Decimal | None] | None,
    comparator: str | None, patient: Patient,
) -> tuple[str | None, str, Json | None]:  # fmt: skip
    """Whether a value is high, low or normal.

    Args:
        reference: the laboratory's own range in `unit`; it goes before ours.

    Returns:
        `high`, `low`, `normal` or None; why there is none (`missing_species`, `no_interval_on_record`, `unknown_unit`,
        `missing_unit`, `comparator`); and the interval it was held against.
    """
    source: Json | None
    if reference is not None and (reference[0] is not None or reference[1] is not None):
        low, high = reference
        source = {
            "low": None if low is None else number(low),
            "high": None if high is None else number(high),
            "unit": unit, "source": "caller",
        }  # fmt: skip
    else:
        if patient.species is None:
            return None, "missing_species", None
        interval = next((row for row in analyte.intervals if row.species == patient.species_name), None)
        if interval is None:
            return None, "no_interval_on_record", None
        if unit is None:
            return None, "missing_unit", None
        converted = _in(analyte, value, unit, interval.unit)
        if converted is None:
            return None, "unknown_unit", None
        value, low, high = converted, interval.low, interval.high
        source = {"low": number(interval.low), "high": number(interval.high), "unit": interval.unit, "source": "record"}
        source["sources"] = [one.json for one in interval.sources]
    above, below = high is not None and value > high, low is not None and value < low
    if comparator in ("<", "<="):
        surely = low is not None and value <= low
        return ("low", "", source) if surely else (None, "comparator", source)
    if comparator in (">", ">="):
        surely = high is not None and value >= high
        return ("high", "", source) if surely else (None, "comparator", source)
    return "high" if above else "low" if below else "normal", "", source


def _in(analyte: Analyte, value: Decimal, unit: str, to: str) -> Decimal | None:
    """A value in the unit of an interval, through the analyte's own factor where the kinds of unit differ."""
    same = {analyte.unit: Decimal(1), analyte.si_unit: 1 / analyte.factor}
    for base, per in same.items():
        own = value if fold(unit) == fold(base) else convert(value, unit, base)
        if own is not None:
            conventional = own * per
            return conventional if to == analyte.unit else conventional * analyte.factor
    return None


def differentials(
    patient: Patient, given: Sequence[Given], poisons: Iterable[str], records: Records, asks_species: bool = True
) -> Json:
    """The conditions that fit what was given.

    Args:
        given: findings present, absent, high, low or normal.
        poisons: toxins that the animal is said to have met.

    Returns:
        The part of the answer of API.md that this module knows: `differentials`, `order`, `left_out`, `ruled_out`,
        `poisonings`, `next_tests`, `ask_next`, `urgency`, `needs`, `sources`.
    """
    met = set(poisons)
    species = patient.species_name
    index = _index(records)
    cases, ruled_out = [], []
    shares = index.shares_of(species, records)
    present = [one for one in given if one.direction not in ("absent", "normal")]
    for condition in index.candidates(present, met, species):
        impossible, unknown = _impossible(condition, patient)
        case = _weigh(condition, patient, given, met, shares, index, records)
        if not case.explained and not case.exposed:
            continue
        if impossible:
            ruled_out.append({"condition": condition.name, "why": impossible})
            continue
        case.unknown = unknown
        cases.append(case)
    most = max((case.explained for case in cases if not case.condition.toxin), default=0)
    fitting = [case for case in cases if case.exposed or case.explained * 2 >= most]
    listed = sorted((case for case in fitting if case.exposed or not case.condition.toxin), key=_rank)
    poisonings = sorted((case for case in fitting if case.condition.toxin and not case.exposed), key=_rank)
    kept, rest = listed[:LISTED_MAX], [*listed[LISTED_MAX:], *(case for case in cases if case not in fitting)]
    needs = [row for case in kept for row in case.unknown]
    if species is None and asks_species:
        needs.insert(0, need("species", "conditions and their order differ by species", "What kind of animal is it?"))
    used = [case.condition for case in kept]
    return {
        "differentials": [_row(case, place + 1, len(present)) for place, case in enumerate(kept)],
        "order": ORDER,
        "left_out": {
            "count": len([case for case in rest if not case.condition.toxin]),
            "cant_miss": sorted(
                case.condition.name for case in rest if case.condition.cant_miss and not case.condition.toxin
            ),
        },
        "ruled_out": ruled_out,
        "poisonings": [
            {"condition": case.condition.name, "toxin": case.condition.toxin, "for": case.speaks_for}
            for case in poisonings[:_POISONS_MAX]
        ],
        "next_tests": _next_tests(used),
        "ask_next": _ask_next(kept, poisonings, given, records),
        "urgency": min((row.urgency for row in used), key=_RANKS.__getitem__, default=None),
        "needs": needs,
        "sources": _sources(source for row in used for source in row.sources),
    }


@dataclass(slots=True)
class _Index:
    """What is looked up often, per set of records.

    Attributes:
        expected, contrary: the findings for and against a condition, by its name.
        carriers: the conditions a finding speaks for, as their places in `conditions`.
        signs: ids and names of signs, folded -> id.
    """

    conditions: list[Condition]
    expected: dict[str, dict[Key, Finding]]
    contrary: dict[str, dict[Key, Finding]]
    carriers: dict[Key, list[int]]
    of_toxin: dict[str, list[int]]
    signs: dict[str, str]
    shares: dict[str | None, dict[Key, int]]

    def candidates(self, present: Iterable[Given], met: set[str], species: str | None) -> Iterable[Condition]:
        """The conditions of a species that anything speaks for, in the records' order."""
        places = {place for one in present for place in self.carriers.get(one.key, ())}
        places.update(place for toxin in met for place in self.of_toxin.get(toxin, ()))
        found = (self.conditions[place] for place in sorted(places))
        return (row for row in found if species is None or species in row.species)

    def shares_of(self, species: str | None, records: Records) -> dict[Key, int]:
        """How many conditions of a species each finding speaks for."""
        if species not in self.shares:
            every = records.conditions.values()
            self.shares[species] = _shares(row for row in every if species is None or species in row.species)
        return self.shares[species]


_INDEXES: list[tuple[Records, _Index]] = []


def _index(records: Records) -> _Index:
    """The index of these records, made on first use."""
    for known, index in _INDEXES:
        if known is records:
            return index
    conditions = list(records.conditions.values())
    made = _Index(
        conditions=conditions,
        expected={row.name: {_key(finding): finding for finding in row.signs} for row in conditions},
        contrary={row.name: {_key(finding): finding for finding in row.against} for row in conditions},
        carriers={},
        of_toxin={},
        signs={fold(name): sign.id for sign in records.signs.values() for name in (sign.id, sign.name)},
        shares={},
    )
    for place, row in enumerate(conditions):
        for key in made.expected[row.name]:
            made.carriers.setdefault(key, []).append(place)
        if row.toxin:
            made.of_toxin.setdefault(row.toxin, []).append(place)
    _INDEXES.append((records, made))
    del _INDEXES[:-4]
    return made


def _shares(candidates: Iterable[Condition]) -> dict[Key, int]:
    """How many conditions a finding speaks for; poisonings, which share nearly everything, are left out."""
    shares: dict[Key, int] = {}
    for condition in candidates:
        if not condition.toxin:
            for finding in condition.signs:
                key = _key(finding)
                shares[key] = shares.get(key, 0) + 1
    return shares


def _key(finding: Finding) -> Key:
    return (finding.sign, "") if finding.sign else (finding.analyte, finding.direction)


def _weigh(
    condition: Condition, patient: Patient, given: Iterable[Given], met: set[str], shares: Mapping[Key, int],
    index: _Index, records: Records,
) -> _Case:  # fmt: skip
    """A condition against everything that was given."""
    case = _Case(condition, exposed=bool(condition.toxin) and condition.toxin in met)
    if case.exposed:
        title = records.toxins[condition.toxin].title
        case.speaks_for.append(_said("exposure", condition.toxin, "cardinal", f"exposure to {title} was told"))
        case.fit += 100
    expected, contrary = index.expected[condition.name], index.contrary[condition.name]
    for one in given:
        name = _name(one.kind, one.name, records)
        if one.direction not in ("absent", "normal"):
            finding = expected.get(one.key)
            if finding is not None:
                worth = next((times for most, times in _SHARED if shares.get(one.key, 0) <= most), 1)
                case.fit += _WEIGHTS[finding.weight] * worth
                case.explained += 1
                what = name if one.kind == "sign" else f"{one.direction} {name}"
                case.speaks_for.append(_said(one.kind, one.name, finding.weight, what, one.direction))
            elif one.key in contrary:
                case.fit -= 6
                case.against.append(_said(one.kind, one.name, "", f"{name} speaks against it", one.direction))
            elif one.kind == "analyte" and (one.name, _other(one.direction)) in expected:
                case.fit -= 3
                case.against.append(
                    _said("analyte", one.name, "", f"{name} is {one.direction}, expected {_other(one.direction)}")
                )
        else:
            for key in ((one.name, ""), (one.name, "high"), (one.name, "low")):
                missing = expected.get(key)
                if missing is not None and (key[1] == "") == (one.kind == "sign"):
                    case.fit -= _AGAINST[missing.weight]
                    text = f"no {name}" if one.kind == "sign" else f"{name} is normal, expected {key[1]}"
                    case.against.append(_said(one.kind, one.name, missing.weight, text, one.direction))
    _signalment(case, patient)
    return case


def _said(kind: str, name: str, weight: str, text: str, direction: str | None = None) -> Json:
    return {"kind": kind, "finding": name, "weight": weight or None, "direction": direction, "text": text}


def _other(direction: str) -> str:
    return {"high": "low", "low": "high"}.get(direction, "")


def _name(kind: str, name: str, records: Records) -> str:
    return records.signs[name].name if kind == "sign" else name


def _impossible(condition: Condition, patient: Patient) -> tuple[str, list[Json]]:
    """Why this animal can't have it, or ""; and what to ask where that is not known."""
    only, unknown = condition.only, []
    if only.sex and patient.sex is None:
        unknown.append(need("sex", f"only the {only.sex} has {condition.name}", "Male or female?"))
    elif only.sex and patient.sex != only.sex:
        return f"only the {only.sex} has it", []
    for name, wanted, has in (
        ("neutered", only.neutered, patient.neutered),
        ("pregnant", only.pregnant, patient.pregnant),
        ("lactating", only.lactating, patient.lactating),
    ):
        if wanted is None:
            continue
        if has is None:
            if name == "neutered":
                unknown.append(need(name, f"{condition.name} depends on it", "Is it neutered or spayed?"))
        elif has != wanted:
            return f"only where {'' if wanted else 'not '}{name}", []
    if patient.age_months is not None:
        if only.age_months_min is not None and patient.age_months < only.age_months_min:
            return f"only from {shown(only.age_months_min)} months of age", []
        if only.age_months_max is not None and patient.age_months > only.age_months_max:
            return f"only up to {shown(only.age_months_max)} months of age", []
    if only.breeds and patient.breed is not None and not _of_breed(only, patient):
        return "only in certain breeds", []
    return "", unknown


def _of_breed(signalment: Signalment, patient: Patient) -> bool:
    if patient.breed is None:
        return False
    own = {fold(name) for name in (patient.breed.name, *patient.breed.names)}
    return any(fold(name) in own for name in signalment.breeds)


def _signalment(case: _Case, patient: Patient) -> None:
    """What the animal itself says for or against a condition."""
    usual = case.condition.signalment

    def note(fits: bool, what: str, text: str) -> None:
        case.fit += 1 if fits else -1
        (case.speaks_for if fits else case.against).append(_said("signalment", what, "", text))

    if usual.breeds and _of_breed(usual, patient):
        assert patient.breed is not None
        case.fit += 1
        note(True, "breed", f"{patient.breed.name}: a breed it is seen in")
    if usual.sex and patient.sex is not None:
        note(patient.sex == usual.sex, "sex", f"mostly the {usual.sex}")
    for name, wanted, has in (
        ("neutered", usual.neutered, patient.neutered),
        ("pregnant", usual.pregnant, patient.pregnant),
        ("lactating", usual.lactating, patient.lactating),
    ):
        if wanted is not None and has is not None:
            note(has == wanted, name, f"mostly {'' if wanted else 'not '}{name}")
    if usual.ages and patient.juvenile is not None:
        inside = bool(_YOUNG.intersection(usual.ages) if patient.juvenile else set(usual.ages) - _YOUNG)
        note(inside, "age", f"mostly {' or '.join(usual.ages)}")
    age = patient.age_months
    if age is None:
        return
    low, high = usual.age_months_min, usual.age_months_max
    if low is not None or high is not None:
        ends = f"from {shown(low)}" if low is not None else ""
        ends = f"{ends} up to {shown(high)}".strip() if high is not None else ends
        inside = (low is None or age >= low) and (high is None or age <= high)
        note(inside, "age", f"mostly {ends} months of age; this one is {shown(age, 3)}")


def _rank(case: _Case) -> tuple[bool, bool, int, int, str]:
    condition = case.condition
    return (not case.exposed, not condition.cant_miss, -case.fit, _RANKS[condition.urgency], condition.name)


def _row(case: _Case, rank: int, of: int) -> Json:
    condition = case.condition
    explained = f"explains {case.explained} of {of} findings" if of else "named by exposure"
    return {
        "condition": condition.name,
        "names": list(condition.names),
        "plain": condition.plain or None,
        "rank": rank,
        "urgency": condition.urgency,
        "cant_miss": condition.cant_miss,
        "why": f"{explained}{', must not be missed' if condition.cant_miss else ''}",
        "for": sorted(case.speaks_for, key=lambda row: 3 - _WEIGHTS.get(str(row["weight"]), 0)),
        "against": case.against,
        "next_tests": list(condition.first_tests),
        "toxin": condition.toxin or None,
        "notes": condition.notes or None,
        "sources": [source.json for source in condition.sources],
    }


def _next_tests(conditions: Sequence[Condition]) -> list[Json]:
    """Tests that serve most of the list first."""
    serves: dict[str, list[str]] = {}
    for condition in conditions:
        for test in condition.first_tests:
            serves.setdefault(test, []).append(condition.name)
    ordered = sorted(serves.items(), key=lambda item: -len(item[1]))
    return [{"test": test, "for": names} for test, names in ordered[:_TESTS_MAX]]


def _ask_next(
    kept: Sequence[_Case], poisonings: Sequence[_Case], given: Iterable[Given], records: Records
) -> list[Json]:
    """The findings not given yet that split the list most evenly, and which poisons it could have met."""
    known = {(one.kind, one.name) for one in given}
    carriers: dict[tuple[str, str, str], list[str]] = {}
    cardinal: dict[tuple[str, str, str], int] = {}
    for case in kept:
        for finding in case.condition.signs:
            kind = "sign" if finding.sign else "analyte"
            if finding.weight == "possible" or (kind, finding.sign or finding.analyte) in known:
                continue
            key = (kind, finding.sign or finding.analyte, finding.direction)
            carriers.setdefault(key, []).append(case.condition.name)
            cardinal[key] = cardinal.get(key, 0) + (finding.weight == "cardinal")
    half = len(kept)
    ordered = sorted(
        carriers.items(),
        key=lambda item: (-min(len(item[1]), half - len(item[1])), -cardinal[item[0]], item[0][0] != "sign", item[0]),
    )
    asked: list[Json] = []
    for (kind, name, direction), conditions in ordered[:_ASK_MAX]:
        words = _name(kind, name, records)
        asked.append(
            {
                "kind": kind,
                "finding": name,
                "direction": direction or None,
                "ask": f"Has it this: {words}?" if kind == "sign" else f"Is {words} {direction}?",
                "speaks_for": conditions,
                "splits": f"{len(conditions)} of {half}",
            }
        )
    if poisonings:
        titles = [records.toxins[case.condition.toxin].title for case in poisonings[:_POISONS_MAX]]
        asked.append(
            {
                "kind": "exposure",
                "finding": "exposure",
                "direction": None,
                "ask": f"Could it have met a poison: {', '.join(dict.fromkeys(titles))}?",
                "speaks_for": [case.condition.name for case in poisonings[:_POISONS_MAX]],
                "splits": None,
            }
        )
    return asked


def _sources(sources: Iterable[Source]) -> list[Json]:
    return list({source.url: source.json for source in sources}.values())


@dataclass(slots=True)
class Evidence:
    """What was given, as far as it was understood.

    Attributes:
        given: one a finding; the first word on a sign or an analyte counts.
        poisons: toxins that were met. not_checked, needs: as answers have them.
    """

    given: dict[tuple[str, str], Given] = field(default_factory=dict)
    poisons: list[str] = field(default_factory=list)
    not_checked: list[Json] = field(default_factory=list)
    needs: list[Json] = field(default_factory=list)

    def add(self, kind: str, name: str, direction: str, **shown_of: Any) -> None:
        """Keep a finding unless that sign or analyte is known already."""
        row = {"kind": kind, "finding": name, "direction": direction, **shown_of}
        self.given.setdefault((kind, name), Given(kind, name, direction, row))


def signs_given(lines: Iterable[str], records: Records, evidence: Evidence) -> None:
    """Ids of signs, their names, or free words with `no` before them; what is none goes into `not_checked`."""
    for line in lines:
        known = _index(records).signs.get(fold(line))
        if known is not None:
            evidence.add("sign", known, "present", text=line, span=None)
            continue
        if not text_given(line, records, evidence, place=False):
            near = nearest_signs(line, records)
            evidence.not_checked.append({"text": line, "why": "unknown_sign", "nearest": near})


def text_given(text: str, records: Records, evidence: Evidence, place: bool = True) -> bool:
    """Signs, laboratory directions and poisons out of free words; whether there was any.

    Args:
        place: whether spans are those of the message's `text`.
    """
    found = False
    for sign in signs_in(text, records):
        found = True
        said = text[sign.span[0] : sign.span[1]]
        if sign.state in ("stated", "denied"):
            direction = "present" if sign.state == "stated" else "absent"
            evidence.add("sign", sign.sign, direction, text=said, span=list(sign.span) if place else None)
        else:
            evidence.not_checked.append({"text": said, "why": sign.state})
    for lab in labs_in(text, records):
        found = True
        said = text[lab.span[0] : lab.span[1]]
        if lab.state in ("stated", "denied"):
            direction = lab.direction if lab.state == "stated" else "normal"
            evidence.add("analyte", lab.analyte, direction, text=said, span=list(lab.span) if place else None)
    return found


def signs_said(reading: Reading, records: Records, evidence: Evidence) -> None:
    """Signs that a text read before states or denies; nothing is said of those it names in another sense."""
    for sign in signs_in(reading, records):
        if sign.state in ("stated", "denied"):
            direction = "present" if sign.state == "stated" else "absent"
            name = records.signs[sign.sign].name
            evidence.add("sign", sign.sign, direction, text=name, span=list(sign.span))


_VITAL_SIGNS = {
    ("temperature", "H"): "fever", ("temperature", "L"): "low-temperature", ("heart_rate", "H"): "fast-heart",
    ("heart_rate", "L"): "slow-heart", ("respiratory_rate", "H"): "fast-breathing",
}  # fmt: skip


def vitals_given(rows: Iterable[Mapping[str, Any]], records: Records, evidence: Evidence) -> None:
    """Vital signs out of their range (rows of `triage.judged`) as signs."""
    for row in rows:
        name = _VITAL_SIGNS.get((row["name"], (row["flag"] or "")[:1]), "")
        if name in records.signs:
            evidence.add("sign", name, "present", text=row["text"], span=row["span"])


def value_given(
    analyte: Analyte | None, words: str, row: Mapping[str, Any], patient: Patient, evidence: Evidence
) -> None:
    """A laboratory value or flag.

    Args:
        words: as it was written. row: `value`, `unit`, `comparator`, `reference` (low, high), `flag`, `span`.
    """
    if analyte is None:
        evidence.not_checked.append({"text": words, "why": "unknown_analyte"})
        return
    flag, value, unit = row.get("flag"), row.get("value"), row.get("unit")
    text = words if value is None else f"{words} {shown(value)} {spelt(unit) if unit else ''}".strip()
    if flag is not None:
        evidence.add("analyte", analyte.name, _FLAGS.get(flag, flag), text=text, span=row.get("span"))
    elif value is None:
        evidence.not_checked.append({"text": words, "why": "missing_value"})
    else:
        direction, why, interval = judge(analyte, value, unit, row.get("reference"), row.get("comparator"), patient)
        if direction is None:
            evidence.not_checked.append({"text": text, "why": why})
            if why == "missing_unit":
                ask = f"In which unit is {analyte.name}: {spelt(analyte.unit)} or {spelt(analyte.si_unit)}?"
                evidence.needs.append(need(f"unit of {analyte.name}", "a value without a unit can't be judged", ask))
        else:
            evidence.add("analyte", analyte.name, direction, text=text, span=row.get("span"), interval=interval)
