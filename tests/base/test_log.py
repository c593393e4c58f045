"""The log: lines that programs read, and no word of a caller's."""

from __future__ import annotations

import json
from datetime import datetime

import pytest

from app.base import log


def test_an_event_is_one_line_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    log.warning("holds expired", count=3, note="two\nlines")

    (line,) = capsys.readouterr().err.splitlines()
    told = json.loads(line)
    assert datetime.fromisoformat(told.pop("timestamp")).utcoffset() is not None
    assert told == {"event": "holds expired", "level": "warning", "count": 3, "note": "two\nlines"}


def test_an_exception_is_told_by_class_and_place_never_by_its_words(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        try:
            raise KeyError("my dog Rex")
        except KeyError as cause:
            raise ValueError("of the Smiths") from cause
    except ValueError as fault:
        log.error("turn failed", **log.where(fault))

    (line,) = capsys.readouterr().err.splitlines()
    told = json.loads(line)
    assert (told["level"], told["error"], told["cause"]["error"]) == ("error", "ValueError", "KeyError")
    assert __file__ in told["frames"][-1]
    assert "Rex" not in line and "Smith" not in line
