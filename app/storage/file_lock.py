"""A lock on a file that the operating system drops when its holder dies, however it dies."""

from __future__ import annotations

import os
import secrets
import sys
import time
from contextlib import suppress
from typing import Literal

Mode = Literal["shared", "exclusive"]
POLL_S = 0.02
# Windows locks ranges of bytes, and only exclusively: a sharer takes one byte, an excluder takes all of them.
RANGE_BYTES = 1024


class FileLock:
    """Many sharers or one excluder of an open file; two locks in one process count as two holders."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    def acquire(self, mode: Mode, timeout_s: float = 0) -> bool:
        """Whether the lock was had within the time; a sharer may try to become the excluder."""
        deadline = time.monotonic() + timeout_s
        while not self._try(mode):
            if time.monotonic() >= deadline:
                return False
            time.sleep(POLL_S)
        return True

    def close(self) -> None:
        """Let go; safe twice."""
        if self._descriptor is not None:
            with suppress(OSError):
                os.close(self._descriptor)
            self._descriptor = None

    def _try(self, mode: Mode) -> bool:
        assert self._descriptor is not None
        try:
            if sys.platform == "win32":
                import msvcrt

                if mode == "exclusive":
                    os.lseek(self._descriptor, 0, os.SEEK_SET)
                    msvcrt.locking(self._descriptor, msvcrt.LK_NBLCK, RANGE_BYTES)
                else:
                    os.lseek(self._descriptor, secrets.randbelow(RANGE_BYTES), os.SEEK_SET)
                    msvcrt.locking(self._descriptor, msvcrt.LK_NBLCK, 1)
            else:
                import fcntl

                kind = fcntl.LOCK_EX if mode == "exclusive" else fcntl.LOCK_SH
                fcntl.flock(self._descriptor, kind | fcntl.LOCK_NB)
        except OSError:
            return False
        return True
