"""Drugs as people write them: `prednisolone 5 mg PO BID` taken apart."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from decimal import Decimal

from app.base.memo import Memo
from app.clinic.dosing import Strength, read_strength
from app.clinic.patient import MedicationShape
from app.clinic.records import Drug, Records, per_records
from app.clinic.units import canonical, dimensions, fold

_NUMBER = r"(?:\d+\s+\d/\d|\d+/\d+|\d+(?:[.,]\d+)*|\.\d+|[½¼¾])"
_START = r"(?<![\w.,])"
# A figure starts where nothing of a figure stands before it: `1e5 mg` is not 5 mg.
_QUANTITY = re.compile(
    rf"{_START}(?P<low>{_NUMBER})(?:\s*(?:-|\u2013|to)\s*(?P<high>{_NUMBER}))?\s*"
    r"(?P<unit>milligrams?|micrograms?|grams?|mgs?|mcg|ug|µg|μg|gm?|grains?|gr|ius?|units?|u|mls?|cc|meq|mmol|%)"
    r"(?P<per>\s*(?:/|per)\s*(?:kg|kilo|lb|pound|m2|m²|(?:\d+(?:\.\d+)?\s*)?ml|tab(?:let)?|cap(?:sule)?|dose|animal))?"
    r"(?P<time>\s*(?:/|per|a)\s*(?:min(?:ute)?|hr?|hour|day|d))?(?![a-z])",
    re.IGNORECASE,
)
_PIECE = r"(?:tablets?|tabs?|caps?|capsules?|pills?|caplets?|chews?|chewables?|t)"
_COUNT_WORDS = {
    "half": "0.5",
    "quarter": "0.25",
    "one": "1",
    "a": "1",
    "an": "1",
    "two": "2",
    "three": "3",
    "four": "4",
    "½": "0.5",
    "¼": "0.25",
    "¾": "0.75",
}
_COUNT = re.compile(
    rf"(?P<count>{_NUMBER}|half|quarter|one|two|three|four|an?)\s+(?:(?:of\s+)?(?:an?|the|one)\s+)?{_PIECE}\b"
    rf"|(?P<times>{_NUMBER})\s*[x\u00d7]\s*(?=\d)"
    rf"|(?P<part>half|quarter|one|two|three|four|[½¼¾]|{_NUMBER})\s+(?:of\s+)?(?:(?:an?|the)\s+)?"
    rf"(?=\d[\d.,]*\s*(?:mg|mcg|g)\s+{_PIECE}\b)",
    re.IGNORECASE,
)
_INTERVALS: tuple[tuple[re.Pattern[str], Decimal], ...] = tuple(
    (re.compile(rf"\b(?:{words})\b", re.IGNORECASE), Decimal(hours))
    for words, hours in (
        (r"eod|every other day|every second day|q ?48 ?h?|q ?2 ?d|alternate days", 48),
        (r"qid|four times (?:a|per) day|four times daily|4 ?x (?:a day|daily)|q ?6 ?h", 6),
        (r"tid|three times (?:a|per) day|three times daily|3 ?x (?:a day|daily)|q ?8 ?h", 8),
        (
            r"bid|twice (?:a|per) day|twice daily|two times (?:a|per) day|2 ?x (?:a day|daily)|q ?12 ?h|"
            r"morning and evening",
            12,
        ),
        (r"sid|s\.i\.d\.|once (?:a|per) day|once daily|q ?24 ?h?|qd|daily|every day|each day|o\.d\.|od", 24),
        (r"once (?:a|per) week|weekly|q ?7 ?d|every week", 168),
        (r"once (?:a|per) month|monthly|every month|q ?30 ?d", 720),
    )
)
_EVERY = re.compile(r"\b(?:q|every)\s*(\d+)(?:\s*(?:-|to)\s*\d+)?\s*(h|hr|hrs|hours?|d|days?)\b", re.IGNORECASE)
_ROUTES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(rf"\b(?:{words})\b", re.IGNORECASE), route)
    for words, route in (
        (r"otm|transmucosal|sublingual", "OTM"),
        (r"eye drops?|ophth(?:almic)?|ou|os|in(?:to)? the eyes?", "OPH"),
        (r"po|per os|by mouth|orally|oral", "PO"),
        (r"sc|sq|sub-?q|sub-?cut(?:aneous(?:ly)?)?", "SC"),
        (r"im|intramuscular(?:ly)?", "IM"),
        (r"iv|intravenous(?:ly)?", "IV"),
        (r"io|intraosseous", "IO"),
        (r"ip|intraperitoneal", "IP"),
        (r"pr|per rectum|rectal(?:ly)?", "PR"),
        (r"in|intranasal(?:ly)?", "IN"),
        (r"inhaled?|inh|nebuli[sz]ed", "INH"),
        (r"top|topical(?:ly)?|spot-?on|pour-?on|on the skin", "TOP"),
        (r"otic|in the ears?|ear drops?", "OTIC"),
        (r"intramammary|imm", "IMM"),
    )
)
_ONCE = re.compile(r"\b(?:once|single dose|one dose|stat|one-?off)\b(?!\s+(?:a|per|daily|weekly|every))", re.IGNORECASE)
_WORDS = """
a about adult after again ago already also an and arthritis as at baby bedtime been before bid both
brand by cap caps capsule capsules cat chew chewable chews children childrens continuous coughing
cri currently daily day days diarrhea divided dog dose dosed doses drop drops each eod evening every
extra eyes first food for from gave generic give given giving half he her high him his hour hours
human if im in infant infection infusion inj injectable injection intramuscular intravenous is it
itch iu iv kg last lb liquid loading long low maintenance max maximum mcg meal meals mg ml month
monthly months morning mother mouth my needed next night not of off on once ongoing only oral orally
other pain paste per plain plus po pour prn qid quarter rate recheck regular roughly said sc she
short sid since skin solution spot start started stat stopped strength subcut subcutaneous
suspension tab tablet tablets tabs take taken taking term the then tid time times to today topical
topically twice ug unit units until vet vomiting was week weekly weeks when with yesterday
"""
_KNOWN = frozenset(_WORDS.split())


@dataclass(frozen=True, slots=True)
class Written:
    """One drug of a line.

    Attributes:
        text: the words it was read from.
        drugs: what the name stands for (a brand may hold several); empty where nobody knows it.
        name: as written, or the whole line where no name is known.
        amount: of one administration, in `unit` (`mg`, `mg/kg`, `mL`, `[IU]` ...); a range gives its upper end.
        per_day: the amount is for a whole day.
        count: of tablets, where one was written.
        unknown: further words that look like a name and are none we know.
    """

    text: str
    drugs: tuple[Drug, ...]
    name: str
    amount: Decimal | None = None
    unit: str = ""
    strength: Strength | None = None
    route: str | None = None
    interval_h: Decimal | None = None
    once: bool = False
    per_day: bool = False
    count: Decimal | None = None
    unknown: tuple[str, ...] = ()
    assumed: tuple[str, ...] = ()


def read_line(line: str | MedicationShape, records: Records) -> list[Written]:
    """The drugs of one line, in order; at least one, whose `drugs` are empty where no name is known."""
    if not isinstance(line, str):
        return [_from_parts(line, records)]
    return list(_lines(records).of(line, len(line), lambda: _read(line, records)))


@per_records
def _lines(records: Records) -> Memo[str, list[Written]]:
    return Memo(room=40_000, largest=400)


def _read(line: str, records: Records) -> list[Written]:
    names = _names(line, records)
    if not names:
        return [replace(_amounts(line, line), drugs=(), name=_bare_name(line))]
    found = []
    for index, (_, end, drugs) in enumerate(names):
        since = 0 if index == 0 else names[index][0]
        until = len(line) if index + 1 == len(names) else names[index + 1][0]
        text = line[since:until].strip(" ,;+&")
        rest = line[since : names[index][0]] + " " + line[end:until]
        read = _amounts(text, rest)
        found.append(
            replace(read, drugs=drugs, name=line[names[index][0] : end], unknown=_unknown(rest))
        )  # fmt: skip
    return found


def _from_parts(line: MedicationShape, records: Records) -> Written:
    """A medication that came in fields."""
    unit = (line.unit or "").strip()
    words = " ".join(part for part in (line.route, line.frequency) if part)
    amount = "" if line.amount is None else f"{format(line.amount, 'f')} {unit}"
    read = _amounts(f"{line.name} {amount} {words}".strip(), f"{amount} {words} {line.name}")
    names = _names(line.name, records)
    drugs = records.drugs_named(line.name) or (names[0][2] if names else ())
    return replace(read, drugs=drugs, name=line.name)


def _names(line: str, records: Records) -> list[tuple[int, int, tuple[Drug, ...]]]:
    """Start, end and drugs of every name in a line; the longest name wins."""
    tokens = [(match.start(), match.end()) for match in re.finditer(r"[^\s,;+&()]+", line)]
    found: list[tuple[int, int, tuple[Drug, ...]]] = []
    index = 0
    while index < len(tokens):
        for last in range(min(index + 5, len(tokens)), index, -1):
            start, end = tokens[index][0], tokens[last - 1][1]
            drugs = records.drugs_named(line[start:end])
            if not drugs:
                # "Rimadyl100mg", "carprofen:" and the like
                bare = re.match(r"[^\W\d]{4,}", line[start:end]) if last == index + 1 else None
                drugs = records.drugs_named(bare[0]) if bare else ()
                end = start + len(bare[0]) if bare and drugs else end
            if drugs:
                found.append((start, end, drugs))
                index = last
                break
        else:
            index += 1
    return found


def _bare_name(line: str) -> str:
    """What most likely is the name in a line that holds none we know: its words before the first figure."""
    words = re.split(r"\s+(?=[\d½¼¾])", line.strip(), maxsplit=1)[0]
    kept = [word for word in words.split() if fold(word) not in _KNOWN]
    return " ".join(kept) or line.strip()


def _unknown(rest: str) -> tuple[str, ...]:
    """Words beside a known name that may be another drug's."""
    cleaned = _EVERY.sub(" ", _QUANTITY.sub(" ", rest))
    for patterns in (_INTERVALS, _ROUTES):
        for pattern, _ in patterns:
            cleaned = pattern.sub(" ", cleaned)
    words = re.findall(r"[^\W\d_][\w-]{3,}", cleaned)
    return tuple(word for word in words if not set(fold(word).split()) <= _KNOWN)


