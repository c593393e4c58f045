"""PostgreSQL killed with -9 under load: no acknowledged charge is lost, none is made twice, the rest is free again."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest

from app.base.catalogue import Settled
from app.base.errors import Unavailable, UpstreamTimeout
from app.billing.ledger import Wallet
from app.billing.reconcile import reconcile
from app.storage import embedded
from app.storage.engine import Database
from app.storage.migrate import upgrade
from tests.billing.conftest import Purse, outcome

CYCLES = int(os.environ.get("VETX_TEST_KILLS", "2"))
CLIENTS = 8


@pytest.fixture
def server() -> Iterator[embedded.EmbeddedServer]:
    folder = Path(tempfile.mkdtemp(prefix="vetx-crash-"))
    folder.chmod(0o755)
    started = embedded.start(folder / "data")
    yield started
    started.stop()
    shutil.rmtree(folder, ignore_errors=True)


def postmaster(server: embedded.EmbeddedServer) -> int:
    return int((server.data_dir / "postgres" / "cluster" / "postmaster.pid").read_text().split()[0])


async def test_kill_9_of_postgresql_loses_no_acknowledged_charge(server: embedded.EmbeddedServer) -> None:
    await upgrade(server.url)
    database = await Database.open(server.url)
    wallet = Wallet(database)
    async with database.connection() as connection:
        await connection.execute("INSERT INTO account (id) VALUES (7)")
    purse = Purse(wallet, database, 7)
    await purse.deposit(10**12)
    settled: dict[UUID, Settled] = {}
    stop = False
    served = asyncio.Event()

    async def client() -> None:
        while not stop:
            try:
                bill = await purse.hold(100)
            except Unavailable:
                await asyncio.sleep(0.05)
                continue
            try:
                settled[bill.charge_id] = await wallet.settle(bill, outcome())
                served.set()
            except UpstreamTimeout:
                pytest.fail("the database was back in time, yet a settlement was given up")

    clients = [asyncio.create_task(client()) for _ in range(CLIENTS)]
    for _ in range(CYCLES):
        before = len(settled)
        await asyncio.sleep(0.4)
        assert len(settled) > before
        killed = postmaster(server)
        os.kill(killed, signal.SIGKILL)
        await asyncio.sleep(0.3)
        await asyncio.to_thread(server.ensure)
        assert postmaster(server) != killed
        async with asyncio.timeout(5):
            for _ in range(2 * CLIENTS):
                served.clear()
                await served.wait()
    stop = True
    await asyncio.gather(*clients)
    # What was held and never answered expires.
    async with database.connection() as connection:
        await connection.execute("UPDATE charge SET lease_until = now() - interval '11 s' WHERE state = 'authorized'")
    await wallet.sweep()

    assert {(one.state, one.charged_nano) for one in settled.values()} == {("settled", 100)}
    rows = await purse.run("SELECT id FROM charge WHERE state = 'settled'")
    assert {row["id"] for row in rows} == set(settled)
    assert await purse.balance() == (10**12 - 100 * len(settled), 0)
    assert await reconcile(database) == []
    await wallet.close()
    await database.close()
