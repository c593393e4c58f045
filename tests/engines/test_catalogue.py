"""The rows that callers can name, and what an operator hears about a wrong one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from app.base.errors import BadData, StartRefused
from app.engines import load, open_engines, resolve_upstream_models
from app.engines.catalogue import normalised_url
from tests.engines.upstreams import Exchange, serving

MODEL = """
[[model]]
id = "other"
engine = "upstream"
upstream = "main"
upstream_model = "x"
input_nano_per_token = 1
output_nano_per_token = 2
context_tokens = 1000
output_tokens_max = 500
output_tokens_default = 100
"""
UPSTREAM = '[[upstream]]\nid = "main"\nurl = "http://127.0.0.1:1"\n'


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "rows.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", ["vetx-23", "vetx-23-vision"])
def test_the_shipped_rows_cost_what_the_contract_says(name: str) -> None:
    model = load().models[name]
    assert (model.input_nano_per_token, model.output_nano_per_token) == (8320, 8320)
    assert (model.context_tokens, model.output_tokens_max, model.output_tokens_default) == (128_000, 16_384, 4_096)
    assert (model.engine, model.quota, model.meter) == ("builtin", "wallet", "service")
    assert ("image" in model.modalities) == (name == "vetx-23-vision")


def test_the_catalogue_is_frozen() -> None:
    with pytest.raises(TypeError):
        load().models["x"] = None  # type: ignore[index]


def test_rows_of_the_operator_are_added_and_replace(tmp_path: Path) -> None:
    text = UPSTREAM + 'key_env = "MY_KEY"\nfirst_token_timeout_s = 2\n' + MODEL + MODEL.replace('"other"', '"vetx-23"')
    catalogue = load(written(tmp_path, text), secrets={"MY_KEY": "k"})
    assert list(catalogue.models) == ["vetx-23", "vetx-23-vision", "other"]
    assert catalogue.models["vetx-23"].context_tokens == 1000
    main = catalogue.upstreams["main"]
    assert (main.url, main.key, main.first_token_timeout_s) == ("http://127.0.0.1:1/v1", "k", 2.0)
    assert "'k'" not in repr(catalogue)
    assert [row["id"] for row in open_engines(catalogue).status()] == ["main"]


def test_a_fallback_is_another_row_or_the_built_in_engine(tmp_path: Path) -> None:
    text = UPSTREAM + MODEL + 'fallback = "vetx-23"\n' + MODEL.replace('"other"', '"third"') + 'fallback = "builtin"\n'
    catalogue = load(written(tmp_path, text))
    assert catalogue.fallback_of(catalogue.models["other"]) == catalogue.models["vetx-23"]
    builtin = catalogue.fallback_of(catalogue.models["third"])
    assert builtin is not None
    assert (builtin.id, builtin.engine, builtin.input_nano_per_token) == ("third", "builtin", 1)
    assert catalogue.fallback_of(catalogue.models["vetx-23"]) is None


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("not toml", "file"),
        ("[[models]]\n", "file"),
        ('model = "x"', "model"),
        (MODEL, "model[0].upstream"),
        (UPSTREAM + MODEL + MODEL, "model[1].id"),
        (UPSTREAM + UPSTREAM, "upstream[1].id"),
        (UPSTREAM + MODEL + "colour = 1\n", "model[0]"),
        (UPSTREAM + MODEL.replace("1000", '"1000"'), "model[0].context_tokens"),
        (UPSTREAM + MODEL.replace("1000", "0"), "model[0].context_tokens"),
        (UPSTREAM + MODEL.replace("1000", "400"), "model[0].output_tokens_max"),
        (UPSTREAM + MODEL.replace("100\n", "501\n"), "model[0].output_tokens_default"),
        (UPSTREAM + MODEL.replace("= 1\n", "= -1\n"), "model[0].input_nano_per_token"),
        (UPSTREAM + MODEL.replace("= 1\n", "= 0.5\n"), "model[0].input_nano_per_token"),
        (UPSTREAM + MODEL + 'modalities = ["image"]\n', "model[0].modalities"),
        (UPSTREAM + MODEL + 'modalities = ["smell"]\n', "model[0].modalities[0]"),
        (UPSTREAM + MODEL + 'fallback = "gone"\n', "model[0].fallback"),
        (UPSTREAM + MODEL + 'fallback = "other"\n', "model[0].fallback"),
        (UPSTREAM + 'protocol = "gopher"\n', "upstream[0].protocol"),
        (UPSTREAM + "idle_timeout_s = 0\n", "upstream[0].idle_timeout_s"),
        (UPSTREAM + "concurrency_max = -1\n", "upstream[0].concurrency_max"),
        (UPSTREAM + 'extra_headers = { "X-A" = "a\\r\\nX-B: b" }\n', "upstream[0].extra_headers[...]"),
        (UPSTREAM.replace("http://127.0.0.1:1", "ftp://x"), "upstream[0].url"),
        (UPSTREAM.replace("http://127.0.0.1:1", "http://u:p@x"), "upstream[0].url"),
    ],
)
def test_a_wrong_row_names_file_and_key(tmp_path: Path, text: str, key: str) -> None:
    with pytest.raises(BadData) as caught:
        load(written(tmp_path, text))
    assert caught.value.key == key
    assert str(caught.value).startswith("rows.toml: ")


def test_a_catalogue_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"gone\.toml"):
        load(tmp_path / "gone.toml")


@pytest.mark.parametrize(
    ("given", "base"),
    [
        ("http://127.0.0.1:8001", "http://127.0.0.1:8001/v1"),
        ("http://127.0.0.1:8001/", "http://127.0.0.1:8001/v1"),
        ("http://127.0.0.1:8001/v1/", "http://127.0.0.1:8001/v1"),
        ("https://api.example.org/openai/v1", "https://api.example.org/openai/v1"),
        ("https://api.example.org/openai", "https://api.example.org/openai/v1"),
        ("https://api.example.org/v1beta/openai/", "https://api.example.org/v1beta/openai"),
        ("http://[::1]:8001", "http://[::1]:8001/v1"),
    ],
)
def test_an_address_may_lack_its_version(given: str, base: str) -> None:
    assert normalised_url(given) == base


@pytest.mark.parametrize("url", ["127.0.0.1:8001", "http://", "http://x:99999", "http://x?y", "http://x y", "file:///"])
def test_what_is_not_an_address_refuses_the_start(url: str) -> None:
    with pytest.raises(StartRefused, match="VETX_UPSTREAM_URL"):
        load(upstream_url=url)


def test_one_setting_moves_both_vetx_models_to_an_upstream() -> None:
    models = load(upstream_url="http://x", upstream_key="k", upstream_model="m").models
    assert [(model.engine, model.upstream, model.upstream_model) for model in models.values()] == [
        ("upstream", "main", "m")
    ] * 2
    assert not models["vetx-23-vision"].sees_pictures


def test_pictures_go_on_where_a_vision_model_is_named_or_vision_is_on() -> None:
    named = load(upstream_url="http://x", upstream_model="m", upstream_vision_model="v").models["vetx-23-vision"]
    assert (named.upstream_model, named.sees_pictures) == ("v", True)
    same = load(upstream_url="http://x", upstream_model="m", upstream_vision=True).models["vetx-23-vision"]
    assert (same.upstream_model, same.sees_pictures) == ("m", True)


def test_tools_are_off_until_somebody_says_that_the_model_can_call_them(tmp_path: Path) -> None:
    def vetx(more: str = "") -> str:
        return UPSTREAM + MODEL.replace('"other"', '"vetx-23"') + more

    assert not load(written(tmp_path, vetx())).models["vetx-23"].tools
    assert load(written(tmp_path, vetx("tools = true\n"))).models["vetx-23"].tools
    assert not load(upstream_url="http://x", upstream_model="m").models["vetx-23"].tools
    assert load(upstream_url="http://x", upstream_model="m", upstream_tools=True).models["vetx-23-vision"].tools
    builtin = load(written(tmp_path, vetx('tools = true\nfallback = "builtin"\n')))
    other = builtin.fallback_of(builtin.models["vetx-23"])
    assert other is not None
    assert not other.tools
    for wrong in (vetx('tools = true\nmeter = "upstream"\n'), UPSTREAM + MODEL + "tools = true\n"):
        with pytest.raises(BadData, match=r"model\[0\]\.tools"):
            load(written(tmp_path, wrong))


def lists(*rows: dict[str, Any], status: str = "200 OK") -> Any:
    async def behave(exchange: Exchange) -> None:
        assert exchange.head.startswith("GET /v1/models ")
        await exchange.answer(json.dumps({"object": "list", "data": rows}).encode(), status=status)

    return behave


async def test_the_only_model_of_an_upstream_needs_no_name() -> None:
    async with serving(lists({"id": "tiny"})) as server:
        catalogue = await resolve_upstream_models(load(upstream_url=server.url))
    assert {model.upstream_model for model in catalogue.models.values()} == {"tiny"}


async def test_several_models_refuse_the_start_and_are_listed() -> None:
    async with serving(lists({"id": "b"}, {"id": "a"})) as server:
        with pytest.raises(StartRefused, match=r"a, b.*VETX_UPSTREAM_MODEL"):
            await resolve_upstream_models(load(upstream_url=server.url))


@pytest.mark.parametrize("status", ["200 OK", "401 No", "500 No"])
async def test_no_model_refuses_the_start(status: str) -> None:
    async with serving(lists(status=status)) as server:
        with pytest.raises(StartRefused, match="VETX_UPSTREAM_MODEL"):
            await resolve_upstream_models(load(upstream_url=server.url))


async def test_an_upstream_that_is_down_refuses_only_where_its_model_is_not_named() -> None:
    async with serving(lists()) as server:
        url = server.url
    with pytest.raises(StartRefused, match="does not answer"):
        await resolve_upstream_models(load(upstream_url=url))
    named = load(upstream_url=url, upstream_model="m")
    assert (await resolve_upstream_models(named)).models == named.models


@pytest.mark.parametrize(
    "row", [{"max_model_len": 8192}, {"context_length": 8192}, {"meta": {"n_ctx": 8192, "n_ctx_train": 99999}}]
)
async def test_a_smaller_window_of_the_upstream_lowers_ours(row: dict[str, Any]) -> None:
    async with serving(lists({"id": "tiny", **row}, {"id": "other", "max_model_len": 5})) as server:
        catalogue = await resolve_upstream_models(load(upstream_url=server.url, upstream_model="tiny"))
    model = catalogue.models["vetx-23"]
    assert (model.context_tokens, model.output_tokens_max, model.output_tokens_default) == (8192, 8192, 4096)
