"""A small pool of processes of our own that do one heavy thing: bounded in time and in what waits, killed, refilled."""

from __future__ import annotations

import asyncio
import json
import os
import struct
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from app.base.errors import Unavailable
from app.base.messages import Json

ROOT = Path(__file__).resolve().parents[2]
START_S_MAX = 20.0
BUSY_S_MAX = 6.0
"""A process that the machine keeps waiting gets so much longer by the clock; then the service is too busy [s]."""
SPARE_S = 0.05
ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


class TookTooLong(Exception):
    """It used up its time; the process is gone."""


class Died(Exception):
    """The process ended over it."""


class _Process:
    """One process, started at need."""

    def __init__(self, module: str) -> None:
        self._module = module
        self.process: asyncio.subprocess.Process | None = None
        self._used_s = 0.0

    async def ask(self, head: Json, payload: bytes, seconds_max: float) -> tuple[Json, bytes]:
        """Its answer.

        Raises:
            TookTooLong, Died: the process is gone.
            Unavailable: it could not start, or the machine gave it no time.
        """
        process = await self.start()
        exchange = asyncio.ensure_future(_exchange(process, head, payload))
        try:
            await self._watch(exchange, process.pid, seconds_max)
            answer, result = await exchange
            self._used_s = answer["used_s"]
            return answer, result
        except (asyncio.IncompleteReadError, ConnectionError):
            await self.close()
            raise Died from None
        except BaseException:
            exchange.cancel()
            await self.close()
            raise

    async def _watch(self, exchange: asyncio.Future[Any], pid: int, seconds_max: float) -> None:
        """Come back when the exchange is done; on a machine that is busy with others it may take longer by the clock.

        Raises:
            TookTooLong: it used up its processor time.
            Unavailable: the machine gave it too little of that for too long.
        """
        began, left_s = time.monotonic(), seconds_max
        while not (await asyncio.wait([exchange], timeout=left_s))[0]:
            left_s = seconds_max - (_used_s(pid) - self._used_s)
            if left_s <= SPARE_S:
                raise TookTooLong
            if time.monotonic() - began > seconds_max + BUSY_S_MAX:
                raise Unavailable("The service is busy; try again shortly.", retry_after_s=5)

    async def start(self) -> asyncio.subprocess.Process:
        """A process that is ready."""
        if self.process is not None and self.process.returncode is None:
            return self.process
        start = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from {self._module} import main; main()"
        self.process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",
            "-c",
            start,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env=None if os.name == "nt" else ENVIRONMENT,  # nothing of ours is for this process to see
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(START_S_MAX):
                ready, _ = await _read(self.process)
                self._used_s = ready["used_s"]
        except (TimeoutError, asyncio.IncompleteReadError):
            await self.close()
            raise Unavailable("Files can't be read right now; try again shortly.", retry_after_s=5) from None
        except BaseException:
            await self.close()
            raise
        return self.process

    async def close(self) -> None:
        """End the process."""
        process, self.process = self.process, None
        if process is None:
            return
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        if process.stdin is not None:
            process.stdin.close()


def _used_s(pid: int) -> float:
    """Processor time of a process so far [s]."""
    import psutil  # 50 ms, and a service whose files are well-behaved never needs it

    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system)


async def _exchange(process: asyncio.subprocess.Process, head: Json, payload: bytes) -> tuple[Json, bytes]:
    assert process.stdin is not None
    encoded = json.dumps(head).encode()
    process.stdin.write(struct.pack(">II", len(encoded), len(payload)) + encoded)
    process.stdin.write(payload)
    await process.stdin.drain()
    return await _read(process)


async def _read(process: asyncio.subprocess.Process) -> tuple[Json, bytes]:
    assert process.stdout is not None
    head_length, payload_length = struct.unpack(">II", await process.stdout.readexactly(8))
    head: dict[str, Any] = json.loads(await process.stdout.readexactly(head_length))
    return head, await process.stdout.readexactly(payload_length)


class Processes:
    """The pool.

    Args:
        module: whose `main` answers frames, as `app.media.worker` does.
        seconds_max: of processor time for one question [s].
        waiting_max, waiting_bytes_max: what may stand in the queue, the questions under way included.
        wait_s_max: how long a question stands there [s].
    """

    def __init__(
        self,
        module: str,
        *,
        processes: int = 1,
        seconds_max: float,
        waiting_max: int = 32,
        waiting_bytes_max: int = 64 * 1024 * 1024,
        wait_s_max: float = 20.0,
    ) -> None:
        self._idle = [_Process(module) for _ in range(processes)]
        self._all = tuple(self._idle)
        self._places = asyncio.Semaphore(processes)
        self._seconds_max = seconds_max
        self._waiting_max = waiting_max
        self._waiting_bytes_max = waiting_bytes_max
        self._wait_s_max = wait_s_max
        self._waiting = 0
        self._waiting_bytes = 0
        self._refills: set[asyncio.Task[Any]] = set()
        self._closed = False

    def check_room(self) -> None:
        """Refuse now what would be refused anyway, before anything is done for it.

        Raises:
            Unavailable: too much is waiting already.
        """
        if self._waiting >= self._waiting_max or self._waiting_bytes >= self._waiting_bytes_max:
            raise _too_many()

    async def ask(self, head: Json, payload: bytes) -> tuple[Json, bytes]:
        """The answer of whichever process is free next.

        Raises:
            TookTooLong: the question used up its time.
            Died: a process ended over it.
            Unavailable: too much is waiting already.
        """
        self.check_room()
        if self._waiting > 0 and self._waiting_bytes + len(payload) > self._waiting_bytes_max:
            raise _too_many()
        self._waiting += 1
        self._waiting_bytes += len(payload)
        try:
            try:
                async with asyncio.timeout(self._wait_s_max):
                    await self._places.acquire()
            except TimeoutError:
                raise _too_many() from None
            one = self._idle.pop()
            used_before = one.process is not None
            try:
                try:
                    return await one.ask(head, payload, self._seconds_max)
                except Died:
                    if not used_before:
                        raise
                    return await one.ask(head, payload, self._seconds_max)  # it may have died while idle
            finally:
                self._idle.append(one)
                self._places.release()
                if one.process is None and not self._closed:
                    self._refill(one)
        finally:
            self._waiting -= 1
            self._waiting_bytes -= len(payload)

    def _refill(self, one: _Process) -> None:
        """Start the next process now, so that the next question doesn't wait for it."""

        async def start() -> None:
            async with self._places:
                if not self._closed and one in self._idle:
                    self._idle.remove(one)
                    try:
                        with suppress(Unavailable, OSError):
                            await one.start()
                    finally:
                        self._idle.append(one)

        task = asyncio.create_task(start())
        self._refills.add(task)
        task.add_done_callback(self._refills.discard)

    @property
    def busy(self) -> bool:
        """Whether a question is under way or waits."""
        return self._waiting > 0

    def pids(self) -> list[int]:
        """The processes that run now."""
        return [one.process.pid for one in self._all if one.process is not None and one.process.returncode is None]

    async def close(self) -> None:
        """End them all."""
        self._closed = True
        for task in tuple(self._refills):
            task.cancel()
        await asyncio.gather(*self._refills, return_exceptions=True)
        for one in self._all:
            await one.close()


def _too_many() -> Unavailable:
    return Unavailable("Too many pictures are being read; try again shortly.", retry_after_s=2)
