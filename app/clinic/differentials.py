"""Findings and the animal to an ordered list of conditions to think of, each with what speaks for and against it.

No probability is given, because no record holds one. The order is a rule that anybody can check, and says itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from typing import Any, NamedTuple

from app.clinic.findings import SignSaid, labs_in, nearest_signs, signs_in
from app.clinic.patient import Patient, need
from app.clinic.records import Analyte, Condition, Finding, Records, Signalment, Source, per_records
from app.clinic.units import convert, fold, number, shown, spelt

Json = dict[str, Any]
Key = tuple[str, str]

ORDER = (
    "A finding counts three for a condition of which it is a cardinal sign, two for a common one, one for a possible "
    "one. Listed: what reaches at least half of what the best explanation reaches. Conditions that must not be missed "
    "come first; those of them that explain less are named in left_out. Within each part the stronger fit comes first: "
    "the same count, the more the fewer conditions of the species share a finding; findings and signalment against "
    "count back. Then the more urgent, then the alphabet. It is an order, not a chance."
)
LISTED_MAX = 20
_TESTS_MAX = 12
_ASK_MAX = 6
_POISONS_MAX = 12
_WEIGHTS = {"cardinal": 3, "common": 2, "possible": 1}
_RANKS = {"emergency": 0, "urgent": 1, "routine": 2}
_TOLD = 1 << 20
_SHARED = ((3, 4), (8, 3), (20, 2))
_AGAINST_ABSENT = {"cardinal": -6, "common": -3, "possible": -1}
_STATES = ("neutered", "pregnant", "lactating")
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


class _Reason(NamedTuple):
    """One thing that speaks for or against a condition; its words are made when somebody reads them.

    Attributes:
        points: what it adds to the fit. speaks_for: whether it counts for or against, also where it adds nothing.
        text: what to say, with `{name}` for the name of the finding.
    """

    points: int
    speaks_for: bool
    kind: str
    name: str
    weight: str
    direction: str | None
    text: str

    def words(self, records: Records) -> str:
        """What answers say of it."""
        return self.text.replace("{name}", _name(self.kind, self.name, records)) if "{" in self.text else self.text

    def row(self, records: Records) -> Json:
        """As answers show it."""
        return {
            "kind": self.kind,
            "finding": self.name,
            "weight": self.weight or None,
            "direction": self.direction,
            "text": self.words(records),
        }


class _Effect(NamedTuple):
    """What a finding means for every condition that it means anything for.

    Attributes:
        places: of the conditions, each with the weight that the finding has there. points: what it adds to their fit.
    """

    one: Given
    speaks_for: bool
    places: Mapping[int, str]
    points: Mapping[int, int]
    text: str

    def on(self, place: int) -> _Reason:
        """For one of them."""
        weight, one = self.places[place], self.one
        return _Reason(self.points[place], self.speaks_for, one.kind, one.name, weight, one.direction, self.text)


def _by_weight(reason: _Reason) -> int:
    return -_WEIGHTS.get(reason.weight, 0)


@dataclass(slots=True)
class _Case:
    """A condition that fits."""

    condition: Condition
    reasons: list[_Reason]
    explained: int

    def why(self) -> list[_Reason]:
        """What speaks for it, what is typical first."""
        return sorted([one for one in self.reasons if one.speaks_for], key=_by_weight)

    def speaks_for(self, records: Records) -> list[Json]:
        """The same, as answers show it."""
        return [reason.row(records) for reason in self.why()]

    def against(self, records: Records) -> list[Json]:
        """What speaks against it."""
        return [reason.row(records) for reason in self.reasons if not reason.speaks_for]


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
    """The conditions that fit what was given; see `weigh` and `Weighed.words`."""
    return weigh(patient, given, poisons, records).words(asks_species)


def weigh(patient: Patient, given: Sequence[Given], poisons: Iterable[str], records: Records) -> Weighed:
    """The conditions that fit what was given, in order; nothing is put into words yet.

    Args:
        given: findings present, absent, high, low or normal.
        poisons: toxins that the animal is said to have met.
    """
    of = _index(records).of(patient.species_name)
    own: dict[int, list[_Reason]] = {}
    for toxin in dict.fromkeys(poisons):
        for place in of.of_toxin.get(toxin, ()):
            text = f"exposure to {records.toxins[toxin].title} was told"
            own.setdefault(place, []).append(_Reason(100, True, "exposure", toxin, "cardinal", None, text))
    exposed = frozenset(own)
    fit: dict[int, int] = dict.fromkeys(exposed, 100)
    told: dict[int, int] = dict.fromkeys(exposed, 0)
    effects = [effect for one in given for effect in _effects(one, of)]
    for effect in effects:
        _add(fit, effect.points)
        if effect.speaks_for:
            _add(told, of.told[effect.one.key])
    breeds = _breeds_of(patient)
    unknown: dict[int, list[Json]] = {}
    ruled_out = []
    for place in sorted(of.picky.intersection(told)):
        impossible, unknown[place] = _impossible(of.conditions[place], patient, breeds)
        if impossible:
            ruled_out.append({"condition": of.conditions[place].name, "why": impossible})
            del told[place]
    explained = told.keys() - of.poisonings
    least = (max(map(told.__getitem__, explained), default=0) // _TOLD + 1) // 2 * _TOLD
    fitting = [place for place, worth in told.items() if worth >= least or place in exposed]
    for place in of.typical.intersection(fitting):
        usual = of.conditions[place].signalment
        for reason in _signalment(usual, patient, not breeds.isdisjoint(of.breeds[place])):
            own.setdefault(place, []).append(reason)
            fit[place] += reason.points
    fitting.sort(key=lambda place: (place not in exposed, of.grave[place], -fit[place], of.rank[place]))
    listed = [place for place in fitting if place in exposed or place not in of.poisonings]
    kept = listed[:LISTED_MAX]

    def case(place: int) -> _Case:
        reasons = own.get(place, [])
        why = [effect.on(place) for effect in effects if place in effect.places]
        why = [*reasons[:1], *why, *reasons[1:]] if place in exposed else [*why, *reasons]
        return _Case(of.conditions[place], why, told[place] % _TOLD)

    return Weighed(
        patient,
        given,
        present=sum(one.direction not in ("absent", "normal") for one in given),
        case=case,
        kept=kept,
        unknown=[row for place in kept for row in unknown.get(place, ())],
        left_out=lambda: [of.conditions[place] for place in explained.difference(kept)],
        ruled_out=ruled_out,
        poisonings=[place for place in fitting if place in of.poisonings and place not in exposed],
        records=records,
    )


def _add(sums: dict[int, int], more: Mapping[int, int]) -> None:
    if not sums:
        sums.update(more)
        return
    for place, points in more.items():
        sums[place] = sums.get(place, 0) + points


def _effects(one: Given, of: _OfSpecies) -> Iterable[_Effect]:
    """What a finding speaks for and against."""
    key = one.key
    if one.direction not in ("absent", "normal"):
        if places := of.carriers.get(key):
            text = "{name}" if one.kind == "sign" else f"{one.direction} {{name}}"
            yield _Effect(one, True, places, of.gained[key], text)
        if places := of.contrary.get(key):
            yield _Effect(one, False, places, dict.fromkeys(places, -6), "{name} speaks against it")
        other = _other(one.direction)
        if other and (wrong := of.carriers.get((one.name, other))):
            places = {place: "" for place in wrong if not of.says(place, key)}
            yield _Effect(
                one, False, places, dict.fromkeys(places, -3), f"{{name}} is {one.direction}, expected {other}"
            )
    elif one.kind == "sign":
        if places := of.carriers.get((one.name, "")):
            yield _Effect(one, False, places, of.lost[one.name, ""], "no {name}")
    else:
        for other in ("high", "low"):
            if places := of.carriers.get((one.name, other)):
                yield _Effect(one, False, places, of.lost[one.name, other], f"{{name}} is normal, expected {other}")


class Weighed:
    """Conditions in order, put into words when somebody reads them.

    Attributes:
        present: how many findings were given that are there, not absent or normal.
    """

    def __init__(
        self, patient: Patient, given: Sequence[Given], *, present: int, case: Callable[[int], _Case],
        kept: list[int], unknown: list[Json],
        left_out: Callable[[], list[Condition]], ruled_out: list[Json], poisonings: list[int], records: Records,
    ) -> None:  # fmt: skip
        self._patient = patient
        self._given = given
        self.present = present
        self._case = case
        self._kept = kept
        self._unknown = unknown
        self._left_out = left_out
        self._ruled_out = ruled_out
        self._poisonings = poisonings
        self._records = records
        self._answer: Json = {}

    def __len__(self) -> int:
        return len(self._kept)

    def fitting(self, most: int) -> list[tuple[str, list[str]]]:
        """The first of the list, each with what speaks for it."""
        return [
            (case.condition.name, [reason.words(self._records) for reason in case.why()])
            for case in map(self._case, self._kept[:most])
        ]

    def answer(self) -> Json:
        """The answer, made when first asked for."""
        self._answer = self._answer or self.words()
        return self._answer

    def words(self, asks_species: bool = True) -> Json:
        """The part of the answer of API.md that this module knows.

        `differentials`, `order`, `left_out`, `ruled_out`, `poisonings`, `next_tests`, `ask_next`, `urgency`, `needs`,
        `sources`; `findings` is what was given.
        """
        records = self._records
        kept = [*map(self._case, self._kept)]
        poisonings = [*map(self._case, self._poisonings[:_POISONS_MAX])]
        needs = [*self._unknown]
        if self._patient.species is None and asks_species:
            ask = "What kind of animal is it?"
            needs.insert(0, need("species", "conditions and their order differ by species", ask))
        used, left_out = [case.condition for case in kept], self._left_out()
        return {
            "differentials": [_row(case, place + 1, self.present, records) for place, case in enumerate(kept)],
            "order": ORDER,
            "left_out": {
                "count": len(left_out),
                "cant_miss": sorted(condition.name for condition in left_out if condition.cant_miss),
            },
            "ruled_out": self._ruled_out,
            "poisonings": [
                {"condition": case.condition.name, "toxin": case.condition.toxin, "for": case.speaks_for(records)}
                for case in poisonings
            ],
            "next_tests": _next_tests(used),
            "ask_next": _ask_next(kept, poisonings, self._given, records),
            "urgency": min((row.urgency for row in used), key=_RANKS.__getitem__, default=None),
            "needs": needs,
            "sources": _sources(source for row in used for source in row.sources),
            "findings": [one.shown for one in self._given],
        }


class _OfSpecies:
    """The conditions of a species, by what speaks for and against them.

    Attributes:
        conditions: in the records' order; a place is one's index in it.
        carriers: finding -> places of the conditions it speaks for, each with its weight.
        contrary: finding -> places of those that it speaks against.
        told: finding -> its weight times `_TOLD`, and one, by place: sums tell the weight and how many were told.
        gained, lost: finding -> what it adds to the fit, and what its absence takes, by place.
        of_toxin: toxin -> places of its poisonings. shares: how many conditions a finding speaks for, poisonings aside.
        picky, typical: places of conditions that not every animal can have, and that some have more than others.
        breeds: the breeds that mostly have a condition, folded.
        grave: 0 where it must not be missed, else 1. rank: the more urgent first, then the alphabet.
    """

    def __init__(self, conditions: Iterable[Condition]) -> None:
        self.conditions = list(conditions)
        self.carriers: dict[Key, dict[int, str]] = {}
        self.contrary: dict[Key, dict[int, str]] = {}
        self.told: dict[Key, dict[int, int]] = {}
        self.gained: dict[Key, dict[int, int]] = {}
        self.lost: dict[Key, dict[int, int]] = {}
        self.of_toxin: dict[str, list[int]] = {}
        self.shares: dict[Key, int] = {}
        self._said: set[tuple[int, Key]] = set()
        for place, condition in enumerate(self.conditions):
            if condition.toxin:
                self.of_toxin.setdefault(condition.toxin, []).append(place)
            for key, finding in {_key(finding): finding for finding in condition.signs}.items():
                self._said.add((place, key))
                self.carriers.setdefault(key, {})[place] = finding.weight
                if not condition.toxin:
                    self.shares[key] = self.shares.get(key, 0) + 1
            for key in {_key(finding): finding for finding in condition.against}:
                if not self.says(place, key):
                    self._said.add((place, key))
                    self.contrary.setdefault(key, {})[place] = ""
        rows = self.conditions
        order = sorted(range(len(rows)), key=lambda place: (_RANKS[rows[place].urgency], rows[place].name))
        self.rank = {place: at for at, place in enumerate(order)}
        self.grave = [int(not row.cant_miss) for row in rows]
        self.poisonings = frozenset(place for place, row in enumerate(rows) if row.toxin)
        for key, places in self.carriers.items():
            worth = next((times for most, times in _SHARED if self.shares.get(key, 0) <= most), 1)
            self.told[key] = {place: _WEIGHTS[weight] * _TOLD + 1 for place, weight in places.items()}
            self.gained[key] = {place: _WEIGHTS[weight] * worth for place, weight in places.items()}
            self.lost[key] = {place: _AGAINST_ABSENT[weight] for place, weight in places.items()}
        self.breeds = [frozenset(map(fold, row.signalment.breeds)) for row in rows]
        nobody = Signalment()
        self.picky = frozenset(at for at, row in enumerate(rows) if row.only != nobody)
        self.typical = frozenset(at for at, row in enumerate(rows) if row.signalment != nobody)

    def says(self, place: int, key: Key) -> bool:
        """Whether a condition has a finding for or against it."""
        return (place, key) in self._said


class _Index:
    """What is looked up often, per set of records; `signs`: ids and names of signs, folded -> id."""

    def __init__(self, records: Records) -> None:
        self.signs = {fold(name): sign.id for sign in records.signs.values() for name in (sign.id, sign.name)}
        self._records = records
        self._of: dict[str | None, _OfSpecies] = {}

    def of(self, species: str | None) -> _OfSpecies:
        """The conditions of a species, or all."""
        if species not in self._of:
            every = self._records.conditions.values()
            self._of[species] = _OfSpecies(row for row in every if species is None or species in row.species)
        return self._of[species]


_index = per_records(_Index)


def _key(finding: Finding) -> Key:
    return (finding.sign, "") if finding.sign else (finding.analyte, finding.direction)


def _other(direction: str) -> str:
    return {"high": "low", "low": "high"}.get(direction, "")


def _name(kind: str, name: str, records: Records) -> str:
    return records.signs[name].name if kind == "sign" else name


def _impossible(condition: Condition, patient: Patient, breeds: frozenset[str]) -> tuple[str, list[Json]]:
    """Why this animal can't have it, or ""; and what to ask where that is not known."""
    only, unknown = condition.only, []
    if only.sex and patient.sex is None:
        unknown.append(need("sex", f"only the {only.sex} has {condition.name}", "Male or female?"))
    elif only.sex and patient.sex != only.sex:
        return f"only the {only.sex} has it", []
    for name in _STATES:
        wanted, has = getattr(only, name), getattr(patient, name)
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
    if only.breeds and breeds and breeds.isdisjoint(map(fold, only.breeds)):
        return "only in certain breeds", []
    return "", unknown


