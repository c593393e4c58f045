"""Documents over a real socket: with the official client, their schemas, and what an upstream may write of them."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema_rs
import openai
import pydantic
import pytest

from app.clinic.documents import KINDS
from tests.api.conftest import Account, Service
from tests.api.test_chat import CHOCOLATE, events, nothing_held, requests, streamed
from tests.engines.upstreams import DONE, ROLE, STOP, Exchange, serving, whole, words

NAMES = sorted(KINDS)
CARD = {"headline": "Go now.", "do_now": ["Drive."], "do_not": []}
PAIN = "My 4 kg cat has pain"


def named(name: str, **more: Any) -> dict[str, Any]:
    """The `response_format` of a document."""
    return {"type": "json_schema", "json_schema": {"name": name, **more}}


def content(body: dict[str, Any]) -> str:
    """The words of a whole answer."""
    return str(body["choices"][0]["message"]["content"])


def heard(text: str) -> str:
    """The words of a stream."""
    return "".join(
        one["choices"][0]["delta"].get("content") or "" for one in events(text) if one != "[DONE]" and one["choices"]
    )


async def test_every_document_is_written_by_its_name_alone_streamed_and_whole(service: Service) -> None:
    account = await service.account()
    for name in NAMES:
        for audience in ("clinician", "owner"):
            fields = {"response_format": named(f"vetx_{name}"), "vetx": {"audience": audience}}
            answer = (await service.chat(account, CHOCOLATE, **fields)).json()
            stream = (await service.chat(account, CHOCOLATE, stream=True, **fields)).text
            schema = (await service.client.get(f"/v1/schemas/{name}", headers=account.headers)).json()

            assert answer["choices"][0]["finish_reason"] == "stop"
            document = json.loads(content(answer))
            jsonschema_rs.validator_for(schema).validate(document)
            assert heard(stream) == content(answer)
            assert stream.endswith("data: [DONE]\n\n")
            assert document["ruleset"] == answer["vetx"]["ruleset"]
            assert document["patient"]["weight_kg"] == answer["vetx"]["patient"]["weight_kg"] == 12


class vetx_soap(pydantic.BaseModel):
    """The part of the note that this caller wants; the client sends the class's name."""

    class Plan(pydantic.BaseModel):
        """Its plan."""

        summary: str
        tests: list[str]

    status: str
    plan: Plan


async def test_the_official_client_parses_a_document_without_changes(service: Service) -> None:
    account = await service.account()
    messages: Any = [{"role": "user", "content": CHOCOLATE}]
    async with openai.AsyncOpenAI(base_url=f"{service.url}/v1", api_key=account.key) as client:
        parsed = await client.beta.chat.completions.parse(model="vetx-23", messages=messages, response_format=vetx_soap)
        made = await client.chat.completions.create(
            model="vetx-23",
            messages=messages,
            response_format={"type": "json_schema", "json_schema": {"name": "vetx_triage_card"}},
        )
        async with client.beta.chat.completions.stream(
            model="vetx-23", messages=messages, response_format=vetx_soap
        ) as stream:
            last = await stream.get_final_completion()
        with pytest.raises(openai.LengthFinishReasonError):
            await client.beta.chat.completions.parse(
                model="vetx-23", messages=messages, response_format=vetx_soap, max_tokens=20
            )
        with pytest.raises(openai.BadRequestError) as refused:
            await client.chat.completions.create(
                model="vetx-23",
                messages=messages,
                response_format={"type": "json_schema", "json_schema": {"name": "vetx_prescription"}},
            )

    note = parsed.choices[0].message.parsed
    assert note is not None
    assert note.status == "draft"
    assert note.plan.tests
    assert last.choices[0].message.parsed == note
    assert json.loads(made.choices[0].message.content or "")["document"] == "triage_card"
    assert refused.value.param == "response_format.json_schema.name"
    assert "vetx_soap" in str(refused.value)


async def test_json_object_is_a_note_for_vets_and_a_card_for_owners(service: Service) -> None:
    account = await service.account()
    for audience, name in (("clinician", "soap"), ("owner", "triage_card")):
        answer = await service.chat(
            account, CHOCOLATE, response_format={"type": "json_object"}, vetx={"audience": audience}
        )
        assert json.loads(content(answer.json()))["document"] == name


async def test_a_card_says_how_urgent_it_is_in_the_owners_language(service: Service) -> None:
    account = await service.account()
    question = "Mi perro de 10 kg se comió veneno para ratas"
    answer = await service.chat(
        account, question, response_format=named("vetx_triage_card"), vetx={"audience": "owner"}
    )

    assert json.loads(content(answer.json()))["headline"].startswith("URGENCIA")


