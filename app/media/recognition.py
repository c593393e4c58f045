"""The words in pictures that look written: read in a process of its own that starts with the first of them."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Sequence

from app.base.errors import Unavailable
from app.base.messages import Json, Picture, Written
from app.media.processes import Died, Processes, TookTooLong

READ_S_MAX = 40.0
IDLE_S_MAX = 300.0
"""After so long without a question the process ends and gives its half gigabyte back."""
PAGES_MAX = 4
"""Of a request; each takes seconds of a core. A PDF with a text of its own needs none of them."""
WAITING_MAX = 8
KEPT_MAX, KEPT_S_MAX = 16, 600.0
"""A conversation sends its pictures again with each turn: what was read of the last few is kept a while, in memory."""
TOO_MANY = f"Its words were not read: a request takes {PAGES_MAX} sheets; send the others separately."
NOT_NOW = "Its words could not be read just now; send it again."


class Recognition:
    """Reads for every request of this worker, one page at a time."""

    def __init__(self) -> None:
        self._processes: Processes | None = None
        self._kept: dict[bytes, tuple[float, tuple[Json, ...]]] = {}
        self._ending: asyncio.TimerHandle | None = None
        self._ended: set[asyncio.Task[None]] = set()

    async def read(self, pictures: Sequence[Picture]) -> tuple[list[Written], dict[int, str]]:
        """What stands in those that look written, and for each that wasn't read, by its index, the reason."""
        found: list[Written] = []
        unread: dict[int, str] = {}
        for place, picture in enumerate(picture for picture in pictures if picture.written):
            index = int(picture.facts["index"])
            if place >= PAGES_MAX:
                unread[index] = TOO_MANY
                continue
            try:
                words = await self._words(picture)
            except (TookTooLong, Died, Unavailable):
                unread[index] = NOT_NOW
                continue
            found.append(Written(index, words))
        return found, unread

    async def _words(self, picture: Picture) -> tuple[Json, ...]:
        data = picture.fine or picture.data
        digest = hashlib.sha256(data).digest()
        now = time.monotonic()
        self._kept = {key: row for key, row in self._kept.items() if now - row[0] < KEPT_S_MAX}
        if digest in self._kept:
            return self._kept[digest][1]
        if self._processes is None:
            self._processes = Processes(
                "app.media.ocr", seconds_max=READ_S_MAX, waiting_max=WAITING_MAX, wait_s_max=READ_S_MAX
            )
        answer, _ = await self._processes.ask({}, data)
        words = tuple(answer["words"])
        self._kept[digest] = (time.monotonic(), words)
        for key in list(self._kept)[:-KEPT_MAX]:
            del self._kept[key]
        self._end_later()
        return words

    def _end_later(self) -> None:
        if self._ending is not None:
            self._ending.cancel()
        self._ending = asyncio.get_running_loop().call_later(IDLE_S_MAX, self._end)

    def _end(self) -> None:
        """End the process that nobody has asked for a while."""
        if self._processes is not None and self._processes.busy:
            self._end_later()
            return
        task = asyncio.get_running_loop().create_task(self._stop())
        self._ended.add(task)
        task.add_done_callback(self._ended.discard)

    def pids(self) -> list[int]:
        """The process that runs now, if one does."""
        return [] if self._processes is None else self._processes.pids()

    async def _stop(self) -> None:
        """End the process; the next question starts another."""
        processes, self._processes = self._processes, None
        if processes is not None:
            await processes.close()

    async def close(self) -> None:
        """End what runs."""
        if self._ending is not None:
            self._ending.cancel()
        await self._stop()
        await asyncio.gather(*self._ended)
