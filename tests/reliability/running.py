"""A real `vetx serve` in processes of its own, its accounts, its books, and the one line of figures at the end."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import psutil

from app.storage import embedded
from tests.engines.upstreams import Behaviour, Exchange, Server, serving

ROOT = Path(__file__).resolve().parents[2]
PRICE = 8_320
START_TIMEOUT_S = 90.0
STOP_TIMEOUT_S = 40.0
MODELS = b'{"object":"list","data":[{"id":"plain","object":"model"}]}'


class Claims:
    """What a command claims, what it measured, and whether every claim held."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.figures: dict[str, Any] = {}
        self.broken: list[str] = []

    def must(self, holds: bool, words: str) -> None:
        """State a claim; one that does not hold fails the command."""
        if not holds:
            self.broken.append(words)

    def tell(self) -> int:
        """Print the line of figures, and on stderr what failed; the exit code."""
        figures = "  ".join(
            f"{name}={round(value, 3) if isinstance(value, float) else value}" for name, value in self.figures.items()
        )
        print(f"{self.name}  {'FAILED' if self.broken else 'ok'}  {figures}", flush=True)
        for words in self.broken[:30]:
            print(f"  {self.name}: {words}", file=sys.stderr)
        if len(self.broken) > 30:
            print(f"  {self.name}: and {len(self.broken) - 30} more", file=sys.stderr)
        return 1 if self.broken else 0


@dataclass(frozen=True, slots=True)
class Account:
    """An account with its first key."""

    id: int
    key: str