async def test_a_long_document_is_whole_where_nobody_limits_it(service: Service) -> None:
    account = await service.account()
    question = "20 kg dog: doses of meloxicam, carprofen, gabapentin and amoxicillin? Vomiting, creatinine 5 mg/dL"
    answer = (await service.chat(account, question, response_format=named("vetx_soap"))).json()

    assert answer["choices"][0]["finish_reason"] == "stop"
    assert answer["usage"]["completion_tokens"] > 4_096
    assert len(json.loads(content(answer))["plan"]["doses"]) > 5


async def test_stop_sequences_do_not_cut_a_document(service: Service) -> None:
    account = await service.account()
    for wanted in (named("vetx_soap"), {"type": "json_object"}):
        answer = await service.chat(account, CHOCOLATE, response_format=wanted, stop=['"plan"'])
        assert json.loads(content(answer.json()))["plan"]


@pytest.mark.parametrize(
    ("wanted", "param"),
    [
        (named("vetx_prescription"), "response_format.json_schema.name"),
        (named("vetx_"), "response_format.json_schema.name"),
        (named(""), "response_format.json_schema.name"),
        ({"type": "json_schema"}, "response_format.json_schema"),
        ({"type": "json_schema", "json_schema": {}}, "response_format.json_schema.name"),
        ({"type": "json_schema", "json_schema": {"name": 7}}, "response_format.json_schema.name"),
        (named("my_note", schema={"type": "object"}), "response_format"),
        ({"type": "grammar"}, "response_format.type"),
        ({}, "response_format.type"),
    ],
)
async def test_a_response_format_nobody_can_write_is_400_naming_it(
    service: Service, wanted: dict[str, Any], param: str
) -> None:
    account = await service.account()
    for path in ("/v1/chat/completions", "/v1/estimate"):
        body = {"model": "vetx-23", "messages": [{"role": "user", "content": "x"}], "response_format": wanted}
        response = await service.client.post(path, json=body, headers=account.headers)
        assert (response.status_code, response.json()["error"]["param"]) == (400, param)


async def test_schemas_are_listed_and_an_unknown_one_is_404(service: Service) -> None:
    account = await service.account()
    listed = (await service.client.get("/v1/schemas", headers=account.headers)).json()

    assert [row["name"] for row in listed["data"]] == [f"vetx_{name}" for name in KINDS]
    for row in listed["data"]:
        for name in (row["id"], row["name"]):
            schema = await service.client.get(f"/v1/schemas/{name}", headers=account.headers)
            assert schema.json()["title"] == row["name"]
    missing = await service.client.get("/v1/schemas/prescription", headers=account.headers)
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "not_found")
    assert (await service.client.get("/v1/schemas")).status_code == 401


# On an upstream.


async def test_an_upstream_writes_only_the_words_and_we_the_figures(running_with: Callable[..., Any]) -> None:
    said = json.dumps(CARD)
    async with serving(streamed(said[:20], said[20:])) as upstream, running_with(upstream_url=upstream.url) as service:
        account = await service.account()
        answer = (await service.chat(account, CHOCOLATE, response_format=named("vetx_triage_card"))).json()
        stream = (await service.chat(account, CHOCOLATE, response_format=named("vetx_triage_card"), stream=True)).text
        sent = upstream.exchanges[-1].json
        schema = service.house.clinic.schema("triage_card")

    document = json.loads(content(answer))
    jsonschema_rs.validator_for(schema).validate(document)
    assert heard(stream) == content(answer)
    assert document["headline"] == "Go now."
    assert "Drive." in document["do_now"]
    assert document["urgency"]["level"] == "emergency"
    assert document["exposures"][0]["dose"]["value"] == 93.33
    assert answer["vetx"]["engine"] == "upstream"
    wanted = sent["response_format"]["json_schema"]
    jsonschema_rs.validator_for(wanted["schema"]).validate(CARD)
    assert wanted["strict"] is True
    assert "headline" in sent["messages"][0]["content"]


@pytest.mark.parametrize(
    "said", ["Sure, here it is!", '{"headline": "Go now."}', '["headline"]', json.dumps({**CARD, "dose_mg": 7})]
)
async def test_an_upstream_that_writes_no_document_is_502_and_free(running_with: Callable[..., Any], said: str) -> None:
    async with serving(streamed(said)) as upstream, running_with(upstream_url=upstream.url) as service:
        account = await service.account()
        for stream in (False, True):
            response = await service.chat(account, CHOCOLATE, response_format=named("vetx_triage_card"), stream=stream)
            assert (response.status_code, response.json()["error"]["code"]) == (502, "upstream_error")
        assert await nothing_held(service, account) == 5_000_000_000
        assert {row["status"] for row in await requests(service, account)} == {"voided"}


