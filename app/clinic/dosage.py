"""The doses that one sentence states: of which drug, how much for what, how often, by which route."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

from app.clinic.lexicon import vocabulary
from app.clinic.reading import NUMERIC, Figure, figure
from app.clinic.units import KG_PER_LB, convert


class Said(NamedTuple):
    """A dose as a sentence states it.

    Attributes:
        place: the word that its figure begins at.
        amount: the most of what was written, per dose, per day (`daily`) or per hour (`rate`).
        unit: mg, [IU], mEq or mmol.
        basis: kg, m2, or "" for the whole animal.
        hours: between doses [h], where said.
    """

    place: int
    drugs: tuple[str, ...]
    amount: Decimal
    unit: str
    basis: str
    rate: bool
    daily: bool
    hours: Decimal | None
    route: str | None


class Named(NamedTuple):
    """Where a sentence names drugs: words from `start` to before `end`."""

    start: int
    end: int
    drugs: tuple[str, ...]


UNITS = vocabulary(
    "mg mgs mcg mcgs ug g gram grams milligram milligrams microgram micrograms gm gms ml mls cc milliliter milliliters "
    "millilitre millilitres tablet tablets tab tabs pill pills capsule capsules caplet caplets drops iu ius units unit "
    "u ui unidades unites einheiten "
    "meq mmol teaspoon teaspoons tsp tablespoon tabletas tableta tabletten tablette comprimidos comprimido gramm "
    "gramo gramos gramme grammes miligramos miligramo milligramm mikrogramm microgramos milligrammes"
)
PIECES = vocabulary("tablet tablets tab tabs pill pills capsule capsules caplet caplets tabletas tabletten comprimidos")
_DIGITS = frozenset("0123456789")
_PRODUCTS = PIECES | {"ml", "mls", "cc", "ccs", "%", "percent", "tab", "cap"}
"""Without one of these words nothing is said of a product's strength."""
_MG = {"mg": Decimal(1), "ug": Decimal("0.001"), "g": Decimal(1000)}
_ACTIVE = frozenset(("[IU]", "mEq", "mmol"))
_BODIES = frozenset(("kg", "lb", "st", "oz"))
_PACKS = vocabulary("bag bags pack packs packet packets tin tins can cans box pouch tub food kibble portion bar bars")
_KILOS = {
    "kg": "kg", "kgs": "kg", "kilo": "kg", "kilos": "kg", "kilogram": "kg", "kilograms": "kg", "kilogramm": "kg",
    "kilogramo": "kg", "kilogramos": "kg", "kilogramme": "kg", "lb": "lb", "lbs": "lb", "pound": "lb", "pounds": "lb",
    "libra": "lb", "pfund": "lb",
}  # fmt: skip
_EACH = vocabulary("for every each por pro par je cada chaque a per / of")
_DAYS = frozenset(("day", "d", "dia", "tag", "jour"))
_A_DAY = frozenset(("a", "per", "/", "al", "por", "pro", "am", "par", "each", "every"))
_LINKS_ON = vocabulary("of de von d the oral injectable iv im sc po per os dose doses as")
_OWNING = frozenset(("of", "de", "von", "d"))
_OWN_WORDS = vocabulary("body bodyweight active it this that the drug medicine base")
_COUNT_LINKS = frozenset(("of", "the", "a", "an", "x", "-", "de", "von"))
_EVERY = vocabulary("q every cada alle toutes jede chaque")
_HOURS = {"h": Decimal(1), "day": Decimal(24), "week": Decimal(168), "month": Decimal(720), "min": Decimal(1) / 60}
_TIMES = vocabulary("times x veces vez mal fois vezes")
_FOLD = {"einmal": 24, "zweimal": 12, "dreimal": 8, "viermal": 6, "taglich": 24, "diario": 24, "diariamente": 24}
_INTO = frozenset(("in", "into", "to"))
_ARTICLES = frozenset(("a", "the", "one"))
_BAG_REACH = 8
_BAG_ML = 100
_LABORATORY = frozenset(("dL", "L", "g"))


