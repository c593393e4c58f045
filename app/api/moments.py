"""Moments and ranges in query strings: ISO 8601 with an offset, or a date in a time zone."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from app.base.errors import Invalid
from app.billing.calendar import midnight

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
# A plus sign that was not percent-encoded arrives as a space.
_MOMENT = re.compile(r"(\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?)(Z|z|[+\- ]\d{2}:?\d{2})?", re.ASCII)
YEAR_MIN, YEAR_MAX = 1970, 2900
DEFAULT_RANGE = timedelta(days=30)
ZONE_CHARACTERS_MAX = 64


def zone_named(name: str) -> ZoneInfo:
    """A time zone.

    Raises:
        Invalid: not an IANA name.
    """
    try:
        if len(name) > ZONE_CHARACTERS_MAX or not name.isascii():
            raise ValueError
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise Invalid("tz is not an IANA time zone, like Europe/Vienna.", param="tz") from None


def moment(text: str, param: str, zone: ZoneInfo, *, end: bool = False) -> datetime:
    """The instant that a parameter names, in UTC; with `end` a date means that the day is included.

    Raises:
        Invalid: names the parameter and what it lacks.
    """
    advice = f"{param}: write a date (2026-01-31) or a moment with its offset (2026-01-31T08:00:00Z)."
    try:
        if _DATE.fullmatch(text):
            day = _within_years(date.fromisoformat(text))
            return midnight(day + timedelta(days=1) if end else day, zone)
        match = _MOMENT.fullmatch(text)
        if match is None:
            raise ValueError
        clock, offset = match.groups()
        if offset is None:
            raise Invalid(f"{param} has no offset; end it with Z or one like +02:00.", param=param)
        _within_years(date.fromisoformat(clock[:10]))
        written = clock.replace("t", "T") + offset.replace(" ", "+").upper()
        return datetime.fromisoformat(written).astimezone(UTC)
    except ValueError:
        raise Invalid(advice, param=param) from None


def _within_years(day: date) -> date:
    if not YEAR_MIN <= day.year <= YEAR_MAX:
        raise ValueError
    return day


def time_range(since: str | None, until: str | None, zone: ZoneInfo, now: datetime) -> tuple[datetime, datetime]:
    """The half-open range of `from` and `to`; the last 30 days where they are left out.

    Raises:
        Invalid: one of them is no moment, or they are in the wrong order.
    """
    end = moment(until, "to", zone, end=True) if until is not None else now.astimezone(UTC)
    start = moment(since, "from", zone) if since is not None else end - DEFAULT_RANGE
    if start >= end:
        raise Invalid("from is not before to; swap them, or leave one out.", param="from" if since else "to")
    return start, end