async def test_no_document_after_the_status_went_out_is_an_error_event_and_free(
    running_with: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of a document leaves before it is checked, so a slow one's stream begins without words."""
    monkeypatch.setattr("app.turns.chat.FIRST_CONTENT_WAIT_S", 0.05)

    async def behave(exchange: Exchange) -> None:
        if exchange.head.startswith("GET"):
            await exchange.answer(b'{"object":"list","data":[{"id":"plain","object":"model"}]}')
        else:
            await asyncio.sleep(0.3)
            await exchange.sse(ROLE, words('{"headline": "Go'), words(" now, or"), STOP, DONE)

    async with serving(behave) as upstream, running_with(upstream_url=upstream.url) as service:
        account = await service.account()
        stream = await service.chat(account, CHOCOLATE, response_format=named("vetx_triage_card"), stream=True)
        first, *between, last = events(stream.text)

        assert stream.status_code == 200
        assert first["vetx"]["triage"]["level"] == "emergency"
        assert between == []
        assert last["error"]["code"] == "upstream_error"
        assert await nothing_held(service, account) == 5_000_000_000


async def test_a_client_that_leaves_before_the_document_is_whole_pays_nothing(
    running_with: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.turns.chat.FIRST_CONTENT_WAIT_S", 0.05)

    async def behave(exchange: Exchange) -> None:
        if exchange.head.startswith("GET"):
            await exchange.answer(b'{"object":"list","data":[{"id":"plain","object":"model"}]}')
        else:
            await exchange.sse(ROLE, words('{"headline": "Go'), end=False)
            await exchange.reader.read(1)

    async with serving(behave) as upstream, running_with(upstream_url=upstream.url) as service:
        account = await service.account()
        body = {
            "model": "vetx-23",
            "messages": [{"role": "user", "content": CHOCOLATE}],
            "stream": True,
            "response_format": named("vetx_triage_card"),
        }
        async with service.client.stream("POST", "/v1/chat/completions", json=body, headers=account.headers) as stream:
            assert stream.status_code == 200
            upstream.closed.clear()
        await asyncio.wait_for(upstream.closed.wait(), 1.5)

        assert await nothing_held(service, account) == 5_000_000_000


async def test_an_upstream_that_writes_no_document_falls_back_to_ours(
    running_with: Callable[..., Any], tmp_path: Path
) -> None:
    async with serving(streamed("I'd rather chat.")) as upstream:
        rows = tmp_path / "catalog.toml"
        rows.write_text(
            f'[[upstream]]\nid = "main"\nurl = "{upstream.url}"\n[[model]]\nid = "vetx-23"\nengine = "upstream"\n'
            'upstream = "main"\nupstream_model = "plain"\ninput_nano_per_token = 8320\noutput_nano_per_token = 8320\n'
            'context_tokens = 128000\noutput_tokens_max = 16384\noutput_tokens_default = 4096\nfallback = "builtin"\n'
        )
        async with running_with(catalog=rows) as service:
            account = await service.account()
            for wanted in (named("vetx_soap"), {"type": "json_object"}):
                for stream in (False, True):
                    response = await service.chat(account, CHOCOLATE, response_format=wanted, stream=stream)
                    text = heard(response.text) if stream else content(response.json())
                    vetx = events(response.text)[0]["vetx"] if stream else response.json()["vetx"]
                    assert json.loads(text)["document"] == "soap"
                    assert vetx["engine"] == "builtin"
            own = await service.chat(account, CHOCOLATE, response_format=named("mine", schema={"type": "object"}))
            assert own.status_code == 502


async def of_upstream(
    running_with: Callable[..., Any], said: str, question: str, wanted: dict[str, Any], **fields: Any
) -> tuple[Any, Any, Account]:
    """Answers, whole and streamed, of an upstream that says this."""
    async with serving(streamed(said)) as upstream, running_with(upstream_url=upstream.url) as service:
        account = await service.account()
        answer = await service.chat(account, question, response_format=wanted, **fields)
        stream = await service.chat(account, question, response_format=wanted, stream=True, **fields)
        assert upstream.exchanges[-1].json["response_format"]["type"] == wanted["type"]
        await nothing_held(service, account)
        return answer, stream, account


async def test_forbidden_words_in_a_document_are_replaced_in_their_string_alone(
    running_with: Callable[..., Any],
) -> None:
    card = {**CARD, "do_now": ["Keep her warm.", "Give your cat 500 mg of paracetamol every 6 hours."]}
    answer, stream, _ = await of_upstream(
        running_with, json.dumps(card), PAIN, named("vetx_triage_card"), vetx={"audience": "owner"}
    )

    document = json.loads(content(answer.json()))
    assert "Keep her warm." in document["do_now"]
    assert not any("500 mg" in line for line in document["do_now"])
    assert any("Withheld" in line for line in document["do_now"])
    assert document["headline"] == "Go now."
    assert answer.json()["vetx"]["safety"]["interventions"][0]["severity"] == "absolute"
    assert heard(stream.text) == content(answer.json())


@pytest.mark.parametrize(
    "said",
    [
        {"advice": "Give your cat 500 mg of paracetamol now.", "more": "Keep her warm."},
        {"a": ["Give your cat 500 mg of paracetamol now.", "Rest.", "Give your cat 500 mg of paracetamol now."]},
        {"b": {"c": 'The "blue" blanket. Give your cat 500 mg of paracetamol now.\nWait.'}},
    ],
)
@pytest.mark.parametrize("audience", ["owner", "clinician"])
async def test_the_guards_own_words_in_json_are_delivered_and_not_billed(
    running_with: Callable[..., Any], said: dict[str, Any], audience: str
) -> None:
    async with serving(streamed(json.dumps(said))) as upstream, running_with(upstream_url=upstream.url) as service:
        wanted: dict[str, Any] = {"response_format": {"type": "json_object"}, "vetx": {"audience": audience}}
        account = await service.account()
        answer = (await service.chat(account, PAIN, **wanted)).json()
        stream = await service.chat(account, PAIN, stream=True, stream_options={"include_usage": True}, **wanted)
        counted = service.house.tokens.count

        text = content(answer)
        theirs = re.sub(r"(?:\u2014 )?\[Withheld: (?:[^\]\\]|\\.)*\]", "", text)
        assert "Withheld" in text
        assert "Withheld" not in theirs
        assert answer["usage"]["completion_tokens"] == counted(theirs) < counted(text)
        assert heard(stream.text) == text
        assert events(stream.text)[-2]["usage"] == answer["usage"]


async def test_a_forbidden_drug_named_as_a_treatment_is_refused(running_with: Callable[..., Any]) -> None:
    note = {
        **dict.fromkeys(("subjective", "objective", "assessment", "plan"), "Fine."),
        **{name: [] for name in ("further_differentials", "treatment", "tests", "monitoring")},
    }
    for treatment, status in (([], 200), (["Keep warm.", "Paracetamol"], 502)):
        said = json.dumps({**note, "treatment": treatment})
        answer, stream, _ = await of_upstream(running_with, said, PAIN, named("vetx_soap"))
        assert (answer.status_code, stream.status_code) == (status, status)


async def test_any_json_object_of_an_upstream_passes_unchanged_and_its_words_are_judged(
    running_with: Callable[..., Any],
) -> None:
    fine = '{ "plan" : ["Keep her warm.", 5, null, {"ok": true}] }'
    answer, stream, _ = await of_upstream(running_with, fine, PAIN, {"type": "json_object"})
    assert content(answer.json()) == fine
    assert heard(stream.text) == fine

    wrong = json.dumps({"plan": [{"line": "Give your cat 500 mg of paracetamol every 6 hours."}], "n": 2})
    answer, _, _ = await of_upstream(running_with, wrong, PAIN, named("mine", schema={"type": "object"}))
    document = json.loads(content(answer.json()))
    assert document["n"] == 2
    assert "Withheld" in document["plan"][0]["line"]


@pytest.mark.parametrize("said", ["Here you are: {}", "[1]", '"x"', "{", "[" * 5_000, '{"a":' * 100 + "1" + "}" * 100])
async def test_what_is_no_json_object_is_502(running_with: Callable[..., Any], said: str) -> None:
    answer, stream, _ = await of_upstream(running_with, said, PAIN, {"type": "json_object"})

    assert (answer.status_code, stream.status_code) == (502, 502)


@pytest.mark.parametrize(
    "said",
    [
        {"drug": "meloxicam", "dose_mg_per_kg": 5, "route": "PO"},
        {"drug": "meloxicam", "dose": {"value": 5, "unit": "mg/kg"}},
        {"treatments": [{"name": "meloxicam", "value": 5, "unit": "mg/kg"}]},
        {"medication": "paracetamol", "dose": "50 mg", "frequency": "q8h"},
        {"meloxicam_mg_per_kg": 5},
        {"treatment": ["Warmth", "paracetamol"]},
    ],
)
async def test_a_dose_that_only_fields_together_give_is_refused(
    running_with: Callable[..., Any], said: dict[str, Any]
) -> None:
    answer, stream, _ = await of_upstream(running_with, json.dumps(said), PAIN, {"type": "json_object"})

    assert (answer.status_code, stream.status_code) == (502, 502)
    assert "safety rule" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "said",
    [
        {"drug": "gabapentin", "dose_mg_per_kg": 10, "route": "PO"},
        {"patient": {"weight": {"value": 4, "unit": "kg"}}, "age_months": 30},
        {"agent": "paracetamol", "toxic_dose_mg_per_kg": 10, "advice": "never give it"},
        {"drug": "ibuprofen", "advice": "do not give", "toxic_dose_mg_per_kg": 50},
        {"do_not_give": ["paracetamol", "ibuprofen"], "treatment": ["Warmth", "stop meloxicam", "IV fluids"]},
        {"drug": "meloxicam", "warning": "5 mg/kg is an overdose"},
    ],
)
async def test_sound_figures_pass(running_with: Callable[..., Any], said: dict[str, Any]) -> None:
    answer, _, _ = await of_upstream(running_with, json.dumps(said), PAIN, {"type": "json_object"})

    assert answer.status_code == 200
    assert json.loads(content(answer.json())) == said


async def test_what_max_tokens_cut_comes_as_openai_sends_it(running_with: Callable[..., Any]) -> None:
    async def behave(exchange: Exchange) -> None:
        if exchange.head.startswith("GET"):
            await exchange.answer(b'{"object":"list","data":[{"id":"plain","object":"model"}]}')
        else:
            await exchange.answer(whole('{"headline": "Go n', "length"))

    async with serving(behave) as upstream, running_with(upstream_url=upstream.url) as service:
        account = await service.account()
        answer = (await service.chat(account, PAIN, response_format=named("vetx_triage_card"), max_tokens=9)).json()

    assert answer["choices"][0]["finish_reason"] == "length"
    assert content(answer) == '{"headline": "Go n'


async def test_own_stop_sequences_may_cut_own_json(running_with: Callable[..., Any]) -> None:
    answer, _, _ = await of_upstream(running_with, '{"a": 1, "b": 2}', PAIN, {"type": "json_object"}, stop=[', "b"'])

    assert content(answer.json()) == '{"a": 1'


async def test_a_model_that_calls_a_tool_instead_may_say_nothing(running_with: Callable[..., Any]) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "dose", "arguments": "{}"}}

    async def behave(exchange: Exchange) -> None:
        if exchange.head.startswith("GET"):
            await exchange.answer(b'{"object":"list","data":[{"id":"plain","object":"model"}]}')
        else:
            await exchange.answer(whole(None, "tool_calls", message={"tool_calls": [call]}))

    async with serving(behave) as upstream, running_with(upstream_url=upstream.url) as service:
        answer = (await service.chat(await service.account(), PAIN, response_format=named("vetx_soap"))).json()

    assert answer["choices"][0]["message"]["tool_calls"][0]["function"]["name"] == "dose"


