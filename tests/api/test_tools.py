"""Our tools inside a turn, over a real socket: a scripted model calls them, the caller sees and pays the answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import openai
import pytest

from app.billing.reconcile import reconcile
from tests.api.conftest import Account, Service
from tests.api.test_chat import PRICE, events, nothing_held, requests
from tests.engines.upstreams import DONE, ROLE, Exchange, Server, event, serving

QUESTION = "My 12 kg dog has arthritis. What would you give?"
DOSE = ("dose", {"drug": "meloxicam", "route": "PO"})
MINE = {"type": "function", "function": {"name": "book", "parameters": {"type": "object"}}}
BOOK = ("book", {"day": "monday"})
WALLET = 5_000_000_000

Call = tuple[str, Any]
Reply = tuple[str, Sequence[Call], str]


def said(text: str) -> Reply:
    """A round in which the model answers."""
    return text, (), "stop"


def called(*calls: Call, text: str = "", reason: str = "tool_calls") -> Reply:
    """A round in which it calls tools."""
    return text, calls, reason


def _arguments(given: Any) -> str:
    return given if isinstance(given, str) else json.dumps(given)


def scripted(*replies: Reply | str) -> Callable[[Exchange], Any]:
    """An upstream that gives these replies one after another, the last one for ever; a string is a failure."""
    left = list(replies)

    async def behave(exchange: Exchange) -> None:
        if exchange.head.startswith("GET"):
            await exchange.answer(b'{"object":"list","data":[{"id":"plain","object":"model"}]}')
            return
        reply = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(reply, str):
            if reply == "hangs":
                await exchange.reader.read()
            elif reply == "cut" and exchange.json["stream"]:
                await exchange.sse(ROLE, _words("Half an "), end=False)
                exchange.reset()
            else:
                await exchange.answer(b"{}", status="500 Oops")
        elif exchange.json["stream"]:
            await exchange.sse(*_streamed(*reply))
        else:
            await exchange.answer(_whole(*reply))

    return behave


def _words(text: str) -> bytes:
    return event({"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]})


def _streamed(text: str, calls: Sequence[Call], reason: str) -> list[bytes]:
    pieces = [ROLE, *(_words(text[at : at + 5]) for at in range(0, len(text), 5))]
    for index, (name, given) in enumerate(calls):
        arguments = _arguments(given)
        name_of_call = None if reason == "stop" else f"call_{index}"
        head = {"index": index, "id": name_of_call, "type": "function", "function": {"name": name, "arguments": ""}}
        parts = [head] + [
            {"index": index, "function": {"arguments": arguments[at : at + 7]}} for at in range(0, len(arguments), 7)
        ]
        pieces += [event({"choices": [{"index": 0, "delta": {"tool_calls": [part]}}]}) for part in parts]
    return [*pieces, event({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}), DONE]


def _whole(text: str, calls: Sequence[Call], reason: str) -> bytes:
    rows = [
        {
            **({} if reason == "stop" else {"id": f"call_{index}"}),
            "type": "function",
            "function": {"name": name, "arguments": _arguments(given)},
        }
        for index, (name, given) in enumerate(calls)
    ]
    message = {"role": "assistant", "content": text or None, **({"tool_calls": rows} if rows else {})}
    return json.dumps({"choices": [{"index": 0, "message": message, "finish_reason": reason}]}).encode()


def posted(upstream: Server) -> list[Any]:
    """The bodies that a model was sent."""
    return [one.json for one in upstream.exchanges if one.head.startswith("POST")]


class Talk:
    """A service on a scripted model, an account, and what its last answer was."""

    def __init__(self, service: Service, account: Account, upstream: Server) -> None:
        self.service = service
        self.account = account
        self.upstream = upstream
        self.text = ""
        self.calls: list[Any] = []
        self.reason = ""
        self.vetx: Any = {}
        self.usage: Any = {}
        self.raw = ""
        self.error: Any = None

    async def ask(self, words: str = QUESTION, *, stream: bool, **fields: Any) -> None:
        """Ask, and take the answer apart."""
        more = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
        response = await self.service.chat(self.account, words, **more, **fields)
        self.raw, self.error = response.text, None
        if response.status_code != 200:
            self.error = (response.status_code, response.json()["error"])
            return
        if not stream:
            answer = response.json()
            message = answer["choices"][0]["message"]
            self.text, self.calls = message["content"] or "", message.get("tool_calls", [])
            self.reason, self.vetx = answer["choices"][0]["finish_reason"], answer["vetx"]
            self.usage = answer["usage"]
            return
        self.text, self.calls = "", []
        for one in events(response.text):
            if one == "[DONE]":
                continue
            if "error" in one:
                self.error = (200, one["error"])
                continue
            self.vetx, self.usage = one.get("vetx", self.vetx), one.get("usage") or self.usage
            for choice in one["choices"]:
                self.text += choice["delta"].get("content") or ""
                self.calls += choice["delta"].get("tool_calls") or []
                self.reason = choice["finish_reason"] or self.reason

    @property
    def sent(self) -> list[Any]:
        """The bodies that the model was sent."""
        return posted(self.upstream)

    def results(self) -> list[Any]:
        """What our tools told the model last."""
        return [json.loads(one["content"]) for one in self.sent[-1]["messages"] if one["role"] == "tool"]

    async def paid(self) -> int:
        """What has been charged [nano-USD]; the books add up."""
        balance = await nothing_held(self.service, self.account)
        assert await reconcile(self.service.house.database) == []
        return WALLET - balance

    def cost(self, words: str, text: str) -> int:
        """What a question costs whose answer is `text` [nano-USD]."""
        count = self.service.house.tokens.count
        return (count(words) + count(text)) * PRICE


@pytest.fixture
def talking(running_with: Callable[..., Any]) -> Callable[..., Any]:
    """`async with talking(*replies) as talk`; a model that can call tools."""

    @asynccontextmanager
    async def started(*replies: Reply | str, **settings: Any) -> AsyncIterator[Talk]:
        async with (
            serving(scripted(*replies)) as upstream,
            running_with(**{"upstream_url": upstream.url, "upstream_tools": True, **settings}) as service,
        ):
            yield Talk(service, await service.account(), upstream)

    return started


BOTH = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


@BOTH
async def test_a_model_calls_our_tool_and_answers_with_its_figures(talking: Callable[..., Any], stream: bool) -> None:
    answer = "Meloxicam 0.2 mg/kg by mouth on the first day, 2.4 mg for this dog, then 0.1 mg/kg once a day."
    async with talking(called(DOSE), said(answer)) as talk:
        await talk.ask(stream=stream)
        first, second = talk.sent
        paid = await talk.paid()

    assert [tool["function"]["name"] for tool in first["tools"]] == ["dose", "exposure", "labs", "calculate", "check"]
    assert "tool_choice" not in first
    assert first["messages"] == second["messages"][: len(first["messages"])]
    asked, result = second["messages"][len(first["messages"]) :]
    assert asked["role"] == "assistant"
    assert asked["tool_calls"][0]["function"] == {"name": "dose", "arguments": json.dumps(DOSE[1])}
    assert (result["role"], result["tool_call_id"]) == ("tool", asked["tool_calls"][0]["id"])
    told = json.loads(result["content"])
    assert told["patient"] == {"species": "dog", "weight_kg": 12}
    assert {row["amount"]["min"] for row in told["doses"]} == {2.4, 1.2}
    assert (talk.text, talk.calls, talk.reason) == (answer, [], "stop")
    assert "tool_calls" not in talk.raw
    (row,) = [row for row in talk.vetx["calculations"] if row["name"] == "dose"]
    assert {one["amount"]["min"] for one in row["result"]} == {2.4, 1.2}
    assert row["sources"]
    assert paid == talk.cost(QUESTION, answer)
    assert talk.usage["completion_tokens"] == talk.service.house.tokens.count(answer)


@BOTH
async def test_a_server_that_gives_calls_no_ids_and_says_stop_is_understood(
    talking: Callable[..., Any], stream: bool
) -> None:
    async with talking(called(DOSE, ("dose", {"drug": "carprofen"}), reason="stop"), said("Done.")) as talk:
        await talk.ask(stream=stream)
        asked, *results = talk.sent[1]["messages"][-3:]

    names = [call["id"] for call in asked["tool_calls"]]
    assert len(set(names)) == 2
    assert [result["tool_call_id"] for result in results] == names
    assert ["meloxicam" in results[0]["content"], "carprofen" in results[1]["content"]] == [True, True]
    assert (talk.text, talk.calls) == ("Done.", [])


@BOTH
async def test_every_tool_answers_and_its_figures_are_listed(talking: Callable[..., Any], stream: bool) -> None:
    calls = (
        DOSE,
        ("exposure", {"exposures": [{"substance": "dark chocolate", "amount": {"value": 200, "unit": "g"}}]}),
        ("labs", {"analytes": [{"name": "creatinine", "value": 3.1, "unit": "mg/dL"}]}),
        ("calculate", {"calculator": "energy", "inputs": {}}),
        ("check", {"drugs": ["prednisolone 5 mg PO BID", "carprofen 25 mg BID"]}),
    )
    async with talking(called(*calls), said("Done.")) as talk:
        await talk.ask(stream=stream)
        dose, exposure, labs, energy, check = talk.results()
        paid = await talk.paid()

    assert dose["drug"] == "meloxicam"
    assert exposure["dose"] == {"value": 93.33, "unit": "mg/kg"}
    assert labs["results"][0]["flag"] == "H"
    assert energy["result"] == {"value": 451.319, "unit": "kcal/day"}
    assert check["findings"][0]["severity"] == "absolute"
    missing = talk.vetx["safety"]["not_checked"]
    assert {"nsaid-pregnant", "corticosteroid-pregnant"} <= {row.get("rule") for row in missing}
    assert len({json.dumps(row) for row in missing}) == len(missing)
    names = [row["name"] for row in talk.vetx["calculations"]]
    assert names[:3] == ["dose", "exposure", "labs"]
    assert {"Resting and maintenance energy", "check"} <= set(names)
    assert all(row["sources"] for row in talk.vetx["calculations"])
    assert paid == talk.cost(QUESTION, "Done.")


@BOTH
async def test_a_call_of_the_callers_own_tool_ends_the_turn_and_goes_out_untouched(
    talking: Callable[..., Any], stream: bool
) -> None:
    async with talking(called(BOOK)) as talk:
        await talk.ask(stream=stream, tools=[MINE])
        (sent,) = talk.sent
        paid = await talk.paid()

    assert sent["tools"][0] == MINE
    assert len(sent["tools"]) == 6
    assert talk.reason == "tool_calls"
    assert talk.calls[0]["id"] == "call_0"
    assert talk.calls[0]["function"]["name"] == "book"
    arguments = "".join(call["function"]["arguments"] for call in talk.calls)
    assert arguments == _arguments(BOOK[1])
    assert paid == talk.cost(QUESTION, arguments) + talk.service.house.tokens.count(json.dumps(
        [MINE], separators=(",", ":"))) * PRICE  # fmt: skip


@BOTH
async def test_of_a_mixture_ours_is_run_and_the_callers_goes_out_alone(
    talking: Callable[..., Any], stream: bool
) -> None:
    async with talking(called(DOSE, BOOK, text="One moment.")) as talk:
        await talk.ask(stream=stream, tools=[MINE])
        assert len(talk.sent) == 1
        await talk.paid()

    assert talk.text == "One moment."
    assert talk.reason == "tool_calls"
    assert {call["function"].get("name") for call in talk.calls} - {None} == {"book"}
    assert {call.get("index", 0) for call in talk.calls} == {0}
    assert "".join(call["function"]["arguments"] for call in talk.calls) == _arguments(BOOK[1])
    assert [row["name"] for row in talk.vetx["calculations"]] == ["dose"]


@BOTH
async def test_ours_then_the_callers_in_the_next_round(talking: Callable[..., Any], stream: bool) -> None:
    async with talking(called(DOSE), called(BOOK)) as talk:
        await talk.ask(stream=stream, tools=[MINE])
        assert len(talk.sent) == 2
        await talk.paid()

    assert talk.reason == "tool_calls"
    assert {call["function"].get("name") for call in talk.calls} - {None} == {"book"}
    assert talk.vetx["calculations"]


@BOTH
async def test_a_tool_of_the_callers_has_its_name_even_where_ours_has_it_too(
    talking: Callable[..., Any], stream: bool
) -> None:
    mine = {"type": "function", "function": {"name": "dose", "parameters": {"type": "object"}}}
    async with talking(called(DOSE)) as talk:
        await talk.ask(stream=stream, tools=[mine])
        names = [tool["function"]["name"] for tool in talk.sent[0]["tools"]]

    assert names == ["dose", "exposure", "labs", "calculate", "check"]
    assert talk.sent[0]["tools"][0] == mine
    assert talk.calls[0]["function"]["name"] == "dose"
    assert talk.vetx["calculations"] == []


WRONG: dict[str, Call] = {
    "not JSON": ("dose", '{"drug": '),
    "one JSON object": ("dose", "[1]"),
    "drug": ("dose", {"drug": 7}),
    "weight": ("dose", {"drug": "meloxicam", "patient": {"weight": {"value": -3, "unit": "kg"}}}),
    "Name the drug": ("dose", {}),
    "No calculator": ("calculate", {"calculator": "astrology"}),
    "no tool of that name": ("diagnose", {"text": "x"}),
    "secret_field": ("check", {"drugs": ["x"], "secret_field": 1}),
}


@BOTH
async def test_calls_that_cannot_be_answered_are_told_so_and_the_model_may_mend_them(
    talking: Callable[..., Any], stream: bool
) -> None:
    async with talking(called(*WRONG.values()), called(DOSE), said("2.4 mg on the first day.")) as talk:
        await talk.ask(stream=stream)
        *wrong, right = talk.results()
        paid = await talk.paid()

    for told, result in zip(WRONG, wrong, strict=True):
        assert told in result["error"]
    assert right["drug"] == "meloxicam"
    assert (talk.text, talk.calls, talk.reason) == ("2.4 mg on the first day.", [], "stop")
    assert [row["name"] for row in talk.vetx["calculations"]] == ["dose"]
    assert paid == talk.cost(QUESTION, talk.text)


@BOTH
async def test_after_four_rounds_the_model_has_to_answer(talking: Callable[..., Any], stream: bool) -> None:
    async with talking(called(DOSE), called(DOSE), called(DOSE), called(DOSE), said("Enough.")) as talk:
        await talk.ask(stream=stream)
        paid = await talk.paid()
        choices = [body.get("tool_choice") for body in talk.sent]

    assert choices == [None, None, None, None, "none"]
    assert talk.text == "Enough."
    assert len(talk.vetx["calculations"]) == 1
    assert paid == talk.cost(QUESTION, "Enough.")


@BOTH
async def test_in_the_last_round_only_the_callers_tools_are_left(talking: Callable[..., Any], stream: bool) -> None:
    async with talking(called(DOSE), called(DOSE), called(DOSE), called(DOSE), called(BOOK)) as talk:
        await talk.ask(stream=stream, tools=[MINE])

    assert talk.sent[-1]["tools"] == [MINE]
    assert "tool_choice" not in talk.sent[-1]
    assert talk.calls[0]["function"]["name"] == "book"


@BOTH
async def test_a_model_that_never_stops_calling_is_an_error_and_free(talking: Callable[..., Any], stream: bool) -> None:
    async with talking(called(DOSE)) as talk:
        await talk.ask(stream=stream)
        assert len(talk.sent) == 5
        assert await talk.paid() == 0
        (row,) = await requests(talk.service, talk.account)

    assert talk.error[0] == 502
    assert "kept calling tools" in talk.error[1]["message"]
    assert row["status"] == "voided"


@BOTH
async def test_what_it_said_beside_its_calls_is_the_answer_where_it_never_stops(
    talking: Callable[..., Any], stream: bool
) -> None:
    async with talking(called(DOSE), called(DOSE), called(DOSE), called(DOSE), called(DOSE, text="So much")) as talk:
        await talk.ask(stream=stream)
        paid = await talk.paid()

    assert (talk.text, talk.calls, talk.reason) == ("So much", [], "stop")
    assert paid == talk.cost(QUESTION, "So much")


@BOTH
async def test_words_before_a_call_go_out_and_stand_apart_from_those_after(
    talking: Callable[..., Any], stream: bool
) -> None:
    async with talking(called(DOSE, text="Let me look that up."), said("2.4 mg on the first day.")) as talk:
        await talk.ask(stream=stream, stop=["\n\n"])
        paid = await talk.paid()

    assert talk.text == "Let me look that up.\n\n2.4 mg on the first day."
    assert talk.sent[1]["messages"][-2]["content"] == "Let me look that up."
    assert paid == talk.cost(QUESTION, talk.text)


@BOTH
async def test_the_guard_reads_every_round(talking: Callable[..., Any], stream: bool) -> None:
    bad = "Give your cat 500 mg of paracetamol every 6 hours."
    call = ("check", {"drugs": ["paracetamol"]})
    async with talking(called(call, text=bad), said(f"I see. {bad} Keep her warm.")) as talk:
        await talk.ask("My 4 kg cat has pain", stream=stream)
        await talk.paid()

    assert "500 mg of paracetamol" not in talk.text
    assert talk.text.endswith("Keep her warm.")
    assert len(talk.vetx["safety"]["interventions"]) == 2


@BOTH
async def test_the_length_of_the_answer_is_one_bound_over_all_rounds(talking: Callable[..., Any], stream: bool) -> None:
    words = "one two three four five six seven eight nine ten"
    async with talking(called(DOSE, text=words), said(words)) as talk:
        await talk.ask(stream=stream, max_tokens=15)
        paid = await talk.paid()

    assert [body["max_tokens"] for body in talk.sent] == [15 + 1024, 5 + 1024]
    assert talk.reason == "length"
    assert talk.service.house.tokens.count(talk.text) == 15
    assert paid == talk.cost(QUESTION, talk.text)


@BOTH
async def test_an_answer_that_is_full_before_its_call_asks_nothing_more(
    talking: Callable[..., Any], stream: bool
) -> None:
    async with talking(called(DOSE, text="one two three four five six")) as talk:
        await talk.ask(stream=stream, max_tokens=3)
        assert len(talk.sent) == 1

    assert (talk.text, talk.reason) == ("one two three", "length")


@BOTH
async def test_the_space_between_rounds_may_fill_the_answer(talking: Callable[..., Any], stream: bool) -> None:
    async with talking(called(DOSE, text="one two three")) as talk:
        await talk.ask(stream=stream, max_tokens=3)
        assert len(talk.sent) == 1

    assert (talk.text.strip(), talk.reason) == ("one two three", "length")


@BOTH
async def test_a_call_that_is_cut_by_the_length_is_an_error_and_free(talking: Callable[..., Any], stream: bool) -> None:
    async with talking(called(("dose", '{"drug": "mel'), reason="length")) as talk:
        await talk.ask(stream=stream)
        assert await talk.paid() == 0

    assert talk.error[0] == 502
    assert "Raise max_tokens" in talk.error[1]["message"]


@BOTH
async def test_calls_that_never_end_are_an_error_and_free(talking: Callable[..., Any], stream: bool) -> None:
    async with talking(called(("dose", "x" * 40_000))) as talk:
        await talk.ask(stream=stream)
        assert await talk.paid() == 0

    assert talk.error[0] == 502
    assert "too long" in talk.error[1]["message"]


@BOTH
async def test_of_many_calls_at_once_the_first_eight_are_answered(talking: Callable[..., Any], stream: bool) -> None:
    drugs = ("meloxicam", "carprofen", "gabapentin", "morphine", "amoxicillin", "robenacoxib", "firocoxib", "deracoxib")
    many = [("dose", {"drug": drug}) for drug in (*drugs, "tramadol", "grapiprant")]
    async with talking(called(*many), said("Choose one.")) as talk:
        await talk.ask(stream=stream)
        results = [one["content"] for one in talk.sent[-1]["messages"] if one["role"] == "tool"]
        paid = await talk.paid()

    assert len(results) == 10
    assert all("error" in json.loads(one) for one in results[8:])
    assert sum(len(one.encode()) for one in results) <= 32_000
    assert paid == talk.cost(QUESTION, "Choose one.")


@BOTH
@pytest.mark.parametrize("failure", ["500", "cut"])
async def test_an_upstream_that_dies_in_round_two_before_a_word_is_an_error_and_free(
    talking: Callable[..., Any], stream: bool, failure: str
) -> None:
    async with talking(called(DOSE), failure) as talk:
        await talk.ask(stream=stream)
        assert await talk.paid() == 0
        (row,) = await requests(talk.service, talk.account)

    assert talk.error[1]["code"] == "upstream_error"
    assert "[DONE]" not in talk.raw
    assert row["status"] == "voided"


async def test_an_upstream_that_dies_in_round_two_after_words_of_round_one_is_an_error_event_and_free(
    talking: Callable[..., Any],
) -> None:
    async with talking(called(DOSE, text="Let me look."), "500") as talk:
        await talk.ask(stream=True)
        assert await talk.paid() == 0

    assert talk.text.startswith("Let me look.")
    assert (talk.error[0], talk.error[1]["code"]) == (200, "upstream_error")
    assert "[DONE]" not in talk.raw


@BOTH
async def test_a_fallback_answers_afresh_where_round_two_fails(
    talking: Callable[..., Any], tmp_path: Any, stream: bool
) -> None:
    rows = tmp_path / "catalog.toml"
    async with serving(scripted(called(DOSE), "500")) as upstream:
        rows.write_text(row_of(upstream.url, 'tools = true\nfallback = "builtin"\n'))
        async with talking(said("x"), upstream_url=None, upstream_tools=False, catalog=rows) as talk:
            await talk.ask(stream=stream)
            asked = posted(upstream)
            await talk.paid()

    assert len(asked) == 2
    assert talk.vetx["engine"] == "builtin"
    assert talk.vetx["calculations"] == []
    assert "mg/kg" not in json.dumps(talk.calls)


def row_of(url: str, more: str) -> str:
    """A catalogue that puts vetx-23 on this server."""
    return (
        f'[[upstream]]\nid = "main"\nurl = "{url}"\n[[model]]\nid = "vetx-23"\nengine = "upstream"\n'
        'upstream = "main"\nupstream_model = "plain"\ninput_nano_per_token = 8320\noutput_nano_per_token = 8320\n'
        f"context_tokens = 128000\noutput_tokens_max = 16384\noutput_tokens_default = 4096\n{more}"
    )


async def test_tools_are_switched_per_model_and_off_where_nobody_says(
    talking: Callable[..., Any], tmp_path: Any
) -> None:
    rows = tmp_path / "catalog.toml"
    async with serving(scripted(said("Yes."))) as upstream:
        rows.write_text(row_of(upstream.url, ""))
        async with talking(said("x"), upstream_url=None, upstream_tools=False, catalog=rows) as talk:
            await talk.ask(stream=False)
        body = upstream.exchanges[-1].json
    assert "tools" not in body
    assert "[vetx]" not in json.dumps(body)


@pytest.mark.parametrize(
    "fields",
    [
        {"tool_choice": "none", "tools": [MINE]},
        {"tool_choice": "required", "tools": [MINE]},
        {"tool_choice": {"type": "function", "function": {"name": "book"}}, "tools": [MINE]},
        {"response_format": {"type": "json_object"}},
        {"functions": [{"name": "old"}]},
        {"tools": [MINE] * 121},
    ],
)
async def test_ours_are_not_offered_where_the_caller_forbids_forces_or_wants_json(
    talking: Callable[..., Any], fields: dict[str, Any]
) -> None:
    async with talking(said("{}")) as talk:
        await talk.ask(stream=False, **fields)
        (sent,) = talk.sent

    assert sent.get("tools", []) == fields.get("tools", [])
    assert sent.get("tool_choice") == fields.get("tool_choice")
    assert "[vetx]" not in json.dumps(sent["messages"][0])


async def test_a_window_without_room_has_no_tools(talking: Callable[..., Any], tmp_path: Any) -> None:
    rows = tmp_path / "catalog.toml"
    async with serving(scripted(said("Yes."))) as upstream:
        rows.write_text(row_of(upstream.url, "tools = true\n").replace("128000", "16384"))
        async with talking(said("x"), upstream_url=None, upstream_tools=False, catalog=rows) as talk:
            await talk.ask(stream=False, max_tokens=200)
            await talk.ask(stream=False, max_tokens=8_000)
        roomy, narrow = posted(upstream)
    assert len(roomy["tools"]) == 5
    assert "tools" not in narrow


async def test_owners_models_get_no_doses(talking: Callable[..., Any]) -> None:
    calls = called(DOSE, ("calculate", {"calculator": "cri", "inputs": {"dose": "5 mcg/kg/min"}}))
    async with talking(calls, said("Please ask your vet.")) as talk:
        await talk.ask(stream=False, vetx={"audience": "owner"})
        offered = {tool["function"]["name"]: tool for tool in talk.sent[0]["tools"]}
        dose, cri = talk.results()

    assert set(offered) == {"exposure", "labs", "calculate", "check"}
    enum = offered["calculate"]["function"]["parameters"]["properties"]["calculator"]["enum"]
    assert set(enum) == {"energy", "body_surface", "unit_conversion"}
    assert "no tool of that name" in dose["error"]
    assert "veterinarian" in cri["error"]
    assert talk.vetx["calculations"] == []


async def test_a_call_whose_name_comes_in_pieces_is_still_ours_or_the_callers(
    running_with: Callable[..., Any],
) -> None:
    """A name is known to be the caller's only once it is whole."""
    mine = {"type": "function", "function": {"name": "dose_log", "parameters": {"type": "object"}}}
    rounds = [
        [{"index": 3, "id": "a", "function": {"name": "do"}}, {"index": 3, "function": {"name": "se"}},
         {"index": 3, "function": {"arguments": json.dumps(DOSE[1])}}],
        [{"index": 1, "function": {"name": "dose"}}, {"index": 1, "id": "b", "function": {"name": "_log"}},
         {"index": 1, "function": {"arguments": '{"a":'}}, {"index": 1, "function": {"arguments": "1}"}}],
    ]  # fmt: skip

    async def behave(exchange: Exchange) -> None:
        if exchange.head.startswith("GET"):
            await exchange.answer(b'{"object":"list","data":[{"id":"plain","object":"model"}]}')
            return
        parts = rounds.pop(0)
        pieces = [event({"choices": [{"index": 0, "delta": {"tool_calls": [part]}}]}) for part in parts]
        end = event({"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]})
        await exchange.sse(ROLE, *pieces, end, DONE)

    async with serving(behave) as upstream, running_with(upstream_url=upstream.url, upstream_tools=True) as service:
        talk = Talk(service, await service.account(), upstream)
        await talk.ask(stream=True, tools=[mine])
        assert talk.sent[1]["messages"][-2]["tool_calls"][0]["function"]["name"] == "dose"

    assert talk.calls[0] == {
        "index": 0,
        "id": "b",
        "type": "function",
        "function": {"name": "dose_log", "arguments": ""},
    }
    assert "".join(call["function"]["arguments"] for call in talk.calls) == '{"a":1}'


async def test_a_client_that_leaves_in_round_two_stops_the_model_and_pays_for_what_it_had(
    talking: Callable[..., Any],
) -> None:
    words = "Let me look that up."
    async with talking(called(DOSE, text=words), "hangs") as talk:
        body = {"model": "vetx-23", "stream": True, "messages": [{"role": "user", "content": QUESTION}]}
        heard = ""
        with suppress(TimeoutError):
            async with (
                asyncio.timeout(3),
                talk.service.client.stream(
                    "POST", "/v1/chat/completions", json=body, headers=talk.account.headers
                ) as answer,
            ):
                async for line in answer.aiter_lines():
                    if line.startswith("data: "):
                        heard += json.loads(line[6:])["choices"][0]["delta"].get("content") or ""
                    if heard.endswith("\n\n"):
                        break
        talk.upstream.closed.clear()
        await asyncio.wait_for(talk.upstream.closed.wait(), 1.5)
        paid = await talk.paid()
        (row,) = await requests(talk.service, talk.account)

    assert heard == f"{words}\n\n"
    assert len(talk.sent) == 2
    assert (row["status"], row["close_reason"]) == ("settled", "client_gone")
    assert paid == talk.cost(QUESTION, heard)


async def test_the_hold_covers_every_round_and_the_last_nano_dollar_is_enough(running_with: Callable[..., Any]) -> None:
    async with (
        serving(scripted(called(DOSE), said("yes"))) as upstream,
        running_with(upstream_url=upstream.url, upstream_tools=True) as service,
    ):
        count = service.house.tokens.count
        account = await service.account(nano=(count(QUESTION) + 1) * PRICE)
        answer = await service.chat(account, QUESTION, max_tokens=1)
        assert answer.json()["choices"][0]["message"]["content"] == "yes"
        assert await nothing_held(service, account) == 0
        assert await reconcile(service.house.database) == []


async def test_the_official_client_sees_an_ordinary_answer(talking: Callable[..., Any]) -> None:
    messages: Any = [{"role": "user", "content": QUESTION}]
    async with (
        talking(called(DOSE), said("2.4 mg on the first day.")) as talk,
        openai.AsyncOpenAI(base_url=f"{talk.service.url}/v1", api_key=talk.account.key) as client,
    ):
        answer = await client.chat.completions.create(model="vetx-23", messages=messages)
        stream = await client.chat.completions.create(model="vetx-23", messages=messages, stream=True)
        chunks = [chunk async for chunk in stream]

    assert answer.choices[0].message.content == "2.4 mg on the first day."
    assert answer.choices[0].message.tool_calls is None
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "2.4 mg on the first day."