def _breeds_of(patient: Patient) -> frozenset[str]:
    """The names of its breed, folded."""
    breed = patient.breed
    return frozenset() if breed is None else _folded((breed.name, *breed.names))


@cache
def _folded(names: tuple[str, ...]) -> frozenset[str]:
    return frozenset(map(fold, names))


def _signal(fits: bool, what: str, text: str, points: int = 1) -> _Reason:
    return _Reason(points if fits else -points, fits, "signalment", what, "", None, text)


def _signalment(usual: Signalment, patient: Patient, of_breed: bool) -> Iterable[_Reason]:
    """What the animal itself says for or against a condition; `of_breed`: it is seen in its breed."""
    if of_breed:
        assert patient.breed is not None
        yield _signal(True, "breed", f"{patient.breed.name}: a breed it is seen in", 2)
    if usual.sex and patient.sex is not None:
        yield _signal(patient.sex == usual.sex, "sex", f"mostly the {usual.sex}")
    for name in _STATES:
        wanted = getattr(usual, name)
        if wanted is not None and (has := getattr(patient, name)) is not None:
            yield _signal(has == wanted, name, f"mostly {'' if wanted else 'not '}{name}")
    if usual.ages and patient.juvenile is not None:
        inside = bool(_YOUNG.intersection(usual.ages) if patient.juvenile else set(usual.ages) - _YOUNG)
        yield _signal(inside, "age", f"mostly {' or '.join(usual.ages)}")
    age = patient.age_months
    low, high = usual.age_months_min, usual.age_months_max
    if age is not None and (low is not None or high is not None):
        ends = f"from {shown(low)}" if low is not None else ""
        ends = f"{ends} up to {shown(high)}".strip() if high is not None else ends
        inside = (low is None or age >= low) and (high is None or age <= high)
        yield _signal(inside, "age", f"mostly {ends} months of age; this one is {shown(age, 3)}")


def _row(case: _Case, rank: int, of: int, records: Records) -> Json:
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
        "for": case.speaks_for(records),
        "against": case.against(records),
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
        titles = [records.toxins[case.condition.toxin].title for case in poisonings]
        asked.append(
            {
                "kind": "exposure",
                "finding": "exposure",
                "direction": None,
                "ask": f"Could it have met a poison: {', '.join(dict.fromkeys(titles))}?",
                "speaks_for": [case.condition.name for case in poisonings],
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


def signs_said(signs: Iterable[SignSaid], records: Records, evidence: Evidence) -> None:
    """Signs that a message states or denies; nothing is said of those it names in another sense."""
    for sign in signs:
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
