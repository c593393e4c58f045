"""The keys of all accounts: who a request's key says is asking, and how keys come and go."""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import asyncpg

from app.accounts import key_rows
from app.accounts.key_rows import SCOPES, Key, KeyTerms, Standing
from app.accounts.plain_keys import Pepper, read_bearer, redacted, unknown
from app.base import log
from app.base.clock import utc_now
from app.base.errors import Forbidden, Invalid, NotFound, Refused, Unauthenticated
from app.base.messages import Caller
from app.storage.engine import Database
from app.storage.key_limits import set_key_limit

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

REFRESH_AFTER_S = 1.5
"""A key in use is read again this long after it was read last, while the old answer still serves."""
SERVE_S_MAX = 4.0
"""No answer older than this is served: a revoked key is refused by every worker within 5 s, or the answer is 503."""
TOUCH_EVERY_S = 60.0
TOUCH_DELAY_S = 1.0
ENTRIES_MAX = 20_000
LOAD_MAX = 1_000
USER_ID_CHARACTERS_MAX = 256
APP_SOURCE_CHARACTERS_MAX = 128
DEFAULT_APP_SOURCE = "Vetra-API"
NAME_CHARACTERS_MAX = 200
YEAR_MAX = 9_000
GRACE_S_MAX = 30 * 24 * 3600


@dataclass(slots=True)
class _Entry:
    """What this worker knows of a digest; times are of the monotonic clock [s]."""

    read_at: float
    caller: Caller | None
    may_set_user_id: bool = True
    networks: tuple[Network, ...] = ()
    expires_at: float = float("inf")
    refusal: str = ""
    touched_at: float = float("-inf")


