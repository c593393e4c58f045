"""How soon an animal must be seen: the signs somebody describes against the red flags, its vital signs against its
species' ranges, and what it was exposed to.

Words of reassurance never lower a level: only the worst thing said counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, cast

from app.base.messages import Triage
from app.clinic.findings import SignSaid, VitalSaid, flags_in
from app.clinic.reading import Reading, Sign, read
from app.clinic.records import Flag, Records
from app.clinic.units import fold, number, shown, spelt

Json = dict[str, Any]
Level = Literal["emergency", "urgent", "routine", "home_care"]

_RANKS = {"emergency": 0, "urgent": 1, "routine": 2, "home_care": 3}
_COLOURS = {"red": 0, "orange": 1, "yellow": 2, "green": 3, "blue": 4}
_OF_BAND = {
    "life_threatening": "emergency", "severe": "emergency", "moderate": "urgent", "mild": "urgent",
    "minimal": "home_care",
}  # fmt: skip
_TIMES: dict[str, tuple[int | None, str]] = {
    "emergency": (0, "red"),
    "urgent": (60, "yellow"),
    "routine": (None, "green"),
    "home_care": (None, "blue"),
}
_ASK_MAX = 6
_OWN_MAX = 6
"""A flag of more species than this is no species' own."""


_QUIET = Triage(
    level="routine",
    see_within_min=None,
    vtl_colour="green",
    reason="No red flag was named; that is not a clean bill of health.",
    red_flags=(),
    ask_next=(),
    contacts=(),
)


def triage(
    said: Reading | str,
    patient: Mapping[str, Any] | None,
    records: Records,
    exposures: Sequence[Mapping[str, Any]] = (),
    jurisdiction: str | None = None,
    vitals: Sequence[Mapping[str, Any]] = (),
) -> Triage:
    """The level of what was said, of one animal.

    Args:
        said: a text, or its reading; of a reading its own `signs` count (see `stated`).
        patient: in API.md's shape; species and sex decide which flags can be meant. None: whatever the text says.
        exposures: answers of `exposure` for this animal; their urgency counts.
        jurisdiction: picks the poison lines; None lists them all.
        vitals: rows of `judged`; those out of range count.

    Returns:
        `routine` when nothing is raised: that no red flag was named, not that nothing is wrong.
    """
    reading = stated(read(said, records), records)[0] if isinstance(said, str) else said
    known = patient or {}
    raised = list({flag.reason: (flag, span) for flag, span in reversed([*_raised(reading, known, records)])}.values())
    raised.reverse()
    poisonings = [_poisoning(answer) for answer in exposures]
    poisonings += [_strayed(row) for row in vitals if row["level"]]
    if not raised and not poisonings:
        return _QUIET
    worst = min([*(_RANKS[flag.level] for flag, _ in raised), *(_RANKS[row["level"]] for row in poisonings)])
    level = cast("Level", next(name for name, rank in _RANKS.items() if rank == worst))
    leading = [flag for flag, _ in raised if flag.level == level]
    toxic = [row for row in poisonings if row["level"] == level]
    minutes, colour = _TIMES[level]
    if leading and not toxic:
        limits = [flag.see_within_min for flag in leading if flag.see_within_min is not None]
        minutes = min(limits, default=minutes)
        colour = min((flag.vtl_colour for flag in leading), key=_COLOURS.__getitem__)
    reasons = [*(row["reason"] for row in toxic), *(flag.reason for flag in leading)]
    asked = [question for flag in leading for question in flag.ask_next]
    about_poison = bool(exposures) or any("poison" in flag.id or "toxin" in flag.id for flag in leading)
    return Triage(
        level=level,
        see_within_min=minutes,
        vtl_colour=colour,
        reason=" ".join(dict.fromkeys(reasons)) or _QUIET.reason,
        red_flags=(
            *(row["flag"] for row in poisonings if row["flag"]),
            *(_shown(flag, span) for flag, span in raised if flag.level in ("emergency", "urgent")),
        ),
        ask_next=tuple(dict.fromkeys(asked))[:_ASK_MAX],
        contacts=contacts(records, jurisdiction) if about_poison else (),
    )


def stated(reading: Reading, records: Records) -> tuple[Reading, tuple[Json, ...]]:
    """The reading with only those signs that it states of this animal today, and what it names in another sense."""
    raised, left = flags_in(reading, records)
    return replace(reading, signs=raised), left


def of_illness(patient: Mapping[str, Any], signs: Iterable[SignSaid], records: Records) -> tuple[Sign, ...]:
    """The flags of a known illness that shows itself: a diabetic that is wobbly, whichever message says which."""
    illnesses = [fold(str(one)) for one in patient.get("conditions") or ()]
    if not illnesses:
        return ()
    shown_signs = {sign.sign: sign for sign in signs if sign.state == "stated"}
    found = []
    for place, flag in enumerate(records.flags):
        sign = next((shown_signs[name] for name in flag.signs if name in shown_signs), None)
        if sign is not None and any(one.startswith(name) for name in flag.conditions for one in illnesses):
            found.append(Sign(place, flag.sign, sign.span))
    return tuple(found)


def questions(patient: Mapping[str, Any], records: Records) -> tuple[str, ...]:
    """What to ask when nothing was raised: the gravest flags of its own species, then those of every animal."""
    own, common = [], []
    for flag in sorted(records.flags, key=lambda flag: flag.see_within_min or 0):
        if flag.level != "emergency" or (flag.sex and patient.get("sex") not in (None, flag.sex)):
            continue
        if "any" in flag.species:
            common.append(flag)
        elif patient.get("species") in flag.species and len(flag.species) <= _OWN_MAX:
            own.append(flag)
    half = _ASK_MAX // 2
    return tuple(f"Is there any of this: {flag.sign}?" for flag in (*own[:half], *common[: _ASK_MAX - len(own[:half])]))


