"""Keys against a real database: who a key says is asking, and how soon a change is obeyed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import asyncpg
import pytest

from app.accounts import key_rows
from app.accounts.accounts import Account, Accounts
from app.accounts.key_rows import DEFAULT_SCOPES, FIRST_KEY_SCOPES, KeyTerms, Standing
from app.accounts.keys import REFRESH_AFTER_S, SERVE_S_MAX, KeyRing
from app.base.errors import Forbidden, Invalid, NotFound, Refused, Unauthenticated, Unavailable
from app.base.messages import Caller
from app.storage.engine import Database
from tests.accounts.conftest import MASTER_KEY
from tests.accounts.requests import request


class Hand:
    """A monotonic clock that a test moves on."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


async def refusal(asking: Awaitable[object]) -> str | None:
    """The code of the refusal, or None."""
    try:
        await asking
    except Refused as refused:
        return refused.code
    return None


async def row_of(database: Database, key_id: int) -> dict[str, Any]:
    """The stored key."""
    async with database.connection() as connection:
        return dict(await connection.fetchrow("select * from api_key where id = $1", key_id))


async def test_a_key_names_its_account_its_plan_and_what_it_may(
    ring: KeyRing, account: Account, database: Database
) -> None:
    key, plain = await ring.create(account.id, KeyTerms("reports", scopes=("usage",), allowed_models=("vetx-23",)))

    caller = await ring.authenticate(request(plain))

    assert caller == Caller(
        account_id=account.id,
        key_id=key.id,
        plan="pro",
        scopes=frozenset({"usage"}),
        allowed_models=frozenset({"vetx-23"}),
        user_id=f"acct_{account.id}",
        user_id_source="account",
        app_source="Vetra-API",
        requests_per_min=500,
    )


async def test_the_database_never_holds_a_key(ring: KeyRing, account: Account, database: Database) -> None:
    key, plain = await ring.create(account.id, KeyTerms("k"))

    row = await row_of(database, key.id)

    assert len(row["digest"]) == 32
    assert not any(plain[7:] in str(value) for value in row.values())
    assert row["redacted_value"] == f"vt_key_…{plain[-4:]}" == key.redacted_value


async def test_keys_have_every_scope_but_keys_and_admin_unless_told() -> None:
    assert not {"keys", "admin"} & set(KeyTerms("k").scopes)
    assert set(FIRST_KEY_SCOPES) - set(DEFAULT_SCOPES) == {"keys"}


async def test_a_wrong_check_character_never_reaches_the_database(account: Account, ring: KeyRing) -> None:
    _, plain = await ring.create(account.id, KeyTerms("k"))
    unreachable = KeyRing(await Database.open("postgresql://nobody@127.0.0.1:1/nothing"), MASTER_KEY)
    mistyped = plain[:-1] + ("a" if plain[-1] != "a" else "b")

    assert await refusal(unreachable.authenticate(request(mistyped))) == "invalid_api_key"
    assert await refusal(unreachable.authenticate(request(plain))) == "database_unavailable"


async def test_a_key_of_ours_that_was_never_stored_is_invalid(ring: KeyRing) -> None:
    assert await refusal(ring.authenticate(request(ring._pepper.mint()))) == "invalid_api_key"


async def test_headers_name_the_user_and_the_app(ring: KeyRing, account: Account) -> None:
    _, plain = await ring.create(account.id, KeyTerms("k"))

    caller = await ring.authenticate(request(plain, ("x-user-id", "Jürgen 7"), ("x-app-source", "desk")))

    assert (caller.user_id, caller.user_id_source, caller.app_source) == ("Jürgen 7", "header", "desk")


@pytest.mark.parametrize(
    "headers",
    [
        (("x-user-id", "a"), ("x-user-id", "b")),
        (("x-user-id", "a" * 257),),
        (("x-user-id", "a\x00b"),),
        (("x-app-source", "\x1b[2J"),),
        (("x-app-source", "s" * 129),),
    ],
)
async def test_a_user_or_app_that_cannot_be_read_is_refused(
    ring: KeyRing, account: Account, headers: tuple[tuple[str, str], ...]
) -> None:
    _, plain = await ring.create(account.id, KeyTerms("k"))

    assert await refusal(ring.authenticate(request(plain, *headers))) == "invalid_value"


async def test_a_key_that_may_not_name_users_is_told_so(ring: KeyRing, account: Account) -> None:
    _, plain = await ring.create(account.id, KeyTerms("k", may_set_user_id=False))

    assert await refusal(ring.authenticate(request(plain))) is None
    assert await refusal(ring.authenticate(request(plain, ("x-user-id", "u")))) == "user_id_not_allowed"