class KeyRing:
    """Keys by digest, remembered for seconds, so that a busy key costs no database call.

    A key in use is read again in the background every 1.5 s, many keys in one statement; without the database the last
    answer serves until it is 4 s old, then the refusal is 503, never 401.
    """

    def __init__(self, database: Database, master_key: bytes, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._pepper = Pepper(master_key)
        self._clock = clock
        self._entries: dict[bytes, _Entry] = {}
        self._waiting: dict[bytes, asyncio.Future[_Entry]] = {}
        self._loader: asyncio.Task[None] | None = None
        self._used: set[int] = set()
        self._toucher: asyncio.Task[None] | None = None
        self._changed_at = float("-inf")

    async def close(self) -> None:
        """Stop reading ahead, and note the last uses."""
        tasks = [task for task in (self._loader, self._toucher) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for future in self._waiting.values():
            future.cancel()
        self._waiting.clear()
        await self._touch()

    async def authenticate(self, scope: Mapping[str, Any]) -> Caller:
        """Whom the headers of an ASGI request name; the address checked is the connection's own.

        Raises:
            Unauthenticated: no key, not one of ours, expired, revoked or disabled.
            Forbidden: ip_not_allowed, user_id_not_allowed.
            Invalid: x-user-id or X-App-Source can't be read.
            Unavailable: the database can't be asked, and nothing recent is known of the key.
        """
        keys, user_ids, sources = _headers(scope["headers"])
        plain = read_bearer(keys)
        digest = self._pepper.digest(plain)
        now = self._clock()
        entry = self._entries.get(digest)
        if entry is None or now >= entry.read_at + SERVE_S_MAX:
            if entry is None and not self._pepper.is_ours(plain):
                raise unknown()
            entry = await asyncio.shield(self._ask(digest))
            now = self._clock()
        elif now >= entry.read_at + REFRESH_AFTER_S:
            self._ask(digest)
        caller = _judge(entry, now)
        if entry.networks:
            _check_address(scope.get("client"), entry.networks)
        if now >= entry.touched_at + TOUCH_EVERY_S:
            entry.touched_at = now
            self._note_use(caller.key_id)
        if not user_ids and not sources:
            return caller
        return _name_user(caller, entry.may_set_user_id, user_ids, sources)

    def _ask(self, digest: bytes) -> asyncio.Future[_Entry]:
        """The digest's entry as the database has it from now on; whoever asks together is answered by one statement."""
        future = self._waiting.get(digest)
        if future is None:
            future = asyncio.get_running_loop().create_future()
            future.add_done_callback(_retrieve)
            self._waiting[digest] = future
            if self._loader is None or self._loader.done():
                self._loader = asyncio.create_task(self._load())
        return future

    async def _load(self) -> None:
        while self._waiting:
            taken = {digest: self._waiting[digest] for digest in list(self._waiting)[:LOAD_MAX]}
            for digest in taken:
                del self._waiting[digest]
            read_at = self._clock()
            try:
                async with self._database.connection() as connection:
                    standings = await key_rows.read_standings(connection, list(taken))
            except (Exception, asyncio.CancelledError) as error:
                for future in taken.values():
                    if not future.done():
                        future.set_exception(error) if isinstance(error, Exception) else future.cancel()
                if isinstance(error, asyncio.CancelledError):
                    raise
                continue
            if self._changed_at >= read_at:
                read_at = float("-inf")  # a change of ours may have overtaken this answer
            found = {standing.digest: standing for standing in standings}
            for digest, future in taken.items():
                entry = self._remember(digest, read_at, found.get(digest))
                if not future.done():
                    future.set_result(entry)

    def _remember(self, digest: bytes, read_at: float, standing: Standing | None) -> _Entry:
        entry = _entry(read_at, standing)
        before = self._entries.pop(digest, None)
        if before is not None:
            entry.touched_at = before.touched_at
        while len(self._entries) >= ENTRIES_MAX:
            del self._entries[next(iter(self._entries))]
        self._entries[digest] = entry
        return entry

    def _forget(self, key_ids: Iterable[int]) -> None:
        """Let this worker see a change at once; the others see it when they read the key again."""
        changed = set(key_ids)
        self._changed_at = self._clock()
        for entry in self._entries.values():
            if entry.caller is not None and entry.caller.key_id in changed:
                entry.read_at = float("-inf")

    def _note_use(self, key_id: int) -> None:
        self._used.add(key_id)
        if self._toucher is None or self._toucher.done():
            self._toucher = asyncio.create_task(self._touch_soon())

    async def _touch_soon(self) -> None:
        await asyncio.sleep(TOUCH_DELAY_S)
        await self._touch()

    async def _touch(self) -> None:
        used, self._used = sorted(self._used), set()
        if not used:
            return
        try:
            async with self._database.connection() as connection:
                await key_rows.touch_keys(connection, used, TOUCH_EVERY_S - 5)
        except Refused as error:
            log.warning("last use of keys not noted", keys=len(used), error=error.code)

    async def create(self, account_id: int, terms: KeyTerms, held: frozenset[str] | None = None) -> tuple[Key, str]:
        """A new key of the account, and its plain text, which nobody can show again.

        Args:
            held: the scopes of the key that asks; None: the command line, which alone may grant `admin`.

        Raises:
            Invalid, NotFound (no such account).
            Forbidden: scope_missing.
        """
        check_terms(terms)
        if terms.expires_at is not None:
            _check_future(terms.expires_at)
        if held is not None and "admin" in terms.scopes:
            raise _only_command_line()
        plain = self._pepper.mint()
        async with self._database.connection() as connection, connection.transaction():
            try:
                key_id = await key_rows.insert_key(
                    connection, account_id, self._pepper.digest(plain.encode()), redacted(plain), terms
                )
            except asyncpg.ForeignKeyViolationError:
                raise NotFound(f"There is no account acct_{account_id}.") from None
            if terms.limit_nano is not None:
                await set_key_limit(connection, key_id, terms.limit_nano, terms.limit_reset)
            key = await _found(connection, account_id, key_id)
        return key, plain

    async def get(self, account_id: int, key_id: int) -> Key:
        """The key.

        Raises:
            NotFound: there is none, it is another account's, or it was revoked.
        """
        async with self._database.connection() as connection:
            return await _found(connection, account_id, key_id)

    async def newest(self, account_id: int, count: int, before_id: int | None = None) -> list[Key]:
        """At most `count` of the account's keys that are not revoked, newest first, from the one before `before_id`."""
        async with self._database.connection() as connection:
            return await key_rows.list_keys(connection, account_id, before_id, count)

    async def change(
        self, account_id: int, key_id: int, changes: Mapping[str, Any], held: frozenset[str] | None = None
    ) -> Key:
        """Replace some of a key's terms, by the names of KeyTerms; every worker obeys within 5 s.

        Raises:
            Invalid, NotFound.
            Forbidden: scope_missing: `admin` would be granted, or the key has it and the one that asks hasn't.
        """
        async with self._database.connection() as connection, connection.transaction():
            await key_rows.lock_key(connection, account_id, key_id)
            key = await _found(connection, account_id, key_id)
            _check_admin(key, held)
            terms = replace(key.terms, **changes)
            check_terms(terms)
            if terms.expires_at is not None and terms.expires_at != key.terms.expires_at:
                _check_future(terms.expires_at)
            if held is not None and "admin" in terms.scopes and "admin" not in key.terms.scopes:
                raise _only_command_line()
            await key_rows.write_terms(connection, key_id, terms)
            if (terms.limit_nano, terms.limit_reset) != (key.terms.limit_nano, key.terms.limit_reset):
                await set_key_limit(connection, key_id, terms.limit_nano, terms.limit_reset)
            key = await _found(connection, account_id, key_id)
        self._forget([key_id])
        return key

    async def rotate(
        self, account_id: int, key_id: int, grace_s: int, held: frozenset[str] | None = None
    ) -> tuple[Key, str]:
        """A new key in the place of this one, with its terms and what it has spent, and the new one's plain text.

        Args:
            grace_s: how long the old one still works [s]; 0 revokes it now.

        Raises:
            Invalid: it was rotated before, or has expired.
            NotFound.
            Forbidden: scope_missing: the key has `admin` and the one that asks hasn't.
        """
        assert 0 <= grace_s <= GRACE_S_MAX
        plain = self._pepper.mint()
        async with self._database.connection() as connection, connection.transaction():
            await key_rows.lock_key(connection, account_id, key_id)
            key = await _found(connection, account_id, key_id)
            _check_admin(key, held)
            if key.terms.expires_at is not None and key.terms.expires_at <= utc_now():
                raise Invalid("This key has expired; create a new one instead.")
            new_id = await key_rows.copy_key(connection, key_id, self._pepper.digest(plain.encode()), redacted(plain))
            if new_id is None:
                raise Invalid("This key was rotated before; rotate the key that took its place.")
            await key_rows.retire_key(connection, key_id, new_id, grace_s)
            new = await _found(connection, account_id, new_id)
        self._forget([key_id])
        return new, plain

    async def revoke(self, account_id: int, key_id: int) -> None:
        """End a key for good; every worker refuses it within 5 s.

        Raises:
            NotFound.
        """
        async with self._database.connection() as connection:
            if not await key_rows.revoke_key(connection, account_id, key_id):
                raise _no_key()
        self._forget([key_id])


def _no_key() -> NotFound:
    return NotFound("There is no such key; GET /v1/keys lists those there are.")


async def _found(connection: Any, account_id: int, key_id: int) -> Key:
    key = await key_rows.find_key(connection, account_id, key_id)
    if key is None:
        raise _no_key()
    return key


def _only_command_line() -> Forbidden:
    return Forbidden("Only the command line grants the scope admin: vetx keys create.", code="scope_missing")


def _check_admin(key: Key, held: frozenset[str] | None) -> None:
    """A key with `admin` is changed and rotated only by another: a new plain text would hand its power on."""
    if "admin" in key.terms.scopes and held is not None and "admin" not in held:
        raise Forbidden("This key has the scope admin; only a key that has it too may change it.", code="scope_missing")


def check_terms(terms: KeyTerms) -> None:
    """Refuse terms that can't be.

    Raises:
        Invalid: names the field.
    """
    if not terms.name.strip() or len(terms.name) > NAME_CHARACTERS_MAX or not terms.name.isprintable():
        raise Invalid(f"name: give 1 to {NAME_CHARACTERS_MAX} printable characters.", param="name")
    if not terms.scopes:
        raise Invalid("scopes: name at least one, or leave the field out.", param="scopes")
    for index, scope in enumerate(terms.scopes):
        if scope not in SCOPES:
            raise Invalid(f"scopes[{index}]: there are {', '.join(SCOPES)}.", param=f"scopes[{index}]")
    for index, address in enumerate(terms.allowed_ips):
        try:
            ipaddress.ip_network(address, strict=False)
        except ValueError:
            raise Invalid(
                f"allowed_ips[{index}]: write an address or a network, like 203.0.113.7 or 203.0.113.0/24.",
                param=f"allowed_ips[{index}]",
            ) from None
    for index, model in enumerate(terms.allowed_models):
        if not model or not model.isprintable():
            raise Invalid(
                f"allowed_models[{index}]: write a model's id, as in GET /v1/models.", param=f"allowed_models[{index}]"
            )
    if terms.limit_nano is None and terms.limit_reset is not None:
        raise Invalid("limit_reset: there is no limit to reset; set limit too.", param="limit_reset")


def _check_future(expires_at: datetime) -> None:
    if expires_at <= utc_now():
        raise Invalid("expires_at: this moment has passed; name a later one.", param="expires_at")
    if expires_at.year > YEAR_MAX:
        raise Invalid("expires_at: leave it out for a key that doesn't expire.", param="expires_at")


def _headers(headers: Iterable[tuple[bytes, bytes]]) -> tuple[list[bytes], list[bytes], list[bytes]]:
    """All values of authorization, x-user-id and x-app-source."""
    keys: list[bytes] = []
    user_ids: list[bytes] = []
    sources: list[bytes] = []
    for name, value in headers:
        if name == b"authorization":
            keys.append(value)
        elif name == b"x-user-id":
            user_ids.append(value)
        elif name == b"x-app-source":
            sources.append(value)
    return keys, user_ids, sources


def _entry(read_at: float, standing: Standing | None) -> _Entry:
    if standing is None:
        return _Entry(read_at, None)
    caller = Caller(
        account_id=standing.account_id,
        key_id=standing.key_id,
        plan=standing.plan,
        scopes=frozenset(standing.scopes),
        allowed_models=frozenset(standing.allowed_models),
        user_id=f"acct_{standing.account_id}",
        user_id_source="account",
        app_source=DEFAULT_APP_SOURCE,
        allowance_id=standing.allowance_id,
        jurisdiction=standing.jurisdiction,
        requests_per_min=standing.requests_per_min,
        memory_default=standing.memory_default,
    )
    return _Entry(
        read_at,
        caller,
        may_set_user_id=standing.may_set_user_id,
        networks=tuple(ipaddress.ip_network(address, strict=False) for address in standing.allowed_ips),
        expires_at=float("inf") if standing.expires_in_s is None else read_at + standing.expires_in_s,
        refusal=_refusal(standing),
    )


def _refusal(standing: Standing) -> str:
    if standing.revoked and standing.rotated:
        return "This API key was rotated; use the one that took its place."
    if standing.revoked:
        return "This API key was revoked; use another one."
    return "This API key is disabled; use another one, or have it enabled." if standing.disabled else ""


def _judge(entry: _Entry, now: float) -> Caller:
    """The caller of an entry.

    Raises:
        Unauthenticated: there is none, or no longer.
    """
    if entry.caller is None:
        raise unknown()
    if entry.refusal:
        raise Unauthenticated(entry.refusal, code="api_key_revoked")
    if now >= entry.expires_at:
        raise Unauthenticated("This API key has expired; use another one.", code="api_key_expired")
    return entry.caller


def _check_address(client: Sequence[Any] | None, networks: tuple[Network, ...]) -> None:
    """Refuse a connection from elsewhere; what a proxy says about addresses counts for nothing.

    Raises:
        Forbidden: ip_not_allowed.
    """
    try:
        address = ipaddress.ip_address(client[0] if client else "")
    except ValueError:
        address = None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if address is None or not any(address in network for network in networks):
        raise Forbidden("This API key may not be used from this address.", code="ip_not_allowed")


def _name_user(caller: Caller, may_set_user_id: bool, user_ids: list[bytes], sources: list[bytes]) -> Caller:
    """The caller, with the end user and the app that the headers name.

    Raises:
        Forbidden: user_id_not_allowed.
        Invalid: a header can't be read.
    """
    user_id = _header_text("x-user-id", user_ids, USER_ID_CHARACTERS_MAX)
    app_source = _header_text("X-App-Source", sources, APP_SOURCE_CHARACTERS_MAX)
    if user_id and not may_set_user_id:
        raise Forbidden("This API key may not name end users; leave x-user-id out.", code="user_id_not_allowed")
    return replace(
        caller,
        user_id=user_id or caller.user_id,
        user_id_source="header" if user_id else caller.user_id_source,
        app_source=app_source or caller.app_source,
    )


def _header_text(name: str, values: list[bytes], characters_max: int) -> str:
    if not values:
        return ""
    try:
        text = values[0].decode("utf-8").strip()
    except UnicodeDecodeError:
        text = "\x00"
    if len(values) > 1 or len(text) > characters_max or not text.isprintable():
        raise Invalid(f"{name}: give it once, with at most {characters_max} printable characters.", param=name)
    return text


def _retrieve(future: asyncio.Future[_Entry]) -> None:
    """A reading ahead that failed is no news: the next call asks again."""
    if not future.cancelled():
        future.exception()