def judged(vitals: Iterable[VitalSaid], patient: Mapping[str, Any], records: Records) -> tuple[list[Json], list[Json]]:
    """Vital signs beside the range on record for the species.

    Outside of the range is urgent. Above it by more than the range is wide, below it by as much, or below half of its
    lower end, is an emergency: our own rule, on the cautious side, where no source gives a limit.

    Returns:
        Rows `{name, value, unit, interval, flag LL|L|N|H|HH|null, level, text, span, source, reason}`, and those that
        no record could judge, `{text, why}`; these are also among the rows, without flag and reason.
    """
    species = records.species.get(str(patient.get("species")))
    rows, left = [], []
    for one in vitals:
        words = f"{one.name.replace('_', ' ')} {shown(one.value)} {spelt(one.unit)}"
        known = next((vital for vital in species.vitals if vital.name == one.name), None) if species else None
        row: Json = {"name": one.name, "value": number(one.value), "unit": one.unit, "interval": None, "flag": None}
        row |= {"level": None, "text": words, "span": None if one.span is None else list(one.span), "source": None}
        row["reason"] = None
        if known is None:
            left.append({"text": words, "why": "missing_species" if species is None else "no_interval_on_record"})
        else:
            width = known.high - known.low
            high, low = one.value > known.high, one.value < known.low
            far = one.value > known.high + width or one.value < max(known.low - width, known.low / 2)
            row["interval"] = {"low": number(known.low), "high": number(known.high), "source": "record"}
            row["flag"] = ("HH" if far else "H") if high else ("LL" if far else "L") if low else "N"
            row["level"] = ("emergency" if far else "urgent") if high or low else None
            side = f"{'far ' if far else ''}{'above' if high else 'below' if low else 'within'}"
            ends = f"{shown(known.low)} to {shown(known.high)} {spelt(one.unit)} on record for the {patient['species']}"
            row["reason"] = f"{words[0].upper()}{words[1:]}: {side} the {ends}."
            row["source"] = known.sources[0].json
        rows.append(row)
    return rows, left


def contacts(records: Records, jurisdiction: str | None) -> tuple[Json, ...]:
    """Whom to call about a poison: the lines of that country, else of every country."""
    lines = [line for line in records.contacts if line.kind == "poison_line"]
    own = [line for line in lines if line.country == jurisdiction]
    return tuple(line.json for line in own or lines)


def urgency(answer: Mapping[str, Any]) -> str:
    """The level of an exposure: its own `urgency`, else its severity's."""
    stated = answer.get("urgency")
    if stated in _RANKS:
        return str(stated)
    level = _OF_BAND.get(str(answer.get("severity")), "urgent")
    return "emergency" if answer.get("urgent") or answer.get("no_safe_amount") else level


def _poisoning(answer: Mapping[str, Any]) -> Json:
    level = urgency(answer)
    agent = str(answer.get("substance") or answer.get("agent") or "a poison")
    named = str(answer.get("title") or agent)
    severity = str(answer.get("severity") or "unknown").replace("_", " ")
    reason = (
        f"Exposure to {named}, of which nothing is on record: a vet or a poison line must judge it."
        if answer.get("covered") is False
        else f"Exposure to {named}: no amount is known to be safe for this species."
        if answer.get("no_safe_amount")
        else f"Exposure to {named}: {severity}, the amount not being known."
        if answer.get("dose") is None
        else f"Exposure to {named}: {severity} by the amount given."
    )
    flag: Json = {}
    if level in ("emergency", "urgent"):
        sources = answer.get("sources") or ()
        flag = {
            "id": f"exposure-{agent.replace(' ', '-')}",
            "sign": f"exposure to {named}",
            "span": answer.get("span"),
            "reason": reason,
            "source": answer.get("source") or (sources[0] if sources else None),
        }
    return {"level": level, "reason": reason, "flag": flag}


def _strayed(row: Mapping[str, Any]) -> Json:
    """A vital sign out of range, as a flag."""
    flag = {"id": f"vital-{row['name'].replace('_', '-')}", "sign": row["text"], "level": row["level"]}
    flag |= {"span": row["span"], "reason": row["reason"], "source": row["source"]}
    return {"level": row["level"], "reason": row["reason"], "flag": flag}


def _raised(reading: Reading, patient: Mapping[str, Any], records: Records) -> Iterable[tuple[Flag, tuple[int, int]]]:
    """The flags that the text raises and that this animal can have; an unknown species or sex rules nothing out."""
    for sign in reading.signs:
        flag = records.flags[sign.flag]
        species = sign.species or patient.get("species")
        if species is not None and "any" not in flag.species and not _can_be(str(species), flag, records):
            continue
        sex = patient.get("sex") or next(
            (animal.sex for animal in reading.animals if animal.species == species and animal.sex), None
        )
        if flag.sex and sex is not None and sex != flag.sex:
            continue
        yield flag, sign.span


def _can_be(species: str, flag: Flag, records: Records) -> bool:
    """Whether a flag holds for a species, or for one of a group (`parrot`); one that nobody knows rules nothing out."""
    if species in records.species:
        return species in flag.species
    group = fold(species).replace(" ", "_")
    members = {name for name, row in records.species.items() if group in row.groups}
    return not members or not members.isdisjoint(flag.species)


def _shown(flag: Flag, span: tuple[int, int]) -> Json:
    return {
        "id": flag.id,
        "sign": flag.sign,
        "level": flag.level,
        "span": list(span),
        "reason": flag.reason,
        "source": flag.sources[0].json,
    }
