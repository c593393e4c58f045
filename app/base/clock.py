"""The moments that vetx prints. The ledger never uses these: its time is the database's `now()`."""

from __future__ import annotations

from datetime import UTC, datetime


def utc_now() -> datetime:
    """This moment, aware, in UTC."""
    return datetime.now(UTC)


def rfc3339(moment: datetime) -> str:
    """RFC 3339 in UTC, whole seconds or microseconds, ending in Z."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
