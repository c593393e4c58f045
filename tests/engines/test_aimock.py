"""Against an OpenAI-compatible server that others wrote: npm `@copilotkit/aimock`, installed outside the repository."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.base.errors import ContextTooLong, Unavailable, UpstreamError
from app.base.messages import Message, Picture, Text, ToolCallDelta
from app.engines import load, resolve_upstream_models
from tests.api.conftest import running
from tests.engines.upstreams import asking, gathered, model, prompt, said

PACKAGE = "@copilotkit/aimock@1.43.0"
SCRIPT = """
import { LLMock } from "@copilotkit/aimock";
const mock = new LLMock({ port: 0, host: "127.0.0.1", chunkSize: 5 });
mock.onMessage("chocolate", { content: "Chocolate — über 20 mg/kg — is a poison 🐕." });
mock.onMessage("think", { content: "The answer.", reasoning: "SECRET thoughts" });
mock.onMessage("tool", { toolCalls: [{ name: "dose", arguments: '{"kg":12}', id: "call_1" }] });
mock.onMessage("crowded", { error: { message: "SECRET", type: "rate_limit_error" }, status: 429 });
mock.onMessage("long", { error: { message: "SECRET", code: "context_length_exceeded" }, status: 400 });
mock.onMessage("cut", { content: "a long answer that is cut short" }, { truncateAfterChunks: 2 });
mock.onMessage("picture", { content: "seen" });
const call = { name: "dose", arguments: '{"drug":"meloxicam","route":"PO"}', id: "call_dose" };
mock.on({ userMessage: "arthritis", hasToolResult: false }, { toolCalls: [call] });
const asked = { toolCallId: "call_dose", toolResultContains: '"amount":{"min":2.4,' };
mock.on(asked, { content: "2.4 mg on the first day." });
await mock.start();
console.log(mock.url);
process.stdin.on("end", () => process.exit(0)).resume();
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("node and npm are not on this machine")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=False, timeout=20).stdout
    if int(version.strip().lstrip("v").partition(".")[0] or 0) < 20:
        pytest.skip(f"aimock needs node 20 or newer; here is {version.strip()}")
    place = tmp_path_factory.mktemp("aimock")
    options = ["--no-audit", "--no-fund", "--fetch-retries=0", "--fetch-timeout=8000", "--prefix", str(place)]
    try:
        done = subprocess.run([npm, "install", *options, PACKAGE], capture_output=True, check=False, timeout=25)
    except subprocess.TimeoutExpired:
        pytest.skip("npm could not install aimock in 25 s")
    if done.returncode != 0:
        pytest.skip("npm could not install aimock (no registry in reach?)")
    (place / "serve.mjs").write_text(SCRIPT, encoding="utf-8")
    return place


@pytest.fixture
async def url(folder: Path) -> AsyncIterator[str]:
    process = await asyncio.create_subprocess_exec(
        "node", str(folder / "serve.mjs"), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        yield (await asyncio.wait_for(process.stdout.readline(), 15)).decode().strip()
    finally:
        process.kill()
        await process.communicate()


async def test_a_server_of_others_is_understood(url: str) -> None:
    text = "Chocolate — über 20 mg/kg — is a poison 🐕."
    async with asking(url + "/v1") as engine:
        counted = model(meter="upstream")
        deltas = await gathered(engine, prompt("chocolate"), counted)
        assert said(deltas) == text
        assert deltas[-1].usage is not None
        whole = await engine.complete(prompt("chocolate"), counted)
        assert (whole.text, whole.finish_reason) == (text, "stop")
        assert whole.usage is not None

        assert said(await gathered(engine, prompt("think"))) == "The answer."
        assert (await engine.complete(prompt("think"), model())).text == "The answer."

        called = await engine.complete(prompt("tool"), model())
        assert called.tool_calls == (ToolCallDelta(0, "call_1", "dose", '{"kg":12}'),)
        pieces = [call for delta in await gathered(engine, prompt("tool")) for call in delta.tool_calls]
        assert (pieces[0].name, "".join(call.arguments for call in pieces)) == ("dose", '{"kg":12}')

        for words, error in (("crowded", Unavailable), ("long", ContextTooLong), ("unheard of", UpstreamError)):
            with pytest.raises(error) as caught:
                await gathered(engine, prompt(words))
            assert "SECRET" not in str(caught.value)
        with pytest.raises(UpstreamError):
            await gathered(engine, prompt("cut"))

        seen = Message("user", (Text("picture"), Picture(b"\xff\xd8\xff", "image/jpeg", 2, 2, 1, {})))
        assert said(await gathered(engine, prompt(messages=(seen,)), model(sees_pictures=True))) == "seen"


async def test_it_calls_our_tool_and_answers_with_the_figure(url: str, fresh_url: str) -> None:
    """It only answers where the result of the call stands in the second request as OpenAI wants it."""
    settings = {"upstream_url": url, "upstream_model": "plain", "upstream_tools": True}
    async with running(fresh_url, **settings) as service:
        account = await service.account()
        question = "My 12 kg dog has arthritis. What would you give?"
        answer = (await service.chat(account, question)).json()
        streamed = (await service.chat(account, question, stream=True)).text

    assert answer["choices"][0]["message"] == {
        "role": "assistant", "content": "2.4 mg on the first day.", "refusal": None,
    }  # fmt: skip
    assert [row["name"] for row in answer["vetx"]["calculations"]] == ["dose"]
    assert "tool_calls" not in streamed
    assert streamed.endswith("data: [DONE]\n\n")


async def test_its_models_are_several_and_are_listed_to_the_operator(url: str) -> None:
    from app.base.errors import StartRefused

    with pytest.raises(StartRefused, match="VETX_UPSTREAM_MODEL"):
        await resolve_upstream_models(load(upstream_url=url))
