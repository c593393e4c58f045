"""The `vetx` command: every subcommand builds only what it needs, calls one function and prints one thing."""

from __future__ import annotations

import asyncio
import base64
import importlib.util
import json
import os
import secrets
import signal
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn, TextIO, TypeVar

import click
import uvicorn
from pydantic import BaseModel, SecretStr, ValidationError
from uvicorn.supervisors import Multiprocess

from app.accounts.accounts import Account, Accounts
from app.accounts.key_rows import DEFAULT_SCOPES, FIRST_KEY_SCOPES, KeyTerms
from app.accounts.keys import KeyRing
from app.api.answers import UsagePage
from app.api.body import invalid, parse_body
from app.api.chat_request import ChatRequest
from app.api.protocol import Protocol
from app.api.shapes import answer
from app.api.shapes import usage as usage_shape
from app.api.usage import UsageQuery, csv_of, report
from app.base.clock import rfc3339, utc_now
from app.base.errors import Refused, StartRefused, VetxError
from app.base.messages import Caller, PictureUrl
from app.base.money import dollars, nano
from app.base.settings import Settings, read_settings
from app.billing.ledger import Wallet
from app.billing.reconcile import reconcile as broken_invariants
from app.billing.tokens import Tokens
from app.billing.usage import Reports
from app.clinic import open_clinic, words
from app.clinic.questions import (
    CalculateBody,
    CheckBody,
    DifferentialsBody,
    DoseBody,
    ExposureBody,
    ExtractBody,
    GuardBody,
    LabsBody,
    TriageBody,
)
from app.main import ROOT, open_house, read_catalogue
from app.media import Pictures, Recognition
from app.media.uploads import MEDIA_TYPES, real_format
from app.storage import embedded, migrate
from app.storage.engine import Database
from app.turns.chat import Turn, begin
from app.turns.house import House

T = TypeVar("T")
FIRST_CREDIT_NANO = 5_000_000_000
MASTER_KEY_FILE = "master.key"
WATCH_S = 1.0
ACCOUNTS_MAX = 1_000
WRONG_INPUT = (400, 404, 413, 422)
"""The statuses of refusals that another input would not have met."""
SEND_AHEAD_BYTES = 64 * 1024
"""What the system may take in for a client who doesn't read; left to itself it takes megabytes, and all is charged."""
EXAMPLE = "My 12 kg dog ate 200 g of dark chocolate an hour ago"


@dataclass(frozen=True, slots=True)
class Given:
    """What was said before the subcommand's own options."""

    as_json: bool


def say(given: Given, data: Any, words: str) -> None:
    """Print one answer: JSON for programs, words for people."""
    click.echo(json.dumps(data, ensure_ascii=False) if given.as_json else words.rstrip("\n"))


def fail(message: str, code: int = 1) -> NoReturn:
    """End with a message on stderr."""
    click.echo(f"vetx: {message}", err=True)
    raise SystemExit(code)


def database_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--database` and `--data`, as every command that opens the wallet has them."""
    command = click.option("--data", type=click.Path(path_type=Path), help="Folder of the embedded database.")(command)
    return click.option("--database", help="postgresql://… to use instead of the embedded database.")(command)


def json_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--json`, as every command has it."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def settings_with(**given: Any) -> Settings:
    """The environment's settings with what the command line says laid over it."""
    settings = read_settings(os.environ, Path(".env"))
    try:
        return Settings.model_validate(
            {
                **settings.model_dump(exclude_unset=True),
                **{name: value for name, value in given.items() if value is not None},
            }
        )
    except ValidationError as error:
        raise invalid(error) from None


def read_or_make_master_key(folder: Path) -> str:
    """The secret that peppers key digests, made once beside the database, readable by its owner only."""
    file = folder / MASTER_KEY_FILE
    folder.mkdir(parents=True, exist_ok=True)
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        for _ in range(50):
            if value := file.read_text(encoding="ascii").strip():
                return value
            time.sleep(0.02)  # another process made the file and is about to write it
        raise StartRefused(f"{file} is empty; remove it if no key was ever made with it.") from None
    value = secrets.token_urlsafe(32)
    with os.fdopen(handle, "w", encoding="ascii") as opened:
        opened.write(value + "\n")
    return value


