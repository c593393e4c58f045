"""A process for the pool that does what it is told to: echo, spin, sleep, die, eat memory."""

from __future__ import annotations

import os
import sys
import time

from app.media.worker import answer, bound_process, questions


def main() -> None:
    """Serve stdin."""
    bound_process()
    answer(sys.stdout.buffer, {})
    for head, payload in questions(sys.stdin.buffer):
        found = {}
        if head["do"] == "spin":
            while True:
                pass
        elif head["do"] == "sleep":
            time.sleep(60)
        elif head["do"] == "nap":
            time.sleep(0.3)
        elif head["do"] == "die":
            os._exit(1)
        elif head["do"] == "eat":
            try:
                found["ate"] = bool(bytes(head["mb"] * 1024 * 1024))
            except MemoryError:
                found["ate"] = False
        answer(sys.stdout.buffer, found, payload)