def stated(
    words: list[str],
    figures: Sequence[Figure],
    named: Sequence[Named],
    routes: Sequence[tuple[int, str]],
    intervals: Sequence[tuple[int, Decimal]],
    carried: tuple[str, ...],
    animals: Sequence[int] = (),
) -> list[Said]:
    """The doses of a sentence, in its order; a figure that belongs to no drug is none.

    Args:
        words: of the sentence, as the trie knows them. figures: its `quantities`.
        intervals: of phrases like `twice daily`: the word it begins at, and the time between doses [h].
        carried: the drug that the sentences before spoke of.
        animals: where a kind of animal is named.
    """
    strengths: dict[int, tuple[Decimal, str, str]] = {}
    pieces = False
    if not _PRODUCTS.isdisjoint(words):
        for at, one in enumerate(figures):
            strong = _strength(words, one)
            if strong is not None:
                strengths[at] = strong
        pieces = any(one.dimension == "piece" and words[one.end - 1] in PIECES for one in figures)
    found: list[tuple[Figure, tuple[str, ...], Decimal, str, tuple[str, ...]]] = []
    owned: set[int] = set()
    for at, one in enumerate(figures):
        before = figures[at - 1] if at else None
        amount, unit, per = one.top, one.unit, one.per
        if at in strengths:
            count = _count(words, one, before)
            if strengths[at][1] != "tablet" or pieces or count is None:
                continue
            amount, unit, per = count * strengths[at][0], strengths[at][2], ()
        elif one.dimension == "piece":
            strength = next((row for row in strengths.values() if row[1] == "tablet"), None)
            if strength is None or words[one.end - 1] not in PIECES:
                continue
            amount, unit, per = amount * strength[0], strength[2], ()
        elif one.dimension == "volume":
            strength = next((row for row in strengths.values() if row[1] == "mL"), None)
            if strength is None or unit not in ("mL", "L"):
                continue
            amount, unit = amount * strength[0] * (1000 if unit == "L" else 1), strength[2]
        elif one.dimension == "mass":
            if unit not in _MG or (unit == "g" and not per and _is_body(words, one, animals)):
                continue
            amount, unit = amount * _MG[unit], "mg"
        elif unit not in _ACTIVE:
            continue
        if not _LABORATORY.isdisjoint(per):
            continue
        drugs = _owner(words, one, named, owned, carried)
        if drugs and found and words[one.end : one.end + 2] == ["in", "total"]:
            continue
        if drugs:
            found.append((one, drugs, amount, unit, per))
    events = _events(words, figures, intervals) if found else []
    return [
        _said(words, one, drugs, amount, unit, per, named, routes, events,
              found[at + 1][0].start if at + 1 < len(found) else len(words), alone=len(found) == 1)
        for at, (one, drugs, amount, unit, per) in enumerate(found)
    ]  # fmt: skip


def quantities(words: list[str]) -> list[Figure]:
    """Every quantity of the sentence."""
    found: list[Figure] = []
    end = 0
    for place in [at for at, word in enumerate(words) if word[0] in _DIGITS or word in NUMERIC]:
        if place >= end:
            one = figure(words, place)
            if one is not None:
                found.append(one)
                end = one.end
    return found


def _strength(words: list[str], one: Figure) -> tuple[Decimal, str, str] | None:
    """What a figure says of a product: how much, in a `mL` or a `tablet`, in mg or [IU]."""
    if one.dimension == "percent":
        return (one.value * 10, "mL", "mg") if one.value <= 50 else None
    if one.dimension not in ("mass", "activity", "charge", "amount"):
        return None
    amount, unit = (one.value * _MG[one.unit], "mg") if one.unit in _MG else (one.value, one.unit)
    if one.per[:1] == ("mL",):
        return amount, "mL", unit
    if one.per[:1] == ("tablet",) or (not one.per and one.end < len(words) and words[one.end] in PIECES):
        return amount, "tablet", unit
    if not one.per and one.start > 1 and words[one.start - 1] == "of" and words[one.start - 2] in PIECES:
        return amount, "tablet", unit
    return None


def _count(words: list[str], one: Figure, before: Figure | None) -> Decimal | None:
    """How many tablets of this strength: `4 tablets of 100 mg`, `two 100 mg tablets`, `a 100 mg tablet`."""
    if before is not None and before.dimension in ("", "piece") and before.value <= 40:
        between = words[before.end : one.start]
        if len(between) <= 2 and _COUNT_LINKS.issuperset(between):
            return before.top
    lead = words[one.start - 1] if one.start else ""
    return Decimal(1) if lead in ("a", "an") else None


def _is_body(words: list[str], one: Figure, animals: Sequence[int]) -> bool:
    """Whether so many grams are an animal's or a bag's: `a 900 g rabbit`, `weighing 30 g`, `a 900 g bag`."""
    around = words[max(0, one.start - 2) : one.start] + words[one.end : one.end + 2]
    if not _PACKS.isdisjoint(around[-2:]):
        return True
    beside = any(place - 2 <= one.end <= place or 0 < one.start - place <= 2 for place in animals)
    return beside or any(word[:5] == "weigh" or word in ("bodyweight", "bw") for word in around)


def _owner(
    words: list[str], one: Figure, named: Sequence[Named], owned: set[int], carried: tuple[str, ...]
) -> tuple[str, ...]:
    """The drug that a figure belongs to: the one it is `of`, else the one before it, else what was spoken of."""
    behind = ahead = -1
    for at, name in enumerate(named):
        if name.end <= one.start:
            behind = at
        elif name.start >= one.end:
            ahead = at
            break
    after = words[one.end : one.end + 1]
    if ahead >= 0:
        gap = words[one.end : named[ahead].start]
        joined = len(gap) <= 3 and _LINKS_ON.issuperset(gap)
        if joined and (behind < 0 or behind in owned or not _OWNING.isdisjoint(gap)):
            owned.add(ahead)
            return named[ahead].drugs
    if after == ["of"] and one.unit not in _BODIES:
        rest = words[one.end + 1 : one.end + 5]
        following = rest[rest.index("%") + 1] if "%" in rest[:-1] else rest[0] if rest else ""  # `of .9% saline`
        if following.isalpha() and following not in NUMERIC and following not in _OWN_WORDS and following not in _KILOS:
            return ()
    if behind >= 0:
        owned.add(behind)
        return named[behind].drugs
    if carried:
        return carried
    return named[ahead].drugs if ahead >= 0 else ()