@pytest.mark.parametrize(
    ("allowed", "address", "code"),
    [
        ("203.0.113.0/24", "203.0.113.9", None),
        ("203.0.113.9", "203.0.113.9", None),
        ("203.0.113.0/24", "::ffff:203.0.113.9", None),
        ("203.0.113.0/24", "203.0.114.9", "ip_not_allowed"),
        ("2001:db8::/32", "2001:db8::1", None),
        ("2001:db8::/32", "203.0.113.9", "ip_not_allowed"),
        ("203.0.113.0/24", "", "ip_not_allowed"),
    ],
)
async def test_the_address_of_the_connection_decides_and_no_header_does(
    ring: KeyRing, account: Account, allowed: str, address: str, code: str | None
) -> None:
    _, plain = await ring.create(account.id, KeyTerms("k", allowed_ips=(allowed,)))

    asking = ring.authenticate(request(plain, ("x-forwarded-for", "203.0.113.9"), address=address))

    assert await refusal(asking) == code


async def test_a_busy_key_costs_no_database_call(account: Account, ring: KeyRing, database: Database) -> None:
    _, plain = await ring.create(account.id, KeyTerms("k"))
    await ring.authenticate(request(plain))
    await database.pool.close()

    assert await refusal(ring.authenticate(request(plain))) is None


async def test_without_the_database_a_known_key_serves_four_seconds_and_then_it_is_503(
    account: Account, database: Database, fresh_url: str
) -> None:
    clock = Hand()
    away = await Database.open(fresh_url)
    ring = KeyRing(away, MASTER_KEY, clock)
    _, plain = await ring.create(account.id, KeyTerms("k"))
    await ring.authenticate(request(plain))
    away.pool.terminate()

    clock.now += REFRESH_AFTER_S
    assert await refusal(ring.authenticate(request(plain))) is None
    clock.now = 1_000.0 + SERVE_S_MAX
    with pytest.raises(Unavailable) as refused:
        await ring.authenticate(request(plain))
    assert (refused.value.status, refused.value.code) == (503, "database_unavailable")
    await ring.close()


async def test_a_database_that_hangs_is_503_and_soon(
    ring: KeyRing, account: Account, fresh_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, plain = await ring.create(account.id, KeyTerms("k"))
    monkeypatch.setattr(key_rows, "READ_TIMEOUT_S", 0.2)
    other = await asyncpg.connect(fresh_url)
    async with other.transaction():
        await other.execute("lock table api_key in access exclusive mode")
        assert await refusal(ring.authenticate(request(plain))) == "database_unavailable"
    await other.close()

    assert await refusal(ring.authenticate(request(plain))) is None


Change = Callable[[KeyRing, Accounts, int, int], Awaitable[object]]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda ring, accounts, account, key: ring.revoke(account, key), "api_key_revoked"),
        (lambda ring, accounts, account, key: ring.change(account, key, {"disabled": True}), "api_key_revoked"),
        (lambda ring, accounts, account, key: ring.rotate(account, key, 0), "api_key_revoked"),
        (
            lambda ring, accounts, account, key: ring.change(account, key, {"allowed_ips": ("192.0.2.1",)}),
            "ip_not_allowed",
        ),
    ],
    ids=["revoke", "disable", "rotate", "addresses"],
)
async def test_what_one_worker_ends_every_worker_refuses_within_five_seconds(
    ring: KeyRing, account: Account, database: Database, change: Change, code: str
) -> None:
    """Real time, a call every 20 ms at the other worker, as a busy key has."""
    other = KeyRing(database, MASTER_KEY)
    key, plain = await ring.create(account.id, KeyTerms("k"))
    await ring.authenticate(request(plain))
    await other.authenticate(request(plain))
    await change(ring, Accounts(database), account.id, key.id)
    since = time.monotonic()

    assert await refusal(ring.authenticate(request(plain))) == code
    for _ in range(300):
        seen = await refusal(other.authenticate(request(plain)))
        if seen is not None:
            break
        await asyncio.sleep(0.02)

    assert seen == code
    assert time.monotonic() - since < 5
    await other.close()