@contextmanager
def opened(settings: Settings, *, quiet: bool = True) -> Iterator[Settings]:
    """Settings that name a running, migrated database and the master key; an embedded server is left at the end."""
    folder = settings.data_dir or embedded.default_data_dir()
    server = None
    values: dict[str, Any] = {}
    if settings.database_url is None:
        if not quiet:
            click.echo("Starting the embedded PostgreSQL …", err=True)
        server = embedded.start(folder)
        values["database_url"] = server.url
    try:
        if settings.master_key is None:
            values["master_key"] = read_or_make_master_key(folder)
        ready = settings.model_copy(update=Settings.model_validate(values).model_dump(exclude_unset=True))
        assert ready.database_url is not None
        asyncio.run(migrate.upgrade(ready.migration_url or ready.database_url))
        with watched(server):
            yield ready
    finally:
        if server is not None:
            server.stop()


@contextmanager
def watched(server: embedded.EmbeddedServer | None) -> Iterator[None]:
    """Start a dead embedded server again while the block runs."""
    if server is None:
        yield
        return
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(WATCH_S):
            try:
                server.ensure()
            except StartRefused as error:
                click.echo(f"vetx: {error}", err=True)

    thread = threading.Thread(target=watch, name="embedded PostgreSQL", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(timeout=30)


@dataclass(frozen=True, slots=True)
class Books:
    """The rooms that administration needs."""

    database: Database
    accounts: Accounts
    keys: KeyRing
    wallet: Wallet


@asynccontextmanager
async def books(settings: Settings) -> AsyncIterator[Books]:
    """Open them, and close them again."""
    assert settings.database_url is not None
    assert settings.master_key is not None
    pepper = settings.master_key.get_secret_value().encode()
    database = await Database.open(settings.database_url)
    keys = KeyRing(database, pepper)
    wallet = Wallet(database)
    try:
        yield Books(database, Accounts(database), keys, wallet)
    finally:
        await keys.close()
        await wallet.close()
        await database.close()


def run_books(settings: Settings, work: Callable[[Books], Coroutine[Any, Any, T]]) -> T:
    """Run one piece of administration."""

    async def inside(ready: Settings) -> T:
        async with books(ready) as room:
            return await work(room)

    with opened(settings) as ready:
        return asyncio.run(inside(ready))


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """A veterinary diagnostic assistant service. It informs a vet; it does not replace one."""


@cli.command()
@click.option("--host", help="Address to listen on (127.0.0.1).")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on (8000).")
@click.option("--workers", type=click.IntRange(1, 256), help="Processes that answer requests (1).")
@database_options
@json_option
def serve(
    host: str | None, port: int | None, workers: int | None, database: str | None, data: Path | None, as_json: bool
) -> None:
    """Start the service; on the very first start, make an account with a little credit and print its key."""
    signal.signal(signal.SIGTERM, _leave)
    settings = settings_with(host=host, port=port, workers=workers, database_url=database, data_dir=data)
    with opened(settings, quiet=False) as ready, front_door(ready) as door:
        key = asyncio.run(first_key(ready))
        address = ready.public_url or f"http://{_in_url(ready.host)}:{door.getsockname()[1]}"
        announce(Given(as_json), address, key)
        run_workers(ready, door)


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    """End by way of every `finally`. Uvicorn drains on its own, then raises the signal it caught once more."""
    raise SystemExit(0)


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else {"0.0.0.0": "127.0.0.1"}.get(host, host)  # noqa: S104 - shown, not bound


@contextmanager
def front_door(settings: Settings) -> Iterator[socket.socket]:
    """The listening socket, bound before anything is promised."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # With the protocol named, asyncio sends small answers at once; without, each waits 40 ms for an acknowledgement.
    with socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP) as door:
        if os.name == "posix":
            door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            door.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_AHEAD_BYTES)
        try:
            door.bind((settings.host, settings.port))
        except OSError as error:
            raise StartRefused(
                f"{settings.host}:{settings.port} can't be listened on ({error.strerror}); name another with --port."
            ) from None
        door.listen(2048)
        door.set_inheritable(True)
        yield door


def run_workers(settings: Settings, door: socket.socket) -> None:
    """Answer requests until SIGTERM or SIGINT; open answers have 20 s to finish."""
    for name, value in environment_of(settings).items():
        os.environ[name] = value
    config = uvicorn.Config(
        "app.main:create_app",
        factory=True,
        workers=settings.workers,
        loop="auto",
        http=Protocol,
        ws="none",
        lifespan="on",
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=24,
        backlog=2048,
    )
    if settings.workers > 1:
        _Workers(config, sockets=[door]).run()
        return
    server = uvicorn.Server(config)
    with suppress(KeyboardInterrupt):
        server.run(sockets=[door])
    if not server.started:
        fail("the service could not start; the reason is above.")


class _Workers(Multiprocess):
    """Worker processes on one door."""

    def terminate_all(self) -> None:
        """Shut the door first: a call that came now would wait in front of it until the last worker has gone."""
        for door in self.sockets:
            door.close()
        super().terminate_all()


def environment_of(settings: Settings) -> dict[str, str]:
    """The settings as the variables that worker processes read."""
    values = {}
    for name, value in settings.model_dump(exclude_none=True).items():
        plain = value.get_secret_value() if isinstance(value, SecretStr) else value
        values["VETX_" + name.upper()] = str(int(plain) if isinstance(plain, bool) else plain)
    return values


async def first_key(settings: Settings) -> str | None:
    """The key of the very first account, made with a little credit; None where there is an account already."""
    async with books(settings) as room:
        if await room.accounts.newest(1):
            return None
        account = await room.accounts.create("First account")
        await room.wallet.deposit(account.id, FIRST_CREDIT_NANO, f"first-start-{account.id}")
        _, plain = await room.keys.create(account.id, KeyTerms("First key", FIRST_KEY_SCOPES))
        return plain


def announce(given: Given, address: str, key: str | None) -> None:
    """Where the service is, and a line to paste."""
    if given.as_json:
        click.echo(json.dumps({"address": address, "key": key}))
        return
    click.echo(f"vetx answers at {address}/v1   (Ctrl-C stops it)")
    if key is None:
        click.echo("The key was shown at the first start; `vetx keys create ACCOUNT` makes another.")
        return
    click.echo(f"\nYour API key, shown this once, with ${dollars(FIRST_CREDIT_NANO)[:4]} of credit:\n\n    {key}\n")
    body = {"model": "vetx-23", "stream": True, "messages": [{"role": "user", "content": EXAMPLE}]}
    click.echo(
        f"Try it:\n\n    curl -N {address}/v1/chat/completions -H 'Authorization: Bearer {key}' "
        f"-H 'Content-Type: application/json' -d '{json.dumps(body)}'\n"
    )


@cli.group()
def accounts() -> None:
    """Who may use the service and on which plan."""


def account_shape(account: Account) -> dict[str, Any]:
    """An account as `--json` shows it."""
    return {"id": f"acct_{account.id}", "name": account.name, "plan": account.plan}


def account_id(text: str) -> int:
    """The stored id of `acct_1000` or `1000`."""
    digits = text.removeprefix("acct_")
    if not digits.isascii() or not digits.isdigit() or len(digits) > 18:
        raise click.BadParameter(f"{text!r} is no account; write it like acct_1000, as `vetx accounts list` shows it.")
    return int(digits)


@accounts.command("create")
@click.argument("name")
@click.option("--plan", default="free", show_default=True, help="free, pro, ultra or internal.")
@click.option("--credit", default="0", help="Dollars to put into its wallet.")
@click.option("--jurisdiction", type=click.Choice(["US", "EU", "UK", "CA", "AU"]), help="Whose drug law holds.")
@click.option("--admin", is_flag=True, help="Give the key the scope admin too.")
@database_options
@json_option
def accounts_create(
    name: str,
    plan: str,
    credit: str,
    jurisdiction: str | None,
    admin: bool,
    database: str | None,
    data: Path | None,
    as_json: bool,
) -> None:
    """Make an account called NAME, with a first key."""
    amount_nano = _amount(credit)

    async def work(room: Books) -> tuple[Account, int, str]:
        account = await room.accounts.create(name, plan, jurisdiction)
        if amount_nano:
            await room.wallet.deposit(account.id, amount_nano, f"opening-{account.id}")
        scopes = (*FIRST_KEY_SCOPES, "admin") if admin else FIRST_KEY_SCOPES
        key, plain = await room.keys.create(account.id, KeyTerms("First key", scopes))
        return account, key.id, plain

    account, key_id, plain = run_books(settings_with(database_url=database, data_dir=data), work)
    shape = {"account": account_shape(account), "key": {"id": f"key_{key_id}", "value": plain}}
    words = f"acct_{account.id}  {account.name}  {account.plan}  ${dollars(amount_nano)}\nkey, shown this once: {plain}"
    say(Given(as_json), shape, words)


def _amount(text: str) -> int:
    try:
        amount_nano = nano(text)
    except ValueError as error:
        raise click.BadParameter(f"{text!r}: {error}.") from None
    if amount_nano < 0:
        raise click.BadParameter(f"{text!r}: an amount can't be negative.")
    return amount_nano


@accounts.command("list")
@database_options
@json_option
def accounts_list(database: str | None, data: Path | None, as_json: bool) -> None:
    """Show the accounts, newest first."""

    async def work(room: Books) -> list[tuple[Account, int]]:
        return [
            (account, (await room.wallet.balance(account.id)).balance_nano)
            for account in await room.accounts.newest(ACCOUNTS_MAX)
        ]

    found = run_books(settings_with(database_url=database, data_dir=data), work)
    shape = [{**account_shape(account), "balance": dollars(balance)} for account, balance in found]
    say(Given(as_json), shape, _table(("account", "name", "plan", "balance [USD]"), [tuple(r.values()) for r in shape]))


def _cell(value: Any) -> str:
    return " ".join(value) if isinstance(value, list) else "" if value is None else str(value)


def _table(head: tuple[str, ...], rows: list[tuple[Any, ...]]) -> str:
    """Columns for a terminal."""
    cells = [head, *[tuple(_cell(cell) for cell in row) for row in rows]]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells
    )


@accounts.command("plan")
@click.argument("account")
@click.argument("plan")
@database_options
@json_option
def accounts_plan(account: str, plan: str, database: str | None, data: Path | None, as_json: bool) -> None:
    """Put ACCOUNT on PLAN."""
    changed = run_books(
        settings_with(database_url=database, data_dir=data),
        lambda room: room.accounts.change_plan(account_id(account), plan),
    )
    say(Given(as_json), account_shape(changed), f"acct_{changed.id} is on {changed.plan}")


@cli.group()
def keys() -> None:
    """API keys of an account."""


@keys.command("create")
@click.argument("account")
@click.option("--name", default="Key", show_default=True, help="What it is for.")
@click.option("--scope", "scopes", multiple=True, help="Repeat for several; all but keys and admin where left out.")
@database_options
@json_option
def keys_create(
    account: str, name: str, scopes: tuple[str, ...], database: str | None, data: Path | None, as_json: bool
) -> None:
    """Make a key for ACCOUNT and print it once."""
    terms = KeyTerms(name, scopes or DEFAULT_SCOPES)
    key, plain = run_books(
        settings_with(database_url=database, data_dir=data),
        lambda room: room.keys.create(account_id(account), terms),
    )
    say(Given(as_json), {"id": f"key_{key.id}", "value": plain}, f"key_{key.id}\nshown this once: {plain}")


@keys.command("list")
@click.argument("account")
@database_options
@json_option
def keys_list(account: str, database: str | None, data: Path | None, as_json: bool) -> None:
    """Show ACCOUNT's keys, newest first."""
    found = run_books(
        settings_with(database_url=database, data_dir=data),
        lambda room: room.keys.newest(account_id(account), 1_000),
    )
    shape = [
        {
            "id": f"key_{key.id}",
            "name": key.terms.name,
            "redacted_value": key.redacted_value,
            "scopes": list(key.terms.scopes),
            "last_used_at": rfc3339(key.last_used_at) if key.last_used_at else None,
        }
        for key in found
    ]
    say(
        Given(as_json),
        shape,
        _table(("key", "name", "value", "scopes", "last used"), [tuple(r.values()) for r in shape]),
    )


def key_id(text: str) -> int:
    """The stored id of `key_7` or `7`."""
    digits = text.removeprefix("key_")
    if not digits.isascii() or not digits.isdigit() or len(digits) > 18:
        raise click.BadParameter(f"{text!r} is no key; write it like key_7, as `vetx keys list` shows it.")
    return int(digits)


@keys.command("rotate")
@click.argument("account")
@click.argument("key")
@click.option("--grace", type=click.IntRange(0, 30 * 24 * 3600), default=0, help="Seconds the old key still works.")
@database_options
@json_option
def keys_rotate(account: str, key: str, grace: int, database: str | None, data: Path | None, as_json: bool) -> None:
    """Put a new key in the place of ACCOUNT's KEY."""
    new, plain = run_books(
        settings_with(database_url=database, data_dir=data),
        lambda room: room.keys.rotate(account_id(account), key_id(key), grace),
    )
    say(Given(as_json), {"id": f"key_{new.id}", "value": plain}, f"key_{new.id}\nshown this once: {plain}")


@keys.command("revoke")
@click.argument("account")
@click.argument("key")
@database_options
@json_option
def keys_revoke(account: str, key: str, database: str | None, data: Path | None, as_json: bool) -> None:
    """End ACCOUNT's KEY; every worker refuses it within 5 s."""
    run_books(
        settings_with(database_url=database, data_dir=data),
        lambda room: room.keys.revoke(account_id(account), key_id(key)),
    )
    say(Given(as_json), {"id": f"key_{key_id(key)}", "revoked": True}, f"key_{key_id(key)} is revoked")


@cli.group("credits")
def wallet_credits() -> None:
    """The wallet of an account."""


@wallet_credits.command("add")
@click.argument("account")
@click.argument("usd")
@click.option("--ref", required=True, help="The payment's id; the same one adds nothing twice.")
@database_options
@json_option
def credits_add(account: str, usd: str, ref: str, database: str | None, data: Path | None, as_json: bool) -> None:
    """Put USD dollars into ACCOUNT's wallet."""
    amount_nano = _amount(usd)
    if not amount_nano:
        raise click.BadParameter("add more than nothing.")
    deposit = run_books(
        settings_with(database_url=database, data_dir=data),
        lambda room: room.wallet.deposit(account_id(account), amount_nano, ref),
    )
    shape = {"added": deposit.added, "balance": dollars(deposit.balance_nano)}
    words = "added" if deposit.added else "this payment was added before; nothing was added now"
    say(Given(as_json), shape, f"{words}; the balance is ${dollars(deposit.balance_nano)}")


@wallet_credits.command("show")
@click.argument("account")
@database_options
@json_option
def credits_show(account: str, database: str | None, data: Path | None, as_json: bool) -> None:
    """Show ACCOUNT's wallet."""
    wallet = run_books(
        settings_with(database_url=database, data_dir=data), lambda room: room.wallet.balance(account_id(account))
    )
    shape = {
        "balance": dollars(wallet.balance_nano),
        "held": dollars(wallet.held_nano),
        "available": dollars(wallet.available_nano),
    }
    say(Given(as_json), shape, "\n".join(f"{name:10} ${amount}" for name, amount in shape.items()))


@cli.command()
@click.argument("words")
@click.option(
    "--image",
    "images",
    multiple=True,
    type=click.Path(path_type=Path),
    help="A picture, DICOM file or PDF; repeat for several.",
)
@click.option("--patient", help='The patient as JSON, like {"species":"dog","weight_kg":12}.')
@click.option("--audience", type=click.Choice(["clinician", "owner"]), help="Whom the answer is for.")
@click.option("--model", default="vetx-23", show_default=True, help="A model's id.")
@database_options
@json_option
def ask(
    words: str,
    images: tuple[Path, ...],
    patient: str | None,
    audience: str | None,
    model: str,
    database: str | None,
    data: Path | None,
    as_json: bool,
) -> None:
    """Ask WORDS; the answer streams, then come the safety notes, the tokens and the cost."""
    body: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": _content(words, images)}]}
    extension = {"patient": _json_option(patient, "--patient"), "audience": audience}
    body["vetx"] = {name: value for name, value in extension.items() if value is not None}
    request = parse_body(json.dumps(body).encode(), ChatRequest)

    async def work(ready: Settings) -> None:
        async with open_house(ready) as house:
            await _ask(house, request, as_json)

    with opened(settings_with(database_url=database, data_dir=data)) as ready:
        if (key := asyncio.run(first_key(ready))) is not None:
            click.echo(f"The first account is made; its API key, shown this once: {key}\n", err=True)
        asyncio.run(work(ready))


def _content(words: str, images: tuple[Path, ...]) -> str | list[dict[str, Any]]:
    if not images:
        return words
    parts: list[dict[str, Any]] = [{"type": "text", "text": words}]
    for image in images:
        try:
            data = image.read_bytes()
        except OSError as error:
            raise click.BadParameter(f"{image}: {error.strerror}.") from None
        real = real_format(data) or "dicom"  # which alone may lack its mark
        media_type = MEDIA_TYPES[real]
        click.echo(f"reading {image.name}: {real.upper()}, {len(data) / 1024:,.0f} KiB", err=True)
        url = f"data:{media_type};base64,{base64.b64encode(data).decode()}"
        if real == "pdf":
            parts.append({"type": "file", "file": {"file_data": url}})
        else:
            parts.append({"type": "image_url", "image_url": {"url": url}})
    return parts


def _json_option(text: str | None, option: str) -> Any:
    if text is None:
        return None
    try:
        return json.loads(text)
    except ValueError:
        raise click.BadParameter(f"{option} is not JSON.") from None


async def _ask(house: House, request: ChatRequest, as_json: bool) -> None:
    account = (await house.accounts.newest(ACCOUNTS_MAX))[-1]
    caller = Caller(
        account_id=account.id,
        key_id=0,
        plan=account.plan,
        scopes=frozenset(DEFAULT_SCOPES),
        allowed_models=frozenset(),
        user_id=f"acct_{account.id}",
        user_id_source="account",
        app_source="vetx ask",
        jurisdiction=account.jurisdiction or house.settings.jurisdiction,
    )
    turn = await begin(request.to_ask(caller), house, time.monotonic())
    assert isinstance(turn, Turn)
    try:
        turn.start()
        await turn.first()
        while (pieces := await turn.next_pieces()) is not None:
            if not as_json:
                click.echo("".join(piece.text for piece in pieces), nl=False)
        cost = await turn.count()
        await turn.finish()
    finally:
        await turn.close()
    if as_json:
        click.echo(json.dumps(answer(turn, house, usage_shape(turn, cost)), ensure_ascii=False))
        return
    click.echo()
    for line in _after_words(turn, cost):
        click.echo(line, err=True)


def _after_words(turn: Turn, cost_nano: int) -> Iterator[str]:
    """The safety notes, the pictures, the tokens and the cost of an answer."""
    yield ""
    facts = turn.ready.facts
    for rule in facts.rules if facts is not None else ():
        yield f"rule {rule.id} ({rule.severity})"
    for intervention in turn.interventions:
        yield f"{intervention.action}: {intervention.why}"
    for picture in turn.ready.pictures:
        row = picture.facts
        what = f"{row['kind'].replace('_', ' ')}, {row['format'].upper()}, {picture.width} x {picture.height}"
        yield f"picture {row['index'] + 1}: {what}, {picture.tokens} tokens. {' '.join(row['notes'])}"
    yield (
        f"{turn.ready.model.id} on {turn.model.engine}: {turn.prompt_tokens} tokens in, "
        f"{turn.completion_tokens} out, ${dollars(cost_nano)}"
    )


@cli.command()
@click.argument("account")
@click.option("--from", "since", help="A date, or a moment with its offset.")
@click.option("--to", "until", help="A date (included), or a moment with its offset.")
@click.option("--group-by", "group_by", multiple=True, help="model, api_key_id, user_id, app_source, species, engine.")
@click.option("--tz", help="Time zone of days, like Europe/Vienna.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
@database_options
@json_option
def usage(
    account: str,
    since: str | None,
    until: str | None,
    group_by: tuple[str, ...],
    tz: str | None,
    as_csv: bool,
    database: str | None,
    data: Path | None,
    as_json: bool,
) -> None:
    """Show what ACCOUNT used, by day."""
    given = {"from": since, "to": until, "tz": tz, "group_by": list(group_by), "limit": 1000}
    try:
        query = UsageQuery.model_validate({name: value for name, value in given.items() if value})
    except ValidationError as error:
        raise invalid(error) from None

    async def work(room: Books) -> UsagePage:
        found = await room.accounts.get(account_id(account))
        return await report(Reports(room.database), found.id, query)

    page = run_books(settings_with(database_url=database, data_dir=data), work)
    if as_csv:
        click.echo(csv_of(page), nl=False)
        return
    rows = [
        (bucket["start"][:10], *(result.get(key) for key in group_by), result["num_model_requests"],
         result["input_tokens"], result["output_tokens"], result["amount"]["value"])
        for bucket in page["data"]
        for result in bucket["results"]
    ]  # fmt: skip
    head = ("day", *group_by, "requests", "tokens in", "tokens out", "USD")
    say(Given(as_json), page, _table(head, rows) if rows else "Nothing was used in this range.")


@cli.command()
@database_options
@json_option
def reconcile(database: str | None, data: Path | None, as_json: bool) -> None:
    """Check that the wallet adds up; exit code 1 if it does not."""

    async def work(room: Books) -> list[Any]:
        return await broken_invariants(room.database)

    broken = run_books(settings_with(database_url=database, data_dir=data), work)
    words = "\n".join(str(row) for row in broken) or "The books add up: no invariant returns a row."
    say(Given(as_json), {"ok": not broken, "rows": broken}, words)
    if broken:
        raise SystemExit(1)


@cli.group()
def clinic() -> None:
    """The clinic's own answers, without a server, a database or a language model."""


def _clinic_command(
    name: str, body: type[BaseModel], words: Callable[[dict[str, Any]], str], *, method: str = "", reads: bool = False
) -> None:
    """One endpoint of the clinic as a command whose options are the fields of its body.

    Args:
        method: of the clinic, where it is not called as the command is.
        reads: the text may come from a file, or from standard input.
    """

    def run(as_json: bool, file: TextIO | None = None, **given: Any) -> None:
        if file is not None and given.get("text") is None:
            given["text"] = _read_text(file)
        fields = {field: _field(body, field, value) for field, value in given.items() if value not in (None, ())}
        room = open_clinic(ROOT)
        today = utc_now().date()
        law = () if name == "extract" else (read_settings(os.environ, Path(".env")).jurisdiction,)
        found = getattr(room, method or name)(fields, *law, today)
        say(Given(as_json), found, words(found))

    run.__doc__ = (body.__doc__ or "").strip().splitlines()[0]
    command: Any = json_option(run)
    for field, info in reversed(body.model_fields.items()):
        repeats = _is_list_of_words(info.annotation)
        command = click.option(f"--{field.replace('_', '-')}", field, multiple=repeats, help=info.description)(command)
    if reads:
        command = click.argument("file", default="-", type=click.File("r", encoding="utf-8"))(command)
    clinic.command(name)(command)


def _read_text(file: TextIO) -> str:
    """The whole of a file.

    Raises:
        BadParameter: it is not text.
    """
    try:
        return file.read()
    except UnicodeDecodeError:
        raise click.BadParameter("The text is not UTF-8.") from None


def _is_list_of_words(annotation: Any) -> bool:
    return "str" in str(annotation) and any(word in str(annotation) for word in ("list", "tuple"))


def _field(body: type[BaseModel], field: str, value: Any) -> Any:
    """The option's text as the body wants it: JSON where it is JSON of an object, a list or a number, else words."""
    if not isinstance(value, str):
        return list(value)
    if body.model_fields[field].annotation in (str, str | None) or value[:1] not in "[{-0123456789":
        return value
    try:
        return json.loads(value)
    except ValueError:
        if value[:1] in "[{":
            raise click.BadParameter(f"--{field.replace('_', '-')} is not JSON.") from None
        return value


for _name, _body, _words in (
    ("extract", ExtractBody, words.describe_extract),
    ("dose", DoseBody, words.describe_dose),
    ("exposure", ExposureBody, words.describe_exposure),
    ("check", CheckBody, words.describe_check),
    ("labs", LabsBody, words.describe_labs),
    ("triage", TriageBody, words.describe_triage),
    ("calculate", CalculateBody, words.describe_calculate),
    ("differentials", DifferentialsBody, words.describe_differentials),
):
    _clinic_command(_name, _body, _words)
_clinic_command("guard", GuardBody, words.describe_guard, method="guarded", reads=True)


@cli.command("eval")
@click.argument("kinds", nargs=-1)
@click.option("--kind", "more", multiple=True, help="One kind only; repeat for several. Same as naming it.")
@click.option("--publish", is_flag=True, help="Keep the result as the one that model cards show; whole runs only.")
@click.option("--cases", type=click.Path(path_type=Path), help="A folder of other cases, like a held-out set.")
@json_option
def evaluate(kinds: tuple[str, ...], more: tuple[str, ...], publish: bool, cases: Path | None, as_json: bool) -> None:
    """Measure the clinic on the published cases: a table against the goals, then every miss.

    KINDS: dosing, contraindication, exposure, labs, triage, triage_held_out, differentials, extraction, guard,
    guard_held_out; none: all of these.
    sheets, named alone, draws laboratory sheets, clean and photographed, and has them read; that takes minutes.
    """
    from app.clinic import evaluation, sheet_scoring  # only here: the cases are no part of a running service

    if {*kinds, *more} == {"sheets"} and cases is None:
        found = asyncio.run(_read_sheets())
        if publish:
            evaluation.publish_sheets(ROOT, found)
        say(Given(as_json), found, sheet_scoring.describe(found))
        return
    wanted = set(kinds) | set(more)
    if unknown := wanted - set(evaluation.KINDS):
        raise click.BadParameter(f"{', '.join(sorted(unknown))}: the kinds are {', '.join(evaluation.KINDS)}.")
    if publish and (wanted or cases is not None):
        raise click.BadParameter("--publish keeps a whole run of our own cases; leave kinds and --cases out.")
    room = open_clinic(ROOT)
    every = evaluation.load_cases(cases or ROOT / evaluation.CASES)
    asked = [case for case in every if not wanted or case.kind in wanted]
    today = utc_now().date()
    on_record = [] if wanted else evaluation.coverage(room)
    first = {} if cases else evaluation.first_figures(ROOT)
    found = evaluation.report(evaluation.put(room, asked, today), room.ruleset, today, on_record, first)
    if publish:
        evaluation.publish(ROOT, found)
    say(Given(as_json), found, evaluation.describe(found))


async def _read_sheets() -> dict[str, Any]:
    """Every drawn sheet sent through the checks, the reading and the clinic, as a request's picture goes."""
    from app.clinic import sheet_scoring

    drawing = _drawing()
    room = open_clinic(ROOT)
    pictures, recognition = Pictures(), Recognition()
    scores = []
    try:
        for how, sheet, data in drawing.drawn():
            url = f"data:image/{real_format(data)};base64,{base64.b64encode(data).decode()}"
            checked = [picture for file in await pictures.check([PictureUrl(url, "sheet")]) for picture in file]
            before = _processor_s(recognition.pids())
            written, _ = await recognition.read(checked)
            seconds = _processor_s(recognition.pids()) - before
            read = room.sheet_of(written[0]) if written else None
            scores.append(sheet_scoring.score(sheet.id, sheet.layout, how, sheet.species, sheet.cells, read, seconds))
            click.echo(f"{sheet.id}, {how}: {seconds:.1f} s", err=True)
    finally:
        await recognition.close()
        await pictures.close()
    return sheet_scoring.summed(scores, room.ruleset, utc_now().date())


def _processor_s(pids: list[int]) -> float:
    """Processor time that these processes have used [s]."""
    import psutil  # 50 ms that no other command needs

    times = [psutil.Process(pid).cpu_times() for pid in pids]
    return float(sum(one.user + one.system for one in times))


def _drawing() -> Any:
    """The program that draws the sheets; it is no part of the package.

    Raises:
        BadParameter: this is no checkout.
    """
    file = ROOT / "tests" / "evaluation" / "sheets" / "drawing.py"
    spec = importlib.util.spec_from_file_location("vetx_sheets", file)
    if spec is None or spec.loader is None or not file.exists():
        raise click.BadParameter("sheets: the program that draws them is only in a checkout of the source.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@cli.command()
@database_options
@json_option
def doctor(database: str | None, data: Path | None, as_json: bool) -> None:
    """Check the data files, the vocabulary, the database and the upstreams, and say how to mend each."""
    found: list[dict[str, Any]] = []

    def examine(name: str, look: Callable[[], str]) -> None:
        try:
            found.append({"name": name, "ok": True, "detail": look()})
        except (VetxError, OSError, ValueError) as error:
            found.append({"name": name, "ok": False, "detail": str(error)})

    settings = settings_with(database_url=database, data_dir=data)
    examine("data files", lambda: f"ruleset {open_clinic(ROOT).ruleset}")
    examine("vocabulary", lambda: f"{Tokens().count('hello world')} tokens in two words")
    examine("database", lambda: _look_at_database(settings))
    examine("upstreams", lambda: _look_at_upstreams(settings))
    lines = [f"{'ok  ' if row['ok'] else 'MEND'}  {row['name']}: {row['detail']}" for row in found]
    say(Given(as_json), {"ok": all(row["ok"] for row in found), "checks": found}, "\n".join(lines))
    if not all(row["ok"] for row in found):
        raise SystemExit(1)


def _look_at_database(settings: Settings) -> str:
    async def work(room: Books) -> str:
        async with room.database.connection() as connection:
            return str(await connection.fetchval("show server_version"))

    return f"PostgreSQL {run_books(settings, work)}"


def _look_at_upstreams(settings: Settings) -> str:
    catalogue = asyncio.run(read_catalogue(settings))
    return ", ".join(f"{model.id} on {model.upstream or 'the built-in engine'}" for model in catalogue.models.values())


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; errors are one line and exit code 1, wrong input 2."""
    given = sys.argv[1:] if arguments is None else arguments
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without our characters is no reason to fail
    try:
        code = cli.main(given or ["serve"], prog_name="vetx", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        raise SystemExit(2) from None
    except click.ClickException as error:
        fail(_sentence(error.format_message()), error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        fail("interrupted.", 130)
    except Refused as refused:
        fail(refused.message, 2 if refused.status in WRONG_INPUT else 1)
    except VetxError as error:
        fail(str(error))
    raise SystemExit(code if isinstance(code, int) else 0)


def _sentence(message: str) -> str:
    """Click's words on one line."""
    return " ".join(message.split()).removeprefix("Invalid value: ")


if __name__ == "__main__":
    main()
