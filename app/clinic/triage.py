"""How soon an animal must be seen: the signs somebody describes against the red flags, and what it was exposed to.

Words of reassurance never lower a level: only the worst thing said counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, cast

from app.base.messages import Triage
from app.clinic.reading import Reading, read
from app.clinic.records import Flag, Records

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
) -> Triage:
    """The level of what was said, of one animal.

    Args:
        patient: in API.md's shape; species and sex decide which flags can be meant. None: whatever the text says.
        exposures: answers of `exposure` for this animal; their urgency counts.
        jurisdiction: picks the poison lines; None lists them all.

    Returns:
        `routine` when nothing is raised: that no red flag was named, not that nothing is wrong.
    """
    reading = read(said, records) if isinstance(said, str) else said
    known = patient or {}
    raised = list(_raised(reading, known, records))
    if not raised and not exposures:
        return _QUIET
    poisonings = [_poisoning(answer) for answer in exposures]
    worst = min([*(_RANKS[flag.level] for flag, _ in raised), *(_RANKS[row["level"]] for row in poisonings)], default=2)
    level = cast("Level", next(name for name, rank in _RANKS.items() if rank == worst))
    leading = [flag for flag, _ in raised if flag.level == level]
    toxic = [row for row in poisonings if row["level"] == level]
    minutes, colour = _TIMES[level]
    if leading and not toxic:
        stated = [flag.see_within_min for flag in leading if flag.see_within_min is not None]
        minutes = min(stated, default=minutes)
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


def _raised(reading: Reading, patient: Mapping[str, Any], records: Records) -> Iterable[tuple[Flag, tuple[int, int]]]:
    """The flags that the text raises and that this animal can have; an unknown species or sex rules nothing out."""
    for sign in reading.signs:
        flag = records.flags[sign.flag]
        species = sign.species or patient.get("species")
        if species is not None and "any" not in flag.species and species not in flag.species:
            continue
        sex = patient.get("sex") or next(
            (animal.sex for animal in reading.animals if animal.species == species and animal.sex), None
        )
        if flag.sex and sex is not None and sex != flag.sex:
            continue
        yield flag, sign.span


def _shown(flag: Flag, span: tuple[int, int]) -> Json:
    return {
        "id": flag.id,
        "sign": flag.sign,
        "level": flag.level,
        "span": list(span),
        "reason": flag.reason,
        "source": flag.sources[0].json,
    }
