"""The hostile corpus, and what a decoding process does when a file kills it, holds it up or floods it."""

from __future__ import annotations

import asyncio
import io
import os
import random
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest
import pytest_asyncio
from PIL import Image

from app.base.errors import Invalid, Unavailable
from app.media import Pictures
from app.media.pictures import CODES
from app.media.processes import Died, Processes, TookTooLong
from tests.media.files import PARAM, file_of, noise, url_of
from tests.media.hostile import SECRET, Hostile, corpus, whole

pytestmark = pytest.mark.asyncio(loop_scope="module")
CORPUS = list(corpus())
T = TypeVar("T")
PEAK_KIB_MAX = 500 * 1024


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pictures() -> AsyncIterator[Pictures]:
    checker = Pictures()
    yield checker
    await checker.close()


async def unhurried(work: Callable[[], Awaitable[T]]) -> T:
    """Its outcome on a machine that gives it time: a process kept waiting by others says 503, which is tried again."""
    for _ in range(20):
        try:
            return await work()
        except Unavailable:
            await asyncio.sleep(0.5)
    return await work()


def _peak_kib(pid: int) -> int:
    """The most memory a process ever held [KiB]; 0 where the system doesn't tell."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return int(status.split("VmHWM:")[1].split()[0])


async def test_the_corpus_is_large_and_its_names_are_its_own() -> None:
    assert len(CORPUS) >= 200
    assert len({one.name for one in CORPUS}) == len(CORPUS)


@pytest.mark.parametrize("one", CORPUS, ids=lambda one: one.name)
async def test_a_hostile_file_gets_its_code(pictures: Pictures, one: Hostile) -> None:
    try:
        (found,) = await unhurried(lambda: pictures.check([url_of(one.data, one.declared)]))
    except Invalid as refused:
        assert refused.code in one.codes, str(refused)
        assert refused.param == PARAM
        assert SECRET.decode() not in str(refused)
    else:
        assert "" in one.codes
        for picture in found:
            sound = Image.open(io.BytesIO(picture.data))
            sound.load()
            assert (sound.format, set(sound.info) - {"jfif", "jfif_version", "jfif_unit", "jfif_density"}) == (
                "JPEG",
                set(),
            )
            assert SECRET not in picture.data + picture.fine
            assert SECRET.decode() not in repr(picture.facts)
    for pid in pictures.processes.pids():
        assert _peak_kib(pid) <= PEAK_KIB_MAX


@pytest.mark.parametrize("name", sorted(whole()))
async def test_a_file_with_changed_bytes_is_taken_or_refused_with_a_code(pictures: Pictures, name: str) -> None:
    declared, data = whole()[name]
    chance = random.Random(name)
    for _ in range(30):
        changed = bytearray(data)
        for _ in range(chance.randint(1, 12)):
            changed[chance.randrange(12, len(changed))] = chance.randrange(256)
        url = url_of(bytes(changed), declared)
        try:
            await unhurried(partial(pictures.check, [url]))
        except Invalid as refused:
            assert refused.code in CODES
    for pid in pictures.processes.pids():
        assert _peak_kib(pid) <= PEAK_KIB_MAX


async def test_the_same_picture_twice_is_decoded_once(monkeypatch: pytest.MonkeyPatch, pictures: Pictures) -> None:
    asked = []
    ask = pictures.processes.ask

    async def counted(head: dict[str, object], payload: bytes) -> object:
        asked.append(head)
        return await ask(head, payload)

    monkeypatch.setattr(pictures.processes, "ask", counted)
    one = url_of(file_of(noise(), "PNG"), "image/png")

    files = await pictures.check([one, one, url_of(file_of(noise(mode="L"), "PNG"), "image/png"), one])

    assert len(asked) == 2
    assert [picture.facts["index"] for file in files for picture in file] == [0, 1, 2, 3]
    assert files[0][0].data == files[3][0].data


@pytest_asyncio.fixture(loop_scope="module")
async def stubborn() -> AsyncIterator[Processes]:
    pool = Processes("tests.media.stubborn", seconds_max=1.0, waiting_max=3, waiting_bytes_max=1_000, wait_s_max=5)
    yield pool
    await pool.close()


async def test_a_question_that_takes_too_long_is_killed_and_the_next_is_answered(stubborn: Processes) -> None:
    with pytest.raises(TookTooLong):
        await unhurried(lambda: stubborn.ask({"do": "spin"}, b""))

    assert (await stubborn.ask({"do": "echo"}, b"again"))[1] == b"again"


async def test_a_process_that_was_given_no_time_is_not_the_files_fault(stubborn: Processes) -> None:
    with pytest.raises(Unavailable) as refused:
        await stubborn.ask({"do": "sleep"}, b"")

    assert (refused.value.status, refused.value.retry_after_s) == (503, 5)


async def test_a_file_that_kills_its_process_is_told_so_and_the_pool_refills_itself(stubborn: Processes) -> None:
    await stubborn.ask({"do": "echo"}, b"")
    (before,) = stubborn.pids()
    with pytest.raises(Died):
        await stubborn.ask({"do": "die"}, b"")

    for _ in range(200):
        if stubborn.pids():
            break
        await asyncio.sleep(0.05)
    (after,) = stubborn.pids()
    assert after != before


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
async def test_a_process_killed_while_idle_costs_nobody_an_answer(stubborn: Processes) -> None:
    await stubborn.ask({"do": "echo"}, b"")
    (pid,) = stubborn.pids()
    os.kill(pid, signal.SIGKILL)

    assert (await stubborn.ask({"do": "echo"}, b"here"))[1] == b"here"


async def test_memory_beyond_the_bound_fails_in_the_process(stubborn: Processes) -> None:
    if sys.platform != "linux":
        pytest.skip("only Linux bounds the memory that a process may hold")
    answer, _ = await stubborn.ask({"do": "eat", "mb": 600}, b"")

    assert answer["ate"] is False


async def test_what_waits_is_bounded_in_number_and_bytes(stubborn: Processes) -> None:
    await stubborn.ask({"do": "echo"}, b"")
    waiting = [asyncio.create_task(stubborn.ask({"do": "nap"}, bytes(300))) for _ in range(3)]
    await asyncio.sleep(0)

    with pytest.raises(Unavailable) as full:
        await stubborn.ask({"do": "echo"}, b"")
    await asyncio.gather(*waiting)
    one = asyncio.create_task(stubborn.ask({"do": "nap"}, bytes(900)))
    await asyncio.sleep(0)
    with pytest.raises(Unavailable):
        await stubborn.ask({"do": "echo"}, bytes(200))
    await one

    assert (full.value.status, full.value.code, full.value.retry_after_s) == (503, "overloaded", 2)
    assert (await stubborn.ask({"do": "echo"}, b"free"))[1] == b"free"


async def test_a_request_that_is_given_up_leaves_the_pool_whole(stubborn: Processes) -> None:
    task = asyncio.create_task(stubborn.ask({"do": "sleep"}, b""))
    await asyncio.sleep(0.3)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert (await stubborn.ask({"do": "echo"}, b"next"))[1] == b"next"