@dataclass(slots=True)
class Service:
    """A service that can be killed and started again on its port and data."""

    folder: Path
    workers: int = 1
    database: str | None = None
    settings: dict[str, str] = field(default_factory=dict)
    port: int = 0
    process: subprocess.Popen[bytes] | None = None

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def log(self) -> Path:
        return self.folder / "serve.log"

    @property
    def database_url(self) -> str:
        """The address of the database, also of the embedded one."""
        if self.database is not None:
            return self.database
        home = self.data / "postgres"
        port, password = ((home / name).read_text(encoding="utf-8").strip() for name in ("port", "password"))
        return f"postgresql://{embedded.NAME}:{password}@{embedded.HOST}:{port}/{embedded.NAME}"

    @property
    def environment(self) -> dict[str, str]:
        """Ours, without the settings of whoever runs the tests."""
        plain = {name: value for name, value in os.environ.items() if not name.startswith("VETX_")}
        return {**plain, "PYTHONPATH": str(ROOT), **{f"VETX_{name}": value for name, value in self.settings.items()}}

    def _where(self) -> list[str]:
        named = ["--database", self.database] if self.database is not None else []
        return [*named, "--data", str(self.data)]

    # Its life.

    async def start(self) -> float:
        """Start it and wait until it is ready; how long that took [s]."""
        return await asyncio.to_thread(self._start)

    def _start(self) -> float:
        began = time.monotonic()
        command = [sys.executable, "-m", "app.cli", "serve", "--json", "--port", str(self.port)]
        command += ["--workers", str(self.workers), *self._where()]
        said = self.folder / "serve.out"
        with said.open("wb") as out, self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, env=self.environment, cwd=self.folder, stdout=out, stderr=log, start_new_session=True
            )
        while not said.read_bytes().endswith(b"\n"):
            self._wait_a_little(began)
        self.port = int(json.loads(said.read_bytes())["address"].rpartition(":")[2])
        while not self._is_ready():
            self._wait_a_little(began)
        return time.monotonic() - began

    def _wait_a_little(self, began: float) -> None:
        assert self.process is not None
        if self.process.poll() is not None or time.monotonic() - began > START_TIMEOUT_S:
            raise RuntimeError("the service did not start:\n" + self.log.read_text(encoding="utf-8")[-3000:])
        time.sleep(0.02)

    def _is_ready(self) -> bool:
        import http.client

        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/health/ready")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    def worker_pids(self) -> list[int]:
        """The processes that answer requests."""
        assert self.process is not None
        if self.workers == 1:
            return [self.process.pid]
        found = []
        for child in psutil.Process(self.process.pid).children():
            with suppress(psutil.Error):  # it has just died
                if "spawn_main" in " ".join(child.cmdline()):
                    found.append(child.pid)
        return found

    async def wait_gone(self, timeout_s: float = STOP_TIMEOUT_S) -> float:
        """Wait until the process is gone; how long that took [s]."""
        assert self.process is not None
        began = time.monotonic()
        while self.process.poll() is None and time.monotonic() - began < timeout_s:  # noqa: ASYNC110 - others change it
            await asyncio.sleep(0.02)
        return time.monotonic() - began

    async def stop(self) -> float:
        """End it as an operator does; how long that took [s]."""
        if self.process is None or self.process.poll() is not None:
            return 0.0
        self.process.send_signal(signal.SIGTERM)
        return await self.wait_gone()

    async def clean_up(self) -> None:
        """End whatever of it still runs, the embedded database too, and remove its folder."""
        took_s = await self.stop()
        if took_s >= STOP_TIMEOUT_S:
            with suppress(ProcessLookupError):
                assert self.process is not None
                os.killpg(self.process.pid, signal.SIGKILL)
        if self.database is None and self.data.exists():
            await asyncio.to_thread(lambda: embedded.start(self.data).stop())
        shutil.rmtree(self.folder, ignore_errors=True)

    # Its operator.

    async def vetx(self, *arguments: str, may_fail: bool = False) -> Any:
        """What a command of the command line prints as JSON."""

        def run() -> Any:
            done = subprocess.run(
                [sys.executable, "-m", "app.cli", *arguments, "--json", *self._where()],
                env=self.environment,
                cwd=self.folder,
                capture_output=True,
                timeout=180,
            )
            if done.returncode and not may_fail:
                raise RuntimeError(f"vetx {' '.join(arguments)}: {done.stderr.decode()[-2000:]}")
            return json.loads(done.stdout)

        return await asyncio.to_thread(run)

    async def account(self, *, nano: int = 100_000_000_000, plan: str = "internal") -> Account:
        """A new account with money and a key."""
        credit = f"{nano // 10**9}.{nano % 10**9:09d}"
        made = await self.vetx("accounts", "create", "Reliability", "--plan", plan, "--credit", credit)
        return Account(int(made["account"]["id"].removeprefix("acct_")), made["key"]["value"])

    async def rows(self, query: str, *arguments: Any) -> list[asyncpg.Record]:
        """Rows of the database, asked on a connection of their own."""
        connection = await asyncpg.connect(self.database_url, timeout=10)
        try:
            return list(await connection.fetch(query, *arguments, timeout=60))
        finally:
            await connection.close()

    async def charges(self, account: Account) -> dict[str, list[asyncpg.Record]]:
        """The account's charges with what the ledger took for each, by the user that the call named."""
        found: dict[str, list[asyncpg.Record]] = {}
        for row in await self.rows(
            "SELECT c.*, COALESCE((SELECT sum(amount_nano) FROM entry e WHERE e.charge_id = c.id), 0)::bigint AS taken,"
            " (SELECT count(*) FROM entry e WHERE e.charge_id = c.id) AS entries FROM charge c WHERE account_id = $1",
            account.id,
        ):
            found.setdefault(row["user_id"], []).append(row)
        return found

    async def wallet(self, account: Account) -> tuple[int, int]:
        """Balance and what of it is held [nano-USD]."""
        (row,) = await self.rows("SELECT balance_nano, held_nano FROM account WHERE id = $1", account.id)
        return row["balance_nano"], row["held_nano"]

    async def nothing_held(self, account: Account, timeout_s: float) -> float | None:
        """Wait until no money is held; how long that took [s], None where it still is."""
        began = time.monotonic()
        while True:
            with suppress(OSError, asyncpg.PostgresError):
                if not (await self.wallet(account))[1]:
                    return time.monotonic() - began
            if time.monotonic() - began > timeout_s:
                return None
            await asyncio.sleep(0.05)

    async def audit(self, claims: Claims, *, faults_max: int = 0) -> None:
        """The books must add up, and the log must hold no fault of ours."""
        found = await self.vetx("reconcile", may_fail=True)
        claims.figures["reconcile"] = "clean" if found["ok"] else f"{len(found['rows'])} rows"
        claims.must(found["ok"], f"reconcile: {found['rows'][:3]}")
        faults = self.faults()
        claims.figures["faults_logged"] = len(faults)
        claims.must(len(faults) <= faults_max, f"the log has faults, like {faults[:1]}")

    def faults(self) -> list[str]:
        """Lines of the log that tell of a fault in the program, not in its surroundings."""
        words = (
            "unexpected error",
            "turn failed",
            "task failed",
            "upkeep failed",
            "Exception in ASGI",
            "never awaited",
        )
        words += ("charge above its hold", "charge is missing", "Task exception", "callback", "without completing")
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return [line[:1500] for line in lines if any(word in line for word in words)]


def new_folder() -> Path:
    """A folder that PostgreSQL's own account may enter too."""
    folder = Path(tempfile.mkdtemp(prefix="vetx-reliability-"))
    folder.chmod(0o755)
    return folder


@asynccontextmanager
async def running(
    options: argparse.Namespace, behave: Behaviour, *, workers: int | None = None, catalogue: str = "", **settings: str
) -> AsyncIterator[tuple[Service, Server]]:
    """The service with its upstream, which is asked through `behave`; its models are listed for it.

    Args:
        catalogue: text of a VETX_CATALOG file; `{url}` in it is the upstream's address.
    """

    async def answer(exchange: Exchange) -> None:
        if exchange.head.startswith("GET"):
            await exchange.answer(MODELS)
        else:
            await behave(exchange)

    folder = new_folder()
    async with serving(answer) as upstream:
        given = {"UPSTREAM_URL": upstream.url, "UPSTREAM_MODEL": "plain", **settings}
        if catalogue:
            (folder / "catalog.toml").write_text(catalogue.replace("{url}", upstream.url), encoding="utf-8")
            given["CATALOG"] = str(folder / "catalog.toml")
        service = Service(folder, workers or options.workers, options.database, given)
        try:
            await service.start()
            yield service, upstream
        finally:
            if options.keep:
                print(f"kept: {folder}", file=sys.stderr)
                await service.stop()
            else:
                await service.clean_up()
