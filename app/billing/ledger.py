"""The wallet: money is held before a call and settled or given back after it, exactly, by all workers at once.

One statement decides, the database enforces, nothing is edited afterwards. Callers queue for a group commit: one
statement and one commit for everyone who waited.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Coroutine, Sequence
from functools import partial
from typing import Any, Literal, overload
from uuid import UUID, uuid4

import asyncpg
import msgspec

from app.base import log
from app.base.catalogue import Bill, CallFacts, Outcome, Quote, Settled
from app.base.errors import (
    IdempotencyInProgress,
    IdempotencyKeyReused,
    NotFound,
    Refused,
    Unavailable,
    UpstreamTimeout,
    WalletTooLow,
)
from app.base.messages import Caller
from app.base.money import TOKENS_MAX
from app.base.record import record
from app.billing import statements
from app.billing.idempotency import Claim, Replay
from app.storage.engine import Database
from app.storage.group_commit import GroupCommit, repeated

RENEW_EVERY_S = 20.0
SWEEP_EVERY_S = 5.0
SWEEP_SIZE = 500
INSIST_S = 6.5
"""No settlement is begun anew after this; the last attempt is then over, either way, within 10 s of the first."""

OPEN_S_MAX = 660.0
"""No lease is renewed for longer: a stream lasts at most 600 s, so whatever is older was forgotten."""

HOLD_RETRY_AFTER_S = 3

_Row = tuple[Any, ...]


@record(frozen=True, slots=True)
class Balance:
    """What a wallet has.

    Attributes:
        low_balance_threshold_nano: below it the owner wants to know, or None.
    """

    balance_nano: int
    held_nano: int
    low_balance_threshold_nano: int | None = None

    @property
    def available_nano(self) -> int:
        """What a new call may hold."""
        return self.balance_nano - self.held_nano


@record(frozen=True, slots=True)
class Deposit:
    """Money that came in; `added` is False where its reference had come in before."""

    entry_id: int
    added: bool
    balance_nano: int


@record(frozen=True, slots=True)
class _Refusal:
    """Why one member of a batch was not granted."""

    balance_nano: int
    free_nano: int
    limit_kind: str | None
    allowed_nano: int | None
    room_nano: int | None


class Wallet:
    """All accounts' money, as one worker sees it.

    `start()` renews this worker's leases and sweeps what vanished workers left; `close()` commits what is queued.
    """

    def __init__(self, database: Database, worker_id: str | None = None) -> None:
        self._database = database
        self._worker_id = worker_id or f"{socket.gethostname()[:40]}-{os.getpid()}-{uuid4().hex[:8]}"
        self._open: dict[UUID, float] = {}
        self._holds: GroupCommit[_Row, int | _Refusal] = GroupCommit(
            database, self._authorize, abandoned=self._abandoned
        )
        self._closes: GroupCommit[_Row, Settled | None] = GroupCommit(database, self._close, insist_s=INSIST_S)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._claims: set[asyncio.Task[Any]] = set()

    # Holding money.

    @overload
    async def hold(self, caller: Caller, quote: Quote, facts: CallFacts) -> Bill: ...

    @overload
    async def hold(self, caller: Caller, quote: Quote, facts: CallFacts, claim: Claim | None) -> Bill | Replay: ...

    async def hold(self, caller: Caller, quote: Quote, facts: CallFacts, claim: Claim | None = None) -> Bill | Replay:
        """Set the most a call can cost aside; committed when this returns.

        Args:
            claim: of the caller's Idempotency-Key. A call that was settled under it gives its Replay instead of a Bill.

        Raises:
            WalletTooLow: names the largest max_tokens that would fit.
            IdempotencyInProgress, IdempotencyKeyReused: another call has the key.
            Unavailable: database_unavailable.
        """
        charge_id = _time_ordered_id()
        row = (
            charge_id,
            caller.account_id,
            caller.allowance_id,
            quote.input_nano_per_token,
            quote.output_nano_per_token,
            quote.prompt_tokens,
            quote.output_tokens,
            quote.least_tokens,
            (
                facts.model,
                facts.engine,
                facts.upstream,
                facts.api_key_id,
                facts.user_id,
                facts.user_id_source,
                facts.app_source,
                facts.species,
                facts.image_tokens,
                facts.num_images,
            ),
        )
        if claim is not None:
            claimed = await self._hold_claimed(claim, row)
            if isinstance(claimed, Replay):
                return claimed
            answer = claimed
        else:
            try:
                answer = await self._holds.submit(row)
            except Unavailable:
                self._give_back(charge_id)  # it may have been granted before the line broke
                raise
        if isinstance(answer, _Refusal):
            raise _too_low(quote, answer)
        self._open[charge_id] = time.monotonic()
        price = quote.output_nano_per_token
        tokens = (answer - quote.prompt_tokens * quote.input_nano_per_token) // price if price else quote.output_tokens
        return Bill(
            charge_id,
            caller.account_id,
            quote,
            answer,
            tokens,
            "balance" if tokens < quote.output_tokens else None,
            caller.allowance_id,
            claim is not None,
        )

    async def _authorize(self, connection: Any, rows: list[_Row]) -> list[int | _Refusal]:
        if len(rows) == 1 and (taken := await self._authorize_alone(connection, rows[0])) is not None:
            return [taken]
        answers: dict[int, int | _Refusal] = {}
        left = list(enumerate(rows))
        while left:
            columns = _columns([row for _, row in left])
            ask = partial(connection.fetch, statements.AUTHORIZE, self._worker_id, *columns)
            # Outside a transaction each round is a commit of its own: only the one that was broken off may be repeated.
            found = await (ask() if connection.is_in_transaction() else repeated(ask))
            again = {record[0] for record in found if not record[1] and not record[2]}
            for n, granted, refused, take, balance, free, kind, allowed, room in found:
                if granted:
                    answers[left[n - 1][0]] = take
                elif refused:
                    answers[left[n - 1][0]] = _Refusal(balance, free, kind, allowed, room)
            left = [member for n, member in enumerate(left, 1) if n in again]
        return [answers.get(n, _NOBODY) for n in range(len(rows))]

    async def _authorize_alone(self, connection: Any, row: _Row) -> int | None:
        id_, account_id, allowance_id, price_in, price_out, prompt, wanted, _, facts = row
        if allowance_id is not None:
            return None
        most = prompt * price_in + wanted * price_out
        taken: int | None = await connection.fetchval(
            statements.AUTHORIZE_ONE, self._worker_id, id_, account_id, most, price_in, price_out, prompt, *facts
        )
        return taken

    async def _hold_claimed(self, claim: Claim, row: _Row) -> int | _Refusal | Replay:
        charge_id, account_id = row[0], row[1]

        async def attempt() -> int | _Refusal | Replay:
            async with self._database.connection() as connection, connection.transaction():
                taken = await connection.fetchval(
                    statements.CLAIM, account_id, claim.key_digest, claim.fingerprint, charge_id
                )
                if taken is None:
                    return await _other_call(connection, account_id, claim)
                answer = (await self._authorize(connection, [row]))[0]
                if isinstance(answer, _Refusal):
                    raise _RolledBack(answer)
            return answer

        async def claimed() -> int | _Refusal | Replay:
            try:
                return await repeated(attempt)
            except _RolledBack as refused:
                return refused.refusal
            except Unavailable:
                self._give_back(charge_id)  # it may have been granted all the same
                raise

        # Cut short in its COMMIT it might be granted after we looked, so it runs to its end whoever leaves.
        task = asyncio.create_task(claimed())
        self._claims.add(task)
        task.add_done_callback(self._claims.discard)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(partial(self._claimed_for_nobody, row))
            raise

    def _claimed_for_nobody(self, row: _Row, task: asyncio.Task[int | _Refusal | Replay]) -> None:
        if not task.cancelled() and task.exception() is None and isinstance(task.result(), int):
            self._give_back(row[0])

    def _abandoned(self, row: _Row, answer: int | _Refusal) -> None:
        if not isinstance(answer, _Refusal):
            self._give_back(row[0])

    def _give_back(self, charge_id: UUID) -> None:
        """Void a hold that nobody will use, if it was granted at all."""
        ending = ("voided", "counted", "client_gone", 499, 0, "")
        self._closes.submit((None, True, charge_id, 0, 0, None, None, ending))

    # Closing charges.

    async def settle(self, bill: Bill, outcome: Outcome) -> Settled:
        """Charge what was delivered, at most what was held; committed when this returns. Safe to repeat.

        Returns:
            The closed charge. `state` other than settled means that somebody else closed it: nothing was charged, and
            nobody may be shown the end of the answer.

        Raises:
            UpstreamTimeout: it couldn't be committed within 10 s; unless that was only the answer's loss, the hold
                expires and nothing is charged.
        """
        return await self._end(bill, outcome, "settled")

    async def void(self, bill: Bill, outcome: Outcome) -> Settled:
        """Give the hold back and charge nothing. Safe to repeat.

        Returns:
            The closed charge; state `authorized` where the database didn't answer within 10 s, then the hold expires.
        """
        try:
            return await self._end(bill, outcome, "voided")
        except UpstreamTimeout:
            return Settled("authorized", 0)

    async def _end(self, bill: Bill, outcome: Outcome, state: str) -> Settled:
        assert 0 <= outcome.prompt_tokens <= TOKENS_MAX
        assert 0 <= outcome.completion_tokens <= TOKENS_MAX
        row = (
            outcome.sealed_answer if bill.idempotent else None,
            bill.idempotent and state == "voided",
            bill.charge_id,
            outcome.prompt_tokens,
            outcome.completion_tokens,
            outcome.first_token_ms,
            outcome.duration_ms,
            (
                state,
                outcome.usage_source,
                outcome.close_reason,
                outcome.http_status,
                outcome.interventions,
                "\n".join(outcome.rules),
            ),
        )
        try:
            closed = await self._closes.submit(row)
        except Unavailable as error:
            raise UpstreamTimeout(
                "The answer could not be charged in time and does not count; send the request again."
            ) from error
        finally:
            self._open.pop(bill.charge_id, None)
        if closed is None:
            log.error("charge is missing", charge_id=bill.charge_id.hex)
            return Settled("expired", 0)
        return closed

    async def _close(self, connection: Any, rows: list[_Row]) -> list[Settled | None]:
        columns = _columns([row[2:] for row in rows])
        ids = [row[2] for row in rows]
        if any(row[0] is not None or row[1] for row in rows):
            async with connection.transaction():
                sealed = [(row[2], row[0]) for row in rows if row[0] is not None]
                if sealed:
                    await connection.execute(statements.SEAL, *(list(column) for column in zip(*sealed, strict=True)))
                await connection.execute(statements.UNCLAIM, [row[2] for row in rows if row[1]])
                found = await connection.fetch(statements.CLOSE, *columns)
        else:
            found = await connection.fetch(statements.CLOSE, *columns)
        closed: dict[UUID, Settled] = {}
        for id_, state, charged, overrun, balance in found:
            closed[id_] = Settled(state, charged, balance)
            if overrun:
                log.error("charge above its hold", charge_id=id_.hex, overrun_nano=overrun)
        missing = [id_ for id_ in ids if id_ not in closed]
        if missing:
            before = "SELECT id, state::text, charged_nano FROM charge WHERE id = ANY ($1)"
            for id_, state, charged in await connection.fetch(before, missing):
                closed[id_] = Settled(state, charged)
        return [closed.get(id_) for id_ in ids]

    # Money in, and what there is.

    async def balance(self, account_id: int) -> Balance:
        """What an account has.

        Raises:
            NotFound: no such customer.
        """
        async with self._database.connection() as connection:
            row = await connection.fetchrow(
                "SELECT balance_nano, held_nano, low_balance_threshold_nano FROM account "
                "WHERE id = $1 AND kind = 'customer'",
                account_id,
            )
        if row is None:
            raise NotFound("There is no such account.")
        return Balance(*row)

    async def deposit(
        self,
        account_id: int,
        nano: int,
        external_ref: str | None = None,
        kind: Literal["topup", "refund", "adjust"] = "topup",
    ) -> Deposit:
        """Add money to an account.

        Args:
            external_ref: the payment's id; the same one again adds nothing.

        Raises:
            NotFound: no such customer.
            IdempotencyKeyReused: the reference belongs to another payment.
        """
        assert nano > 0
        async with self._database.connection() as connection:
            try:
                row = await connection.fetchrow(statements.DEPOSIT, account_id, nano, kind, external_ref)
            except asyncpg.UniqueViolationError:
                row = await connection.fetchrow(
                    "SELECT e.id, a.balance_nano, e.credit_account = $2 AND e.amount_nano = $3 AND e.kind = $4 AS same "
                    "FROM entry e, account a WHERE e.external_ref = $1 AND a.id = $2",
                    external_ref,
                    account_id,
                    nano,
                    kind,
                )
                if row is None or not row["same"]:
                    raise IdempotencyKeyReused(
                        "This reference belongs to another payment; give each payment its own."
                    ) from None
                return Deposit(row["id"], False, row["balance_nano"])
        if row is None:
            raise NotFound("There is no such account.")
        return Deposit(row["id"], True, row["balance_nano"])

    # Leases.

    async def renew(self) -> None:
        """Keep the holds of this worker's running calls from expiring."""
        now = time.monotonic()
        for charge_id, since in list(self._open.items()):
            if now - since > OPEN_S_MAX:
                del self._open[charge_id]
        if self._open:
            async with self._database.connection() as connection:
                await connection.execute(statements.RENEW, list(self._open))

    async def sweep(self) -> int:
        """Give back what vanished workers held, and forget idempotency keys of yesterday; how many holds expired."""
        expired = 0
        async with self._database.connection() as connection:
            while True:
                count = await repeated(partial(connection.fetchval, statements.EXPIRE, SWEEP_SIZE))
                expired += int(count)
                if count < SWEEP_SIZE:
                    break
            await connection.execute(statements.FORGET_CLAIMS, SWEEP_SIZE)
        if expired:
            log.warning("holds expired", count=expired)
        return expired

    def start(self) -> None:
        """Renew and sweep in the background until `close`; the first sweep at once."""
        self._start(_repeat(self.sweep, SWEEP_EVERY_S))
        self._start(_repeat(self.renew, RENEW_EVERY_S, wait_first=True))

    def _start(self, job: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(job)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Commit what is queued and hang up. Whatever is still open then expires."""
        await asyncio.gather(*self._claims, return_exceptions=True)
        await self._holds.close()
        await self._closes.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


_NOBODY = _Refusal(0, 0, None, None, None)


class _RolledBack(Exception):
    """Carries a refusal out of a transaction that must not commit."""

    def __init__(self, refusal: _Refusal) -> None:
        self.refusal = refusal


async def _other_call(connection: Any, account_id: int, claim: Claim) -> Replay:
    row = await connection.fetchrow(statements.CLAIMED_BY, account_id, claim.key_digest)
    if row is not None and row["fingerprint"] != claim.fingerprint:
        raise IdempotencyKeyReused(
            "This Idempotency-Key was used with another request; use a new key, or send the same request."
        )
    if row is None or row["state"] != "settled":
        raise IdempotencyInProgress(
            "A call with this Idempotency-Key is still running; ask again in a few seconds.",
            retry_after_s=HOLD_RETRY_AFTER_S,
        )
    if row["sealed_answer"] is None:
        raise IdempotencyKeyReused(
            "The call with this Idempotency-Key was broken off by its client and charged as far as it went; "
            "use a new key for a new answer."
        )
    return Replay(row["charge_id"], claim.open(row["sealed_answer"]))


def _too_low(quote: Quote, refusal: _Refusal) -> Refused:
    need = quote.least_nano
    room = refusal.room_nano
    by_limit = refusal.free_nano >= need and room is not None and room < need
    available = min(refusal.free_nano, room) if room is not None else refusal.free_nano
    in_the_way = (refusal.allowed_nano or 0) >= need if by_limit else refusal.balance_nano >= need
    left = available - quote.prompt_tokens * quote.input_nano_per_token
    price = quote.output_nano_per_token
    return WalletTooLow(
        available_nano=max(0, available),
        required_nano=need,
        affordable_max_tokens=max(0, left // price) if price else 0,
        limit_source=(refusal.limit_kind or "key") if by_limit else "account",
        own_holds_in_the_way=in_the_way,
    )


def _columns(rows: list[_Row]) -> list[Any]:
    """Rows as a statement's arrays: the first columns as text; the last, a tuple each, once for all who share it."""
    *numbers, shared = zip(*rows, strict=True)
    places: dict[_Row, int] = {}
    at = [places.setdefault(values, len(places) + 1) for values in shared]
    ids, *others = numbers
    return [
        f"{{{','.join([id_.hex for id_ in ids])}}}",
        *(_array(column) for column in others),
        _array(at),
        *(list(column) for column in zip(*places, strict=True)),
    ]


def _array(numbers: Sequence[int | None]) -> str:
    return f"{{{msgspec.json.encode(numbers).decode()[1:-1]}}}"


def _time_ordered_id() -> UUID:
    """A random UUID whose first bits are the time (version 7), so that new rows lie side by side in the index."""
    random = int.from_bytes(os.urandom(10))
    value = (time.time_ns() // 1_000_000 & (1 << 48) - 1) << 80 | random
    return UUID(int=value & ~(0xF << 76) & ~(0x3 << 62) | 0x7 << 76 | 0x2 << 62)


async def _repeat(job: Any, every_s: float, *, wait_first: bool = False) -> None:
    if wait_first:
        await asyncio.sleep(every_s)
    while True:
        try:
            await job()
        except Unavailable:
            pass  # the next round finds the database again
        except Exception as error:
            log.error("upkeep failed", **log.where(error))
        await asyncio.sleep(every_s)