async def test_a_change_beats_an_older_answer_that_is_still_on_its_way(
    ring: KeyRing, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, plain = await ring.create(account.id, KeyTerms("k"))
    read, read_it, go_on = key_rows.read_standings, asyncio.Event(), asyncio.Event()

    async def slow(connection: Any, digests: Sequence[bytes]) -> list[Standing]:
        answer = await read(connection, digests)
        read_it.set()
        await go_on.wait()
        return answer

    monkeypatch.setattr(key_rows, "read_standings", slow)
    before = asyncio.create_task(ring.authenticate(request(plain)))
    await read_it.wait()
    await ring.revoke(account.id, key.id)
    go_on.set()

    assert await refusal(before) is None, "it asked before the change"
    assert await refusal(ring.authenticate(request(plain))) == "api_key_revoked"


async def test_a_key_in_use_is_read_again_before_anyone_must_wait_for_it(account: Account, fresh_url: str) -> None:
    clock = Hand()
    database = await Database.open(fresh_url)
    ring = KeyRing(database, MASTER_KEY, clock)
    _, plain = await ring.create(account.id, KeyTerms("k"))
    await ring.authenticate(request(plain))
    clock.now += REFRESH_AFTER_S
    await ring.authenticate(request(plain))
    assert ring._loader is not None
    await ring._loader
    database.pool.terminate()

    clock.now += SERVE_S_MAX - 0.1
    assert await refusal(ring.authenticate(request(plain))) is None, "the answer is the second one"
    await ring.close()


async def test_an_idle_workers_first_call_after_four_seconds_asks_first(
    ring: KeyRing, account: Account, database: Database
) -> None:
    clock = Hand()
    other = KeyRing(database, MASTER_KEY, clock)
    key, plain = await ring.create(account.id, KeyTerms("k"))
    await other.authenticate(request(plain))
    await ring.revoke(account.id, key.id)

    assert await refusal(other.authenticate(request(plain))) is None
    clock.now += SERVE_S_MAX
    assert await refusal(other.authenticate(request(plain))) == "api_key_revoked"
    await other.close()


async def test_a_change_of_plan_is_seen_when_the_key_is_read_again(account: Account, database: Database) -> None:
    clock = Hand()
    ring = KeyRing(database, MASTER_KEY, clock)
    _, plain = await ring.create(account.id, KeyTerms("k"))
    await ring.authenticate(request(plain))
    await Accounts(database).change_plan(account.id, "internal")

    clock.now += SERVE_S_MAX
    caller = await ring.authenticate(request(plain))

    assert (caller.plan, caller.requests_per_min) == ("internal", None)
    await ring.close()


async def test_a_thousand_calls_with_ten_new_keys_are_one_statement(
    ring: KeyRing, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    plains = [(await ring.create(account.id, KeyTerms(f"k{number}")))[1] for number in range(10)]
    statements: list[int] = []
    read = key_rows.read_standings

    async def counted(connection: Any, digests: Sequence[bytes]) -> list[Standing]:
        statements.append(len(digests))
        return await read(connection, digests)

    monkeypatch.setattr(key_rows, "read_standings", counted)

    callers = await asyncio.gather(*(ring.authenticate(request(plain)) for plain in plains * 100))

    assert len({caller.key_id for caller in callers}) == 10
    assert statements == [10]


async def test_a_caller_who_leaves_takes_no_others_answer_along(ring: KeyRing, account: Account) -> None:
    _, plain = await ring.create(account.id, KeyTerms("k"))
    leaving = asyncio.create_task(ring.authenticate(request(plain)))
    staying = asyncio.create_task(ring.authenticate(request(plain)))
    await asyncio.sleep(0)
    leaving.cancel()

    assert (await staying).account_id == account.id


async def test_an_expired_key_says_so(ring: KeyRing, account: Account) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=0.3)
    _, plain = await ring.create(account.id, KeyTerms("k", expires_at=soon))

    assert await refusal(ring.authenticate(request(plain))) is None
    await asyncio.sleep(0.4)
    assert await refusal(ring.authenticate(request(plain))) == "api_key_expired"


async def test_a_rotated_key_works_for_its_grace_and_then_expires(ring: KeyRing, account: Account) -> None:
    key, old = await ring.create(account.id, KeyTerms("k", scopes=("chat",), limit_nano=5, limit_reset="daily"))

    new_key, new = await ring.rotate(account.id, key.id, 1)

    assert new_key.terms == key.terms
    assert new_key.id != key.id
    assert new_key.allowance_id == key.allowance_id is not None
    assert await refusal(ring.authenticate(request(old))) is None
    assert await refusal(ring.authenticate(request(new))) is None
    await asyncio.sleep(1.1)
    assert await refusal(ring.authenticate(request(old))) == "api_key_expired"
    assert await refusal(ring.authenticate(request(new))) is None


async def test_a_grace_never_lengthens_a_keys_life(ring: KeyRing, account: Account) -> None:
    ends = datetime.now(UTC) + timedelta(seconds=60)
    key, _ = await ring.create(account.id, KeyTerms("k", expires_at=ends))

    await ring.rotate(account.id, key.id, 3_600)

    assert (await ring.get(account.id, key.id)).terms.expires_at == ends


async def test_ten_rotations_at_once_make_one_new_key(ring: KeyRing, account: Account) -> None:
    key, _ = await ring.create(account.id, KeyTerms("k"))

    codes = await asyncio.gather(*(refusal(ring.rotate(account.id, key.id, 60)) for _ in range(10)))

    assert codes.count(None) == 1
    assert codes.count("invalid_value") == 9
    assert len(await ring.newest(account.id, 100)) == 2


async def test_another_accounts_key_looks_like_a_missing_one(
    ring: KeyRing, account: Account, database: Database
) -> None:
    other = await Accounts(database).create("Other practice")
    key, plain = await ring.create(account.id, KeyTerms("k"))

    for ask in (
        lambda key_id: ring.get(other.id, key_id),
        lambda key_id: ring.change(other.id, key_id, {"name": "mine"}),
        lambda key_id: ring.rotate(other.id, key_id, 0),
        lambda key_id: ring.revoke(other.id, key_id),
    ):
        told = []
        for key_id in (key.id, 2**40):
            with pytest.raises(NotFound) as refused:
                await ask(key_id)
            told.append((refused.value.message, refused.value.code, refused.value.param))
        assert told[0] == told[1]
    assert await ring.newest(other.id, 10) == []
    assert await refusal(ring.authenticate(request(plain))) is None


async def test_a_revoked_key_is_gone_from_the_list_and_stays_refused(ring: KeyRing, account: Account) -> None:
    key, plain = await ring.create(account.id, KeyTerms("k"))
    await ring.revoke(account.id, key.id)

    assert await refusal(ring.get(account.id, key.id)) == "not_found"
    assert await refusal(ring.revoke(account.id, key.id)) == "not_found"
    assert await refusal(ring.rotate(account.id, key.id, 0)) == "not_found"
    assert await ring.newest(account.id, 10) == []
    assert await refusal(ring.authenticate(request(plain))) == "api_key_revoked"


async def test_lists_are_newest_first_and_go_on_where_they_stopped(ring: KeyRing, account: Account) -> None:
    ids = [(await ring.create(account.id, KeyTerms(f"k{number}")))[0].id for number in range(5)]

    first = await ring.newest(account.id, 3)
    rest = await ring.newest(account.id, 3, before_id=first[-1].id)

    assert [key.id for key in first + rest] == ids[::-1]


async def test_a_change_leaves_the_rest_as_it_was(ring: KeyRing, account: Account) -> None:
    terms = KeyTerms("k", ("chat", "usage"), ("vetx-23",), ("10.0.0.0/8",), None, False, False, "off", 7_000, "weekly")
    key, _ = await ring.create(account.id, terms)

    changed = await ring.change(account.id, key.id, {"name": "renamed"})

    assert key.terms == terms
    assert changed.terms.name == "renamed"
    assert changed.terms == KeyTerms(**{**{f: getattr(terms, f) for f in KeyTerms.__slots__}, "name": "renamed"})


async def test_a_limit_lifted_and_set_again_goes_on_counting(
    ring: KeyRing, account: Account, database: Database
) -> None:
    key, _ = await ring.create(account.id, KeyTerms("k", limit_nano=100, limit_reset="monthly"))
    async with database.connection() as connection:
        await connection.execute("update allowance set spent_nano = 40 where id = $1", key.allowance_id)

    lifted = await ring.change(account.id, key.id, {"limit_nano": None, "limit_reset": None})
    again = await ring.change(account.id, key.id, {"limit_nano": 50, "limit_reset": "monthly"})

    assert (lifted.terms.limit_nano, lifted.terms.limit_reset) == (None, None)
    assert lifted.allowance_id == again.allowance_id == key.allowance_id
    async with database.connection() as connection:
        row = await connection.fetchrow("select * from allowance where id = $1", key.allowance_id)
    assert (row["limit_nano"], row["reset"], row["spent_nano"]) == (50, "monthly", 40)
    assert (row["kind"], row["subject"], row["account_id"]) == ("key", str(key.id), account.id)


async def test_another_period_counts_anew(ring: KeyRing, account: Account, database: Database) -> None:
    key, _ = await ring.create(account.id, KeyTerms("k", limit_nano=100))
    async with database.connection() as connection:
        await connection.execute("update allowance set spent_nano = 40 where id = $1", key.allowance_id)
        await ring.change(account.id, key.id, {"limit_reset": "daily"})
        row = await connection.fetchrow("select * from allowance where id = $1", key.allowance_id)

    assert (row["limit_nano"], row["reset"], row["spent_nano"]) == (100, "daily", 0)


async def test_only_the_command_line_grants_admin(ring: KeyRing, account: Account) -> None:
    every = frozenset({"keys", "admin"})
    key, _ = await ring.create(account.id, KeyTerms("k"))

    assert await refusal(ring.create(account.id, KeyTerms("k", scopes=("admin",)), held=every)) == "scope_missing"
    assert await refusal(ring.change(account.id, key.id, {"scopes": ("admin",)}, held=every)) == "scope_missing"
    assert await refusal(ring.create(account.id, KeyTerms("k", scopes=("admin",)))) is None


async def test_a_key_without_admin_cannot_get_at_one_that_has_it(ring: KeyRing, account: Account) -> None:
    """Rotating gives a plain text; an operator's key in a practice's hands would be worth every account."""
    operator, _ = await ring.create(account.id, KeyTerms("operator", scopes=("admin",)))
    keys, admin = frozenset({"keys"}), frozenset({"keys", "admin"})

    assert await refusal(ring.rotate(account.id, operator.id, 0, held=keys)) == "scope_missing"
    assert await refusal(ring.change(account.id, operator.id, {"name": "n"}, held=keys)) == "scope_missing"
    assert await refusal(ring.change(account.id, operator.id, {"name": "n"}, held=admin)) is None
    assert await refusal(ring.rotate(account.id, operator.id, 0, held=admin)) is None


@pytest.mark.parametrize(
    ("terms", "param"),
    [
        (KeyTerms(""), "name"),
        (KeyTerms("a\x00b"), "name"),
        (KeyTerms("n" * 201), "name"),
        (KeyTerms("k", scopes=()), "scopes"),
        (KeyTerms("k", scopes=("chat", "root")), "scopes[1]"),
        (KeyTerms("k", allowed_ips=("10.0.0.0/8", "10.0.0.0/99")), "allowed_ips[1]"),
        (KeyTerms("k", allowed_ips=("practice.example",)), "allowed_ips[0]"),
        (KeyTerms("k", allowed_models=("",)), "allowed_models[0]"),
        (KeyTerms("k", limit_reset="daily"), "limit_reset"),
        (KeyTerms("k", expires_at=datetime(2020, 1, 1, tzinfo=UTC)), "expires_at"),
        (KeyTerms("k", expires_at=datetime.min.replace(tzinfo=timezone(timedelta(hours=14)))), "expires_at"),
        (KeyTerms("k", expires_at=datetime.max.replace(tzinfo=timezone(-timedelta(hours=14)))), "expires_at"),
    ],
)
async def test_terms_that_cannot_be_name_their_field(
    ring: KeyRing, account: Account, terms: KeyTerms, param: str
) -> None:
    with pytest.raises(Invalid) as refused:
        await ring.create(account.id, terms)

    assert refused.value.param == param


async def test_a_key_for_an_account_that_is_not_there_is_refused(ring: KeyRing) -> None:
    assert await refusal(ring.create(2**40, KeyTerms("k"))) == "not_found"


async def test_the_last_use_is_noted_once_a_minute(account: Account, database: Database) -> None:
    clock = Hand()
    ring = KeyRing(database, MASTER_KEY, clock)
    key, plain = await ring.create(account.id, KeyTerms("k"))
    await ring.authenticate(request(plain))
    await ring._touch()
    first = (await row_of(database, key.id))["last_used_at"]

    clock.now += 2
    await ring.authenticate(request(plain))
    assert not ring._used
    clock.now += 60
    await ring.authenticate(request(plain))
    assert ring._used == {key.id}
    await ring.close()

    assert first is not None
    assert (await row_of(database, key.id))["last_used_at"] == first, "another worker's note is not overwritten at once"


async def test_a_refused_use_is_no_use(ring: KeyRing, account: Account, database: Database) -> None:
    key, plain = await ring.create(account.id, KeyTerms("k", disabled=True))

    with pytest.raises((Unauthenticated, Forbidden)):
        await ring.authenticate(request(plain))
    await ring.close()

    assert (await row_of(database, key.id))["last_used_at"] is None