def _decimal(text: str) -> Decimal:
    """A figure as written: `1/2`, `1 1/2`, `0,5`, `1,000`, `½`."""
    text = text.strip()
    if text.lower() in _COUNT_WORDS:
        return Decimal(_COUNT_WORDS[text.lower()])
    if "/" in text:
        whole, _, fraction = text.rpartition(" ")
        top, bottom = fraction.split("/")
        return Decimal(whole or 0) + (Decimal(top) / Decimal(bottom) if Decimal(bottom) else Decimal(0))
    if re.fullmatch(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?", text):
        text = text.replace(",", "")
    text = text.replace(",", ".")
    head, dot, tail = text.rpartition(".")
    return Decimal(head.replace(".", "") + dot + tail)


def _amounts(text: str, rest: str) -> Written:
    """Amount, strength, route and interval of the words around a name."""
    count_match = _COUNT.search(rest)
    count = None
    if count_match is not None:
        count = _decimal(next(group for group in count_match.groups() if group))
    amount, unit, per_day, strength = None, "", False, None
    plain: list[tuple[Decimal, str, bool]] = []
    for match in _QUANTITY.finditer(rest):
        value = _decimal(match["high"] or match["low"])
        word = "iu" if match["unit"].lower() in ("u", "unit", "units") else match["unit"]
        base = canonical(word) or word
        per = re.sub(r"^(?:/|per)\s*", "", (match["per"] or "").strip(), flags=re.IGNORECASE).lower()
        time = re.sub(r"^(?:/|per|a)\s*", "", (match["time"] or "").strip(), flags=re.IGNORECASE).lower()
        daily = time.startswith("d")
        rate = "" if daily or not time else "/min" if time.startswith("m") else "/h"
        if base == "%" or "ml" in per:
            strength = read_strength(value, base if base == "%" else f"{base}/{per}")
        elif per.startswith(("tab", "cap")):
            strength = Strength(value, base, per_ml=False)
        elif per in ("kg", "kilo", "lb", "pound", "m2", "m²"):
            amount, per_day = value, daily
            unit = f"{base}/{ {'kilo': 'kg', 'pound': 'lb', 'm²': 'm2'}.get(per, per) }{rate}"
        else:
            following = bool(re.match(rf"\s*{_PIECE}\b", rest[match.end() :], re.IGNORECASE))
            plain.append((value, base + rate, following))
            per_day = per_day or daily
    assumed: list[str] = []
    if amount is None:
        tablets = [row for row in plain if row[2] and dimensions(row[1]) != ("volume",)]
        others = [row for row in plain if not row[2] or row not in tablets]
        if tablets and strength is None and (count is not None or others):
            strength = Strength(tablets[0][0], tablets[0][1], per_ml=False)
        if count is not None and strength is None and others and dimensions(others[0][1]) != ("volume",):
            strength, others = Strength(others[0][0], others[0][1], per_ml=False), []
        if others:
            amount, unit = others[0][0], others[0][1]
        elif count is not None and strength is not None and not strength.per_ml:
            amount, unit = count * strength.value, strength.unit
        elif tablets:
            amount, unit = tablets[0][0], tablets[0][1]
            assumed.append("one tablet at a time")
    if amount is not None and unit == "mL" and strength is not None and strength.per_ml:
        amount, unit = amount * strength.value, strength.unit
    return Written(
        text=text,
        drugs=(),
        name="",
        amount=amount,
        unit=unit,
        strength=strength,
        route=next((route for pattern, route in _ROUTES if pattern.search(rest)), None),
        interval_h=_interval(rest),
        once=bool(_ONCE.search(rest)),
        per_day=per_day,
        count=count,
        assumed=tuple(assumed),
    )


def _interval(rest: str) -> Decimal | None:
    """Hours between doses, as written."""
    every = _EVERY.search(rest)
    if every is not None and int(every[1]) > 0:
        return Decimal(every[1]) * (24 if every[2].lower().startswith("d") else 1)
    return next((hours for pattern, hours in _INTERVALS if pattern.search(rest)), None)
