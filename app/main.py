"""Opens the house: reads settings once, builds every room, hands them to the HTTP surface."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any

from litestar.types import ASGIApp
from tiktoken import Encoding

from app import api
from app.accounts.accounts import Accounts
from app.accounts.keys import KeyRing
from app.accounts.limits import Limits
from app.base.errors import StartRefused
from app.base.settings import Settings, read_settings
from app.billing.ledger import Wallet
from app.billing.tokens import Tokens, load_encoding
from app.billing.usage import Reports
from app.clinic import Clinic, open_clinic, tools
from app.engines import Catalogue, load, open_engines, resolve_upstream_models
from app.media import Pictures, Recognition
from app.storage.engine import Database
from app.turns.house import House
from app.turns.work import Work

ROOT = Path(__file__).resolve().parent.parent
VERSION = "0.1.0"
DRAIN_S = 20.0
"""Open answers have this long after SIGTERM to finish; then they are told and voided."""
LAST_S = 5.0


def master_key(settings: Settings) -> bytes:
    """The secret that peppers key digests.

    Raises:
        StartRefused: none is set; `vetx serve` makes one.
    """
    if settings.master_key is None:
        raise StartRefused("VETX_MASTER_KEY is not set; start with `vetx serve`, which makes one and keeps it.")
    return settings.master_key.get_secret_value().encode()


async def read_catalogue(settings: Settings) -> Catalogue:
    """The models of this service, with what their upstreams say of themselves.

    Raises:
        BadData, StartRefused.
    """
    key = settings.upstream_key
    return await resolve_upstream_models(
        load(
            settings.catalog,
            secrets=os.environ,
            upstream_url=settings.upstream_url,
            upstream_key=key.get_secret_value() if key is not None else None,
            upstream_model=settings.upstream_model,
            upstream_vision_model=settings.upstream_vision_model,
            upstream_vision=settings.upstream_vision,
            upstream_tools=settings.upstream_tools,
        )
    )


@contextmanager
def drained_on_signal(work: Work) -> Iterator[None]:
    """While the block runs, SIGTERM and SIGINT also begin the draining of `work`, before the server's own handlers."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    before: dict[signal.Signals, Any] = {}

    def begin(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(work.cut_after, DRAIN_S)
        previous = before[signal.Signals(number)]
        if callable(previous):
            previous(number, frame)
        elif previous == signal.SIG_DFL:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        before[number] = signal.getsignal(number)
        signal.signal(number, begin)
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


@cache
def what_never_changes() -> tuple[Clinic, Encoding]:
    """The clinic's records and the vocabulary: read once a process, frozen, shared by every house it opens.

    Raises:
        BadData: a file is wrong.
    """
    clinic = open_clinic(ROOT)
    clinic.warm_up()
    return clinic, load_encoding()


@asynccontextmanager
async def open_house(settings: Settings) -> AsyncIterator[House]:
    """Every room of one worker, closed in reverse order whatever happens."""
    if settings.database_url is None:
        raise StartRefused("VETX_DATABASE_URL is not set; start with `vetx serve`, which brings a database.")
    async with AsyncExitStack() as stack:
        clinic, vocabulary = what_never_changes()
        catalogue = await read_catalogue(settings)
        if any(model.tools for model in catalogue.models.values()):
            tools.warm_up()
        tokens = Tokens(vocabulary)
        stack.callback(tokens.close)
        database = await Database.open(settings.database_url)
        stack.push_async_callback(database.close)
        pepper = master_key(settings)
        engines = open_engines(catalogue)
        stack.push_async_callback(engines.close)
        pictures = Pictures()
        stack.push_async_callback(pictures.close)
        recognition = Recognition()
        stack.push_async_callback(recognition.close)
        accounts = Accounts(database)
        keys = KeyRing(database, pepper)
        stack.push_async_callback(keys.close)
        limits = Limits(database)
        stack.push_async_callback(limits.close)
        wallet = Wallet(database)
        stack.push_async_callback(wallet.close)
        wallet.start()
        work = Work()
        stack.push_async_callback(work.drain, LAST_S)
        stack.enter_context(drained_on_signal(work))
        yield House(
            settings=settings,
            database=database,
            wallet=wallet,
            reports=Reports(database),
            tokens=tokens,
            accounts=accounts,
            keys=keys,
            limits=limits,
            catalogue=catalogue,
            engines=engines,
            clinic=clinic,
            pictures=pictures,
            recognition=recognition,
            work=work,
            ruleset=clinic.ruleset,
            pepper=pepper,
        )


def end_with_parent() -> None:
    """In a worker process: stop when the process that started it is killed, which else would leave the port taken."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def wait() -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="parent", daemon=True).start()


def _give_memory_back() -> None:
    """Let the allocator return what only the start needed, some megabytes; glibc can be asked to."""
    if sys.platform == "linux":
        with suppress(AttributeError):
            ctypes.CDLL(None).malloc_trim(0)


@asynccontextmanager
async def open_worker(settings: Settings) -> AsyncIterator[House]:
    """The house of a process that does nothing else.

    What the start has made lives as long as the process: the garbage collector, which took a fifth of every request's
    time, needn't look at it again, and may wait for more than 700 new things before it looks at those.
    """
    gc.disable()
    async with open_house(settings) as house:
        _give_memory_back()
        gc.freeze()
        gc.set_threshold(10_000, 20, 20)
        gc.enable()
        yield house


def create_app() -> ASGIApp:
    """The ASGI application of one worker, from the environment."""
    end_with_parent()
    settings = read_settings(os.environ, Path(".env"))
    return api.create(lambda: open_worker(settings), version=VERSION)
