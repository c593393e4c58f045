"""The story of a chat request: begin, the engine's words, close.

Everything that may refuse happens before status 200 leaves the house (or 15 s have passed). The engine is read by a
task that the application owns, at most 64 KiB ahead of the client; what `next_pieces` gave out counts as delivered, and
closing settles exactly that.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any, Literal

from app.base import log
from app.base.catalogue import Bill, Model, Outcome, Settled
from app.base.errors import ClientGone, InternalError, Refused, Unavailable, UpstreamError, UpstreamTimeout
from app.base.messages import Ask, Delta, Intervention, Json, ToolCallDelta, UpstreamUsage
from app.billing.idempotency import Claim, Replay
from app.turns.forms import CallsPage, JsonPage
from app.turns.house import House
from app.turns.prepare import Ready, call_facts, prepare
from app.turns.prompt import build_prompt
from app.turns.tools import Rounds

READ_AHEAD_MAX = 64 * 1024
"""Characters held for a slow client before the engine is left unread."""
WRITE_MAX = 16 * 1024
"""Characters written at once: they count as delivered also where a slow client keeps them from leaving the house."""
ANSWER_S_MAX = 600.0
FIRST_CONTENT_WAIT_S = 15.0


class Turn:
    """One request between its hold and its settlement.

    Attributes:
        model: whose engine answers: the asked one, or its fallback.
        finish_reason: stop | length | tool_calls, once known.
        settled: the closed charge, once `finish` or `close` is through.
        prompt_tokens, completion_tokens: what is billed, after `count`.
    """

    def __init__(self, ready: Ready, bill: Bill, house: House, started: float, claim: Claim | None) -> None:
        self.ready = ready
        self.model = ready.model
        self.bill = bill
        self.created = int(time.time())
        self.settled: Settled | None = None
        self.finish_reason: str | None = None
        self.prompt_tokens = ready.prompt_tokens
        self.completion_tokens = 0
        self.usage_source: Literal["counted", "upstream"] = "counted"
        self._usage: UpstreamUsage | None = None
        self._first_token_ms: int | None = None
        self._house = house
        self._claim = claim
        self._started = started
        self._prompt = build_prompt(ready, ready.model, bill)
        self._meter = house.tokens.meter(bill.output_tokens)
        self._begin_filters()
        self._buffer: deque[Delta] = deque()
        self._buffered_characters = 0
        self._changed = asyncio.Event()
        self._drained = asyncio.Event()
        self._ended = False
        self._failure: Refused | None = None
        self._delivered: list[str] = []
        self._billed: list[str] = []
        self._delivered_calls: list[ToolCallDelta] = []
        self._reader: asyncio.Task[Any] | None = None
        self._closing: asyncio.Task[None] | None = None

    @property
    def id(self) -> str:
        """The public id of the answer."""
        return f"chatcmpl-{self.bill.charge_id.hex}"

    @property
    def limited_by(self) -> str:
        """What bounded the answer's length: balance | window | default | caller."""
        return self.bill.limited_by or self.ready.quote.limited_by

    @property
    def interventions(self) -> tuple[Intervention, ...]:
        """What the guard changed so far."""
        return tuple(self._guard.interventions) if self._guard is not None else ()

    @property
    def not_checked(self) -> tuple[Json, ...]:
        """What the guard saw and our tools were asked about, and could not judge."""
        seen = self._guard.not_checked if self._guard is not None else ()
        return (*seen, *(self._rounds.not_checked if self._rounds is not None else ()))

    @property
    def calculations(self) -> tuple[Json, ...]:
        """What our tools worked out for the model, beyond what was known before it spoke."""
        return tuple(self._rounds.calculations) if self._rounds is not None else ()

    @property
    def answer(self) -> str:
        """The words delivered so far."""
        return "".join(self._delivered)

    @property
    def tool_calls(self) -> tuple[ToolCallDelta, ...]:
        """The pieces of tool calls delivered so far."""
        return tuple(self._delivered_calls)

    # Reading the engine.

    def start(self) -> None:
        """Begin to read the engine, in a task of the application's."""
        self._reader = self._house.work.start(self._read_stream())

    async def _read_stream(self) -> None:
        try:
            with self._house.work.reading_engine():
                async with asyncio.timeout(ANSWER_S_MAX):
                    while await self._try_stream():
                        pass
        except asyncio.CancelledError:
            self._fail(_stopping())
            raise
        except BaseException as error:
            self._fail(_as_refused(error))
        finally:
            self._ended = True
            self._changed.set()

    async def _try_stream(self) -> bool:
        """Read one engine's answer; True where it failed before its first word and another one is to be asked."""
        stream = self._house.engines.stream(self._prompt, self.model)
        try:
            async for delta in stream:
                self._take(delta if self._rounds is None else self._rounds.hear(delta))
                if self._ended:
                    break
                if self._buffered_characters > READ_AHEAD_MAX:
                    self._drained.clear()
                    await self._drained.wait()
            if not self._ended and await self._goes_on():
                return True
            self._take_last()
            return False
        except (UpstreamError, UpstreamTimeout, Unavailable):
            if not self._turn_to_fallback():
                raise
            return True
        finally:
            await stream.aclose()

    def _begin_filters(self) -> None:
        """What one engine's words go through; another engine begins with fresh ones."""
        facts, stops = self.ready.facts, self.ready.ask.stop
        self._let = self._own_let = 0
        self._guard = self._house.clinic.guard(facts) if facts is not None else None
        form = self.ready.form
        document = form is not None and (form.document is not None or self.model.engine == "builtin")
        self._stops = self._house.engines.stop_filter(stops) if stops and not document else None
        self._page: JsonPage | None = None
        self._calls: CallsPage | None = None
        if form is not None and facts is not None and self._guard is not None and self.model.engine != "builtin":
            second = self._house.clinic.guard(facts)
            self._page = JsonPage(form, self._guard, second, may_be_cut=bool(stops))
        self._rounds: Rounds | None = None
        if self.ready.offer is not None and facts is not None and self.model.tools:
            self._rounds = Rounds(self.ready.offer, facts, self._house.clinic)

    def _turn_to_fallback(self) -> bool:
        """Let the model's fallback answer instead; False where there is none, or words are out already."""
        other = self._house.catalogue.fallback_of(self.model)
        if other is None or self._first_token_ms is not None or not self._can_answer(other):
            return False
        self.model = other
        self._prompt = build_prompt(self.ready, other, self.bill)
        self._usage = self.finish_reason = None
        self._begin_filters()
        return True

    def _can_answer(self, other: Model) -> bool:
        """Whether it can write what `response_format` asks for: the built-in engine has only what was prepared."""
        form = self.ready.form
        return form is None or other.engine != "builtin" or form.prepared is not None

    async def read_whole(self) -> None:
        """Read the whole answer of the engine; for callers who don't stream.

        Raises:
            Refused: the engine failed, or the client left meanwhile; nothing is charged.
        """
        self._reader = asyncio.current_task()
        try:
            with self._house.work.reading_engine():
                async with asyncio.timeout(ANSWER_S_MAX):
                    while await self._try_whole():
                        pass
        except asyncio.CancelledError:
            self._fail(_stopping())
        except BaseException as error:
            self._fail(_as_refused(error))
        self._reader = None
        if self._failure is not None:
            await self.close()
            raise self._failure
        self._note_delivered(self._buffer)
        self._buffer.clear()

    async def _try_whole(self) -> bool:
        """As `_try_stream`, for an answer that comes whole."""
        try:
            delta = await self._house.engines.complete(self._prompt, self.model)
            if self._rounds is not None:
                delta = self._rounds.hear(delta)
            if self._rounds is None or not self._rounds.calls_ours:
                self._take_whole(delta)
                return False
            self._take(delta)
            if not self._ended and await self._goes_on():
                return True
            self._take_last()
        except (UpstreamError, UpstreamTimeout, Unavailable):
            if not self._turn_to_fallback():
                raise
            return True
        return False

    async def _goes_on(self) -> bool:
        """Answer what the engine asked our tools; True where it is to be asked again, with their answers."""
        if self._rounds is None or not self._rounds.calls_ours:
            return False
        room = self.bill.output_tokens - self._meter.count()
        said = self._first_token_ms is not None
        following = await self._rounds.following(self._prompt, self.model, self.finish_reason, room, said=said)
        if following is None:
            if self.finish_reason == "tool_calls" and not self._rounds.calls_callers:
                self.finish_reason = "stop"
            return False
        self.finish_reason = None
        if self._rounds.said.strip():
            held = self._stops.finish() if self._stops is not None else ""
            self._let_out(self._guarded(f"{held}\n\n"))
        self._rounds.begin()
        self._prompt = following
        return not self._ended

    def _take(self, delta: Delta) -> None:
        self._usage = delta.usage or self._usage
        self.finish_reason = delta.finish_reason or self.finish_reason
        if delta.text:
            stopped = False
            text = delta.text
            if self._stops is not None:
                text, stopped = self._stops.feed(text)
            if self._page is not None:
                self._page.feed(text)
            else:
                self._let_out(self._guarded(text))
            if stopped:
                self.finish_reason = "stop"
                self._take_last()
        for call in delta.tool_calls:
            if self._guard is None or self.model.engine == "builtin" or self.ready.facts is None:
                self._put_call(call)
            else:
                if self._calls is None:
                    self._calls = CallsPage(self._guard, self._house.clinic.guard(self.ready.facts))
                self._calls.feed(call)

    def _put_call(self, call: ToolCallDelta) -> None:
        if not self._ended:
            kept = self._meter.feed(call.arguments, call.index)
            self._put(Delta(tool_calls=(replace(call, arguments=kept),)))
            self._end_if_full()

    def _take_whole(self, delta: Delta) -> None:
        """`_take` and `_take_last` of an answer that is one piece: its words are measured once."""
        if self._page is not None or delta.tool_calls:
            self._take(delta)
            self._take_last()
            return
        self._usage, self.finish_reason = delta.usage, delta.finish_reason
        text = delta.text
        if self._stops is not None:
            text, stopped = self._stops.feed(text)
            self.finish_reason = "stop" if stopped else delta.finish_reason
            text += self._stops.finish()
        text = self._guarded(text)
        if self._guard is not None:
            text += self._guard.finish()
        self._let_out(text)
        self._ended = True

    def _take_last(self) -> None:
        """Let out what the filters still hold; after this the answer is whole."""
        if self._ended:
            return
        text = self._stops.finish() if self._stops is not None else ""
        if self._page is not None:
            self._page.feed(text)
            text = self._page.finish(self.finish_reason, calls=self._calls is not None)
        else:
            text = self._guarded(text)
            if self._guard is not None:
                text += self._guard.finish()
        self._let_out(text)
        for call in self._calls.finish() if self._calls is not None else ():
            self._put_call(call)
        self._ended = True

    def _guarded(self, text: str) -> str:
        """What may go out of it now. The built-in engine says only what the records say, and needs no guard."""
        if self._guard is None or self.model.engine == "builtin" or not text:
            return text
        return self._guard.feed(text)

    def _let_out(self, text: str) -> None:
        if not text or self._ended:
            return
        for piece, own in self._parts(text):
            if self._ended:
                return
            kept = piece if own else self._meter.feed(piece)
            if kept:
                self._put(Delta(text=kept, own=own))
            self._end_if_full()

    def _parts(self, text: str) -> Iterator[tuple[str, bool]]:
        """The text in pieces, each with whether it is the guard's own words."""
        start, self._let = self._let, self._let + len(text)
        own: list[tuple[int, int]] = []
        if self._page is not None:
            own = self._page.own_in(text)
        elif self._guard is not None:
            own = [(begin - start, end - start) for begin, end in self._guard.own[self._own_let :]]
            self._own_let += len(own)
        at = 0
        for begin, end in own:
            if begin > at:
                yield text[at:begin], False
            yield text[begin:end], True
            at = end
        if at < len(text):
            yield text[at:], False

    def _end_if_full(self) -> None:
        if self._meter.full:
            self.finish_reason = "length"
            self._ended = True

    def _put(self, delta: Delta) -> None:
        if self._first_token_ms is None:
            self._first_token_ms = self._elapsed_ms()
        self._buffer.append(delta)
        self._buffered_characters += _characters(delta)
        self._changed.set()

    def _fail(self, refused: Refused) -> None:
        self._failure = self._failure or refused

    def _elapsed_ms(self) -> int:
        return round((time.monotonic() - self._started) * 1000)

    # Handing it to the client.

    async def first(self) -> None:
        """Wait for the first content, or 15 s, whichever is first.

        Raises:
            Refused: the engine failed before it; nothing is charged.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(FIRST_CONTENT_WAIT_S):
                await self._something()
        if self._failure is not None and not self._buffer:
            await self.close()
            raise self._failure

    async def _something(self) -> None:
        while not self._buffer and not self._ended:
            self._changed.clear()
            await self._changed.wait()

    async def next_pieces(self) -> list[Delta] | None:
        """What the engine has said since, as far as one write takes; None after the last. It counts as delivered.

        Raises:
            Refused: the engine failed after content was sent, or the client has gone.
        """
        await self._something()
        if isinstance(self._failure, ClientGone):
            raise self._failure
        if self._buffer:
            batch = self._next_batch()
            self._note_delivered(batch)
            return batch
        if self._failure is not None:
            raise self._failure
        return None

    def _next_batch(self) -> list[Delta]:
        batch = [self._buffer.popleft()]
        size = _characters(batch[0])
        while self._buffer and (more := size + _characters(self._buffer[0])) <= WRITE_MAX:
            batch.append(self._buffer.popleft())
            size = more
        self._buffered_characters -= size
        if self._buffered_characters <= READ_AHEAD_MAX:
            self._drained.set()
        return batch

    def _note_delivered(self, batch: Iterable[Delta]) -> None:
        for delta in batch:
            if delta.text:
                self._delivered.append(delta.text)
                if not delta.own:
                    self._billed.append(delta.text)
            self._delivered_calls.extend(delta.tool_calls)

    def client_gone(self) -> None:
        """The client hung up: stop the engine; `close` then settles what was delivered."""
        if self.settled is None and not (self._ended and self._reader is None):
            self._fail(ClientGone())
            self._ended = True
            self._changed.set()
            if self._reader is not None:
                self._reader.cancel()

    # The end.

    def break_off(self, error: BaseException) -> Refused:
        """We end the answer, not the client: `close` then charges nothing. What the caller is to be told."""
        refused = _stopping() if isinstance(error, asyncio.CancelledError) else _as_refused(error)
        self._fail(refused)
        return refused

    async def count(self) -> int:
        """Count what is billed of what was delivered; what it will cost [nano-USD]."""
        ready, usage = self.ready, self._usage
        if self._failure is None and self._ended and not self._buffer:
            self.completion_tokens = self._meter.count()
        else:
            self.completion_tokens = await self._house.tokens.count_answer("".join(self._billed), self.tool_calls)
        if ready.model.meter == "upstream" and usage is not None and self._failure is None:
            self.prompt_tokens, self.completion_tokens = usage.prompt_tokens, usage.completion_tokens
            self.usage_source = "upstream"
        quote = ready.quote
        cost = self.prompt_tokens * quote.input_nano_per_token + self.completion_tokens * quote.output_nano_per_token
        return min(self.bill.hold_nano, cost)

    def sealed(self, answer: bytes) -> bytes | None:
        """The answer as the ledger keeps it for a caller who named an Idempotency-Key; None for the others."""
        return self._claim.seal(answer) if self._claim is not None else None

    async def finish(self, sealed_answer: bytes | None = None) -> Settled:
        """Settle a whole, counted answer; the charge is committed when this returns.

        Raises:
            Refused: the charge was closed by somebody else, or can't be settled; nobody may see `[DONE]`.
        """
        outcome = self._outcome(self.finish_reason or "stop", 200, sealed_answer)
        try:
            self.settled = await self._house.wallet.settle(self.bill, outcome)
        except UpstreamTimeout:
            self.settled = Settled("authorized", 0)  # it expires: `close` may not charge what the caller hears is free
            raise
        if self.settled.state != "settled":
            raise UpstreamTimeout("The answer could not be charged in time and does not count; send it again.")
        return self.settled

    async def close(self) -> None:
        """End the turn whatever happened: stop the engine, settle what was delivered or void the hold. Safe twice."""
        if self._closing is None:
            self._closing = self._house.work.start(self._close())
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        reader = self._reader
        if reader is not None and not reader.done():
            reader.cancel()
            await asyncio.wait({reader})
        if self.settled is not None:
            return
        failure = self._failure
        gone = failure is None or isinstance(failure, ClientGone)
        if gone and (self._delivered or self._delivered_calls):
            await self.count()
            self.settled = await self._house.wallet.settle(self.bill, self._outcome("client_gone", 200))
            return
        reason = "client_gone" if failure is None else (failure.code or failure.type)
        status = ClientGone.status if failure is None else failure.status
        self.settled = await self._house.wallet.void(self.bill, self._outcome(reason, status))

    def _outcome(self, close_reason: str, http_status: int, sealed_answer: bytes | None = None) -> Outcome:
        interventions = self.interventions
        return Outcome(
            prompt_tokens=self.prompt_tokens,
            completion_tokens=self.completion_tokens,
            usage_source=self.usage_source,
            close_reason=close_reason,
            http_status=http_status,
            first_token_ms=self._first_token_ms,
            duration_ms=self._elapsed_ms(),
            interventions=len(interventions),
            rules=tuple(intervention.rule for intervention in interventions),
            sealed_answer=sealed_answer,
        )


def _characters(delta: Delta) -> int:
    return len(delta.text) + sum(len(call.arguments) for call in delta.tool_calls)


def _stopping() -> Refused:
    return Unavailable("The service is stopping; send the request again.", retry_after_s=5)


def _as_refused(error: BaseException) -> Refused:
    """What the caller is told when reading the engine ends badly."""
    if isinstance(error, Refused):
        return error
    if isinstance(error, TimeoutError):
        return UpstreamTimeout("The answer took longer than 600 s and was stopped; nothing was charged.")
    log.error("turn failed", **log.where(error))
    return InternalError("The answer could not be checked and was stopped; nothing was charged.")


async def begin(ask: Ask, house: House, started: float, claim: Claim | None = None) -> Turn | Replay:
    """Do everything that may refuse before the engine is asked, ending with the hold.

    Args:
        started: `time.monotonic()` when the request came in [s].
        claim: of the caller's Idempotency-Key; a call settled under it before gives its Replay.
    """
    ready = await prepare(ask, house)
    bill = await house.wallet.hold(ask.caller, ready.quote, call_facts(ready), claim)
    return bill if isinstance(bill, Replay) else Turn(ready, bill, house, started, claim)
