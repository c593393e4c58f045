"""Where the hours, days and months of a time zone begin, as instants; clock changes and all."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

Width = Literal["1h", "1d", "1mo"]


def midnight(day: date, zone: ZoneInfo) -> datetime:
    """When a day begins; where the clock skips midnight, the moment of the skip."""
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)


def edges(start: datetime, end: datetime, zone: ZoneInfo, width: Width) -> Iterator[datetime]:
    """The beginnings of the buckets of [start, end): `start` itself, then every calendar boundary before `end`."""
    at = start.astimezone(UTC)
    while at < end:
        yield at
        at = _next_hour(at, zone) if width == "1h" else _next_date(at, zone, width)


def _next_hour(at: datetime, zone: ZoneInfo) -> datetime:
    local = at.astimezone(zone)
    into = timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)
    return at + timedelta(hours=1) - into


def _next_date(at: datetime, zone: ZoneInfo, width: Width) -> datetime:
    day = at.astimezone(zone).date()
    while True:
        if width == "1d":
            day += timedelta(days=1)
        else:
            day = date(day.year + day.month // 12, day.month % 12 + 1, 1)
        begins = midnight(day, zone)
        if begins > at:  # not so for a day that the zone left out, and after a clock put back over midnight
            return begins