def every(words: list[str], intervals: Sequence[tuple[int, Decimal]]) -> list[tuple[int, Decimal]]:
    """How often a sentence without a dose says that something is given: the word it begins at, and the time [h]."""
    return _events(words, quantities(words), intervals)


def _events(
    words: list[str], figures: Sequence[Figure], intervals: Sequence[tuple[int, Decimal]]
) -> list[tuple[int, Decimal]]:
    """How often, each with its place: `q12h`, `every 8 hours`, `cada 12 horas`, `3 times a day`, `zweimal`."""
    found = list(intervals)
    for one in figures:
        if one.dimension == "time" and one.start and words[one.start - 1] in _EVERY and one.unit in _HOURS:
            found.append((one.start, one.value * _HOURS[one.unit]))
        elif one.dimension == "" and one.value and words[one.end : one.end + 1] and words[one.end] in _TIMES:
            after = words[one.end + 1 : one.end + 4]
            if not _DAYS.isdisjoint(after) or after[:1] in (["daily"], ["taglich"]):
                found.append((one.start, Decimal(24) / one.value))
    if not _FOLD.keys().isdisjoint(words):
        found += [(place, Decimal(_FOLD[word])) for place, word in enumerate(words) if word in _FOLD]
    return sorted(found) if len(found) > 1 else found


def _said(
    words: list[str], one: Figure, drugs: tuple[str, ...], amount: Decimal, unit: str, per: tuple[str, ...],
    named: Sequence[Named], routes: Sequence[tuple[int, str]], events: Sequence[tuple[int, Decimal]], limit: int,
    *, alone: bool,
) -> Said:  # fmt: skip
    """A figure with everything that stands around it."""
    end = one.end
    if end < len(words) and words[end] == "of":  # `44 mg of carprofen per kg`
        end = next((name.end for name in named if end < name.start <= end + 2 and name.drugs == drugs), end)
    basis, end = _basis(words, end, per)
    if basis == "lb":
        amount, basis = amount / KG_PER_LB, "kg"
    rate = "h" in per or "min" in per
    if "min" in per:
        amount *= 60
    daily = "day" in per or _is_daily(words, end) or _as_daily(words[end:limit])
    hours = route = None
    bagged = _is_bagged(words, end)
    daily = daily or bagged
    for place, often in events:
        if one.start <= place < limit:
            hours = often
            break
    if hours is None and alone and events:
        hours = events[0][1]
    start = 0
    if not alone:
        start = max((name.start for name in named if name.end <= one.start and name.drugs == drugs), default=0)
    for place, way in routes:  # the last one between the drug and its figure, or the first behind it
        if start <= place < limit:
            route = way
            if place >= one.start:
                break
    return Said(one.start, drugs, amount, unit, basis, rate, daily, hours, "CRI" if bagged else route)


def _is_bagged(words: list[str], end: int) -> bool:
    """`2.2 U/kg in 250 mL`, `into a 1 L bag`: what a bag holds that runs for a day."""
    for place in range(end, min(end + _BAG_REACH, len(words) - 1)):
        if words[place] in _INTO:
            found = figure(words, place + 1 + (words[place + 1] in _ARTICLES and place + 2 < len(words)))
            if found is not None and found.dimension == "volume" and not found.per:
                volume_ml = convert(found.value, found.unit, "mL")
                return volume_ml is not None and volume_ml >= _BAG_ML
    return False


def _basis(words: list[str], end: int, per: tuple[str, ...]) -> tuple[str, int]:
    """What an amount that ends at `end` is for: kg, lb, m2 or "" for the animal; and where the words of it end."""
    if per and per[0] in ("kg", "lb", "m2"):
        return per[0], end
    if not per:
        after = end
        while after < len(words) and after - end < 3 and words[after] in _EACH:
            after += 1
        if end < after < len(words) and words[after] in _KILOS:
            return _KILOS[words[after]], after + 1
    return "", end


def _is_daily(words: list[str], end: int) -> bool:
    """`88 mg a day`, `4 mg/kg/Tag`."""
    after = words[end : end + 2]
    return len(after) == 2 and after[0] in _A_DAY and after[1] in _DAYS


def _as_daily(after: list[str]) -> bool:
    """`10 mg/kg every 12 hours as the daily dose`: what is given in a day, in parts."""
    return " as the daily dose" in f" {' '.join(after)}"
