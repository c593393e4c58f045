"""Hours, days and months of any zone: no gap, no overlap, at the calendar's boundaries."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.billing.calendar import Width, edges

ZONES = ["UTC", "Europe/Vienna", "Asia/Kathmandu", "Australia/Lord_Howe", "America/St_Johns", "Pacific/Apia"]
MOMENT = st.datetimes(datetime(1999, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))


def starts(since: str, until: str, zone: str, width: Width) -> list[str]:
    there = ZoneInfo(zone)
    found = edges(datetime.fromisoformat(since), datetime.fromisoformat(until), there, width)
    return [at.astimezone(there).isoformat() for at in found]


def test_a_range_is_clipped_and_its_days_begin_at_midnight_there() -> None:
    assert starts("2026-03-01T10:00:00Z", "2026-03-03T00:00:00Z", "Asia/Kathmandu", "1d") == [
        "2026-03-01T15:45:00+05:45",
        "2026-03-02T00:00:00+05:45",
        "2026-03-03T00:00:00+05:45",
    ]


def test_days_of_a_clock_change_have_23_and_25_hours() -> None:
    spring = [datetime.fromisoformat(x) for x in starts("2026-03-28T00:00+01:00", "2026-03-31T00:00+02:00", "Europe/Vienna", "1d")]  # fmt: skip  # noqa: E501
    autumn = [datetime.fromisoformat(x) for x in starts("2026-10-24T00:00+02:00", "2026-10-27T00:00+01:00", "Europe/Vienna", "1d")]  # fmt: skip  # noqa: E501

    assert [(b - a) / timedelta(hours=1) for a, b in pairwise(spring)] == [24, 23]
    assert [(b - a) / timedelta(hours=1) for a, b in pairwise(autumn)] == [24, 25]


def test_hours_where_the_clock_moves_by_half_an_hour() -> None:
    """Lord Howe goes from 2:00 to 2:30 on 4 October 2026."""
    assert starts("2026-10-03T14:30:00Z", "2026-10-03T17:00:00Z", "Australia/Lord_Howe", "1h") == [
        "2026-10-04T01:00:00+10:30",
        "2026-10-04T02:30:00+11:00",
        "2026-10-04T03:00:00+11:00",
    ]


def test_a_day_that_a_zone_left_out_is_left_out() -> None:
    """Samoa had no 30 December 2011."""
    assert [x[:10] for x in starts("2011-12-29T00:00-10:00", "2012-01-01T00:00+14:00", "Pacific/Apia", "1d")] == [
        "2011-12-29",
        "2011-12-31",
    ]


def test_months() -> None:
    assert starts("2025-11-15T00:00Z", "2026-02-01T00:00Z", "America/St_Johns", "1mo") == [
        "2025-11-14T20:30:00-03:30",
        "2025-12-01T00:00:00-03:30",
        "2026-01-01T00:00:00-03:30",
    ]


@given(MOMENT, st.timedeltas(timedelta(seconds=1), timedelta(days=500)), st.sampled_from(ZONES), st.sampled_from(["1h", "1d", "1mo"]))  # fmt: skip  # noqa: E501
@settings(max_examples=200, deadline=None)
def test_buckets_follow_each_other_without_gap_or_overlap(
    start: datetime, length: timedelta, zone: str, width: Width
) -> None:
    there = ZoneInfo(zone)

    found = list(islice(edges(start, start + length, there, width), 900))

    assert found[0] == start
    assert all(a < b for a, b in pairwise(found))
    assert all(at < start + length for at in found)
    for at in found[1:]:
        local = at.astimezone(there)
        before = (at - timedelta(microseconds=1)).astimezone(there)
        unit = {"1h": "%Y-%m-%d %H", "1d": "%Y-%m-%d", "1mo": "%Y-%m"}[width]
        changed = local.strftime(unit) != before.strftime(unit)
        clock_moved = local.utcoffset() != before.utcoffset()
        assert changed or clock_moved or zone == "America/St_Johns"


def test_an_unaligned_year_of_hours_is_lazy() -> None:
    far = edges(datetime(1970, 1, 1, tzinfo=UTC), datetime(2900, 1, 1, tzinfo=UTC), ZoneInfo("UTC"), "1h")
    assert next(far) == datetime(1970, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("width", ["1h", "1d", "1mo"])
def test_an_empty_range_has_no_buckets(width: Width) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert list(edges(now, now, ZoneInfo("UTC"), width)) == []
