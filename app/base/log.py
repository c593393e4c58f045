"""What the service says of itself: one JSON object a line on stderr, names and numbers, never words of a request."""

from __future__ import annotations

import json
import sys
import traceback
from contextlib import suppress
from typing import Any

from app.base.clock import rfc3339, utc_now

FRAMES_MAX = 12


def warning(event: str, **facts: Any) -> None:
    """Something went wrong that mends itself."""
    _write("warning", event, facts)


def error(event: str, **facts: Any) -> None:
    """Something went wrong that somebody should look at."""
    _write("error", event, facts)


def where(fault: BaseException) -> dict[str, Any]:
    """An exception's class and where it was raised. Its message may quote what the caller sent."""
    frames = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(fault.__traceback__)]
    cause = fault.__cause__ or fault.__context__
    shape: dict[str, Any] = {"error": type(fault).__name__, "frames": frames[-FRAMES_MAX:]}
    return shape if cause is None else {**shape, "cause": where(cause)}


def _write(level: str, event: str, facts: dict[str, Any]) -> None:
    line = {**facts, "event": event, "level": level, "timestamp": rfc3339(utc_now())}
    with suppress(OSError):  # nobody reads them any more
        sys.stderr.write(json.dumps(line) + "\n")
        sys.stderr.flush()