async def test_json_that_never_ends_is_502(running_with: Callable[..., Any]) -> None:
    said = '{"a": "' + "x" * 300_000 + '"}'
    answer, stream, _ = await of_upstream(running_with, said, PAIN, {"type": "json_object"})

    assert (answer.status_code, stream.status_code) == (502, 502)


async def test_models_that_are_not_veterinary_refuse_our_documents(
    running_with: Callable[..., Any], tmp_path: Path
) -> None:
    async with serving(streamed('{"a": 1}')) as upstream:
        rows = tmp_path / "catalog.toml"
        rows.write_text(
            f'[[upstream]]\nid = "main"\nurl = "{upstream.url}"\n[[model]]\nid = "plain"\nengine = "upstream"\n'
            'upstream = "main"\nupstream_model = "plain"\ninput_nano_per_token = 10\noutput_nano_per_token = 10\n'
            "context_tokens = 128000\noutput_tokens_max = 16384\noutput_tokens_default = 4096\n"
        )
        async with running_with(catalog=rows) as service:
            account = await service.account()
            refused = await service.chat(account, "x", model="plain", response_format=named("vetx_soap"))
            passed = await service.chat(account, "x", model="plain", response_format={"type": "json_object"})

    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "response_format")
    assert content(passed.json()) == '{"a": 1}'
