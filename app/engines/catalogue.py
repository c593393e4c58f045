"""The catalogue: which models there are, where each runs and what it costs. Read once at start, checked, frozen."""

from __future__ import annotations

import asyncio
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

import msgspec

from app.base.catalogue import Model, Upstream
from app.base.errors import BadData, Refused, StartRefused
from app.base.money import NANO_PER_DOLLAR, TOKENS_MAX
from app.engines.openai_protocol import list_models

SHIPPED: Final = Path(__file__).with_name("catalog.toml")
MAIN: Final = "main"
VETX, VETX_VISION = "vetx-23", "vetx-23-vision"
LIST_TIMEOUT_S = 10.0

_Id = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@-]{0,199}$")]
_Price = Annotated[int, msgspec.Meta(ge=0, le=NANO_PER_DOLLAR)]
_Tokens = Annotated[int, msgspec.Meta(ge=1, le=TOKENS_MAX)]
_Seconds = Annotated[float, msgspec.Meta(gt=0, le=3600)]
_HeaderName = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}$")]
_HeaderValue = Annotated[str, msgspec.Meta(pattern=r"^[\x20-\x7e]{0,4000}$")]


class _UpstreamRow(msgspec.Struct, forbid_unknown_fields=True):
    id: _Id
    url: str
    protocol: Literal["openai"] = "openai"
    key_env: str = ""
    connect_timeout_s: _Seconds = 5.0
    first_token_timeout_s: _Seconds = 60.0
    idle_timeout_s: _Seconds = 30.0
    concurrency_max: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 0
    extra_body: dict[str, Any] = {}
    extra_headers: dict[_HeaderName, _HeaderValue] = {}


class _ModelRow(msgspec.Struct, forbid_unknown_fields=True):
    id: _Id
    engine: Literal["builtin", "upstream"]
    input_nano_per_token: _Price
    output_nano_per_token: _Price
    context_tokens: _Tokens
    output_tokens_max: _Tokens
    output_tokens_default: _Tokens
    upstream: str = ""
    upstream_model: str = ""
    modalities: list[Literal["text", "image"]] = msgspec.field(default_factory=lambda: ["text"])
    quota: Literal["wallet", "daily"] = "wallet"
    meter: Literal["service", "upstream"] = "service"
    fallback: str = ""
    tools: bool = False


class _File(msgspec.Struct, forbid_unknown_fields=True):
    upstream: list[_UpstreamRow] = []
    model: list[_ModelRow] = []


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Models and upstreams by id, in the order of their files."""

    models: Mapping[str, Model] = field(default_factory=dict)
    upstreams: Mapping[str, Upstream] = field(default_factory=dict)

    def fallback_of(self, model: Model) -> Model | None:
        """Who answers where `model` can't: another model, the same one on the built-in engine, or nobody."""
        if model.fallback == "builtin":
            return replace(
                model, engine="builtin", upstream="", upstream_model="", fallback="", sees_pictures=False, tools=False
            )
        return self.models.get(model.fallback)


def load(
    extra: Path | None = None,
    *,
    secrets: Mapping[str, str] | None = None,
    upstream_url: str | None = None,
    upstream_key: str | None = None,
    upstream_model: str | None = None,
    upstream_vision_model: str | None = None,
    upstream_vision: bool = False,
    upstream_tools: bool = False,
) -> Catalogue:
    """The shipped rows, those of `extra` added or in their place, and the vetx models moved to `upstream_url`.

    Args:
        extra: VETX_CATALOG.
        secrets: where the variables that `key_env` names are looked up; the environment, at the front door.
        upstream_url, upstream_key, upstream_model, upstream_vision_model, upstream_vision, upstream_tools:
            VETX_UPSTREAM_….

    Raises:
        BadData: a row is wrong; names file and key.
        StartRefused: VETX_UPSTREAM_URL is not an address.
    """
    secrets = secrets or {}
    models: dict[str, Model] = {}
    upstreams: dict[str, Upstream] = {}
    origin: dict[str, str] = {}
    for path in (SHIPPED, extra):
        if path is not None:
            rows = _read(path)
            for place, upstream_row in enumerate(rows.upstream):
                upstreams[upstream_row.id] = _upstream(upstream_row, secrets, path.name, f"upstream[{place}]")
            for place, model_row in enumerate(rows.model):
                models[model_row.id] = _model(model_row)
                origin[model_row.id] = f"{path.name}\n{f'model[{place}]'}"
    if upstream_url:
        try:
            url = normalised_url(upstream_url)
        except ValueError as problem:
            raise StartRefused(f"VETX_UPSTREAM_URL: {problem}.") from None
        if (upstream_key and not upstream_key.isascii()) or any(char < " " for char in upstream_key or ""):
            raise StartRefused("VETX_UPSTREAM_KEY: a key is printable ASCII.")
        main = upstreams.get(MAIN) or Upstream(id=MAIN, protocol="openai", url=url)
        upstreams[MAIN] = replace(main, url=url, key=upstream_key or main.key)
        for name in (VETX, VETX_VISION):
            if name in models and models[name].engine == "builtin":
                sees = name == VETX_VISION and bool(upstream_vision_model or upstream_vision)
                served_by = upstream_vision_model if sees and upstream_vision_model else upstream_model
                models[name] = replace(
                    models[name],
                    engine="upstream",
                    upstream=MAIN,
                    upstream_model=served_by or "",
                    sees_pictures=sees,
                    tools=upstream_tools,
                )
    for model in models.values():
        file, key = origin[model.id].split("\n")
        _check(model, models, upstreams, file, key)
    return Catalogue(MappingProxyType(models), MappingProxyType(upstreams))


async def resolve_upstream_models(catalogue: Catalogue) -> Catalogue:
    """The catalogue with what only the upstreams know: the name of their one model, and windows smaller than ours.

    An upstream that does not answer is left for later, unless a model's name depends on it.

    Raises:
        StartRefused: no model is named and the upstream has none, several, or doesn't answer.
    """
    used = {model.upstream for model in catalogue.models.values() if model.engine == "upstream"}
    names = [name for name in catalogue.upstreams if name in used]
    listed = dict(
        zip(names, await asyncio.gather(*(_listed(catalogue.upstreams[name]) for name in names)), strict=True)
    )
    models = {
        model.id: _resolved(model, listed[model.upstream]) if model.engine == "upstream" else model
        for model in catalogue.models.values()
    }
    return replace(catalogue, models=MappingProxyType(models))


def normalised_url(url: str) -> str:
    """The base address of a server's API, `/v1` added where the path names no version.

    Raises:
        ValueError: not an http(s) address of a host.
    """
    try:
        parts = urlsplit(url.strip())
        port_is_valid = parts.port is None or parts.port > 0
    except ValueError:
        port_is_valid = False
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname or not port_is_valid:
        raise ValueError("write it as http://host:port/v1")
    if parts.query or parts.fragment or parts.username is not None or not re.fullmatch(r"[\x21-\x7e]+", url.strip()):
        raise ValueError("write it as http://host:port/v1, without a name, a query or spaces in it")
    path = parts.path.rstrip("/")
    if not any(re.fullmatch(r"v\d+[a-z0-9]*", segment) for segment in path.split("/")):
        path += "/v1"
    return f"{parts.scheme}://{parts.netloc}{path}"


def _read(path: Path) -> _File:
    try:
        rows = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadData(str(path), "file", f"it can't be read ({type(error).__name__})") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadData(path.name, "file", f"it is not TOML: {error}") from None
    try:
        file = msgspec.convert(rows, _File)
    except msgspec.ValidationError as error:
        problem, _, place = str(error).partition(" - at `")
        raise BadData(path.name, place.rstrip("`").removeprefix("$").lstrip(".") or "file", problem) from None
    for kind, ids in (("upstream", [row.id for row in file.upstream]), ("model", [row.id for row in file.model])):
        for place_of, name in enumerate(ids):
            if name in ids[:place_of]:
                raise BadData(path.name, f"{kind}[{place_of}].id", f"{name} is there twice")
    return file


def _upstream(row: _UpstreamRow, secrets: Mapping[str, str], file: str, key: str) -> Upstream:
    try:
        url = normalised_url(row.url)
    except ValueError as problem:
        raise BadData(file, f"{key}.url", str(problem)) from None
    secret = secrets.get(row.key_env) if row.key_env else None
    if secret and (not secret.isascii() or any(char < " " for char in secret)):
        raise BadData(file, f"{key}.key_env", "the key in this variable is not printable ASCII")
    return Upstream(
        id=row.id,
        protocol=row.protocol,
        url=url,
        key=secret or None,
        connect_timeout_s=row.connect_timeout_s,
        first_token_timeout_s=row.first_token_timeout_s,
        idle_timeout_s=row.idle_timeout_s,
        concurrency_max=row.concurrency_max,
        extra_body=row.extra_body,
        extra_headers=row.extra_headers,
    )


def _model(row: _ModelRow) -> Model:
    return Model(
        id=row.id,
        engine=row.engine,
        input_nano_per_token=row.input_nano_per_token,
        output_nano_per_token=row.output_nano_per_token,
        context_tokens=row.context_tokens,
        output_tokens_max=row.output_tokens_max,
        output_tokens_default=row.output_tokens_default,
        modalities=tuple(row.modalities),
        upstream=row.upstream if row.engine == "upstream" else "",
        upstream_model=row.upstream_model,
        quota=row.quota,
        meter=row.meter,
        fallback=row.fallback,
        sees_pictures=row.engine == "upstream" and "image" in row.modalities,
        tools=row.engine == "upstream" and row.tools,
    )


def _check(model: Model, models: Mapping[str, Model], upstreams: Mapping[str, Upstream], file: str, key: str) -> None:
    if model.engine == "upstream" and model.upstream not in upstreams:
        raise BadData(file, f"{key}.upstream", f"no [[upstream]] has the id {model.upstream!r}")
    if model.output_tokens_default > model.output_tokens_max:
        raise BadData(file, f"{key}.output_tokens_default", "it is above output_tokens_max")
    if model.output_tokens_max > model.context_tokens:
        raise BadData(file, f"{key}.output_tokens_max", "it is above context_tokens")
    if "text" not in model.modalities:
        raise BadData(file, f"{key}.modalities", 'it lacks "text"')
    if model.tools and not (model.veterinary and model.meter == "service"):
        raise BadData(file, f"{key}.tools", 'only models named vetx-… with meter = "service" are offered our tools')
    seen = {model.id}
    fallback = model.fallback
    while fallback and fallback != "builtin":
        if fallback not in models:
            raise BadData(file, f"{key}.fallback", f"no model has the id {fallback!r}")
        if fallback in seen:
            raise BadData(file, f"{key}.fallback", "it leads back to itself")
        seen.add(fallback)
        fallback = models[fallback].fallback


async def _listed(upstream: Upstream) -> list[Mapping[str, Any]] | None:
    try:
        async with asyncio.timeout(LIST_TIMEOUT_S):
            return await list_models(upstream)
    except (Refused, TimeoutError):
        return None


def _resolved(model: Model, rows: list[Mapping[str, Any]] | None) -> Model:
    if not model.upstream_model:
        ids = sorted({row["id"] for row in rows or ()})
        if len(ids) != 1:
            how = "set VETX_UPSTREAM_MODEL" if model.upstream == MAIN else "set its upstream_model in the catalogue"
            if rows is None:
                why = "does not answer /v1/models: start it first"
            else:
                why = f"has {'several models: ' + ', '.join(ids) if ids else 'no model'}"
            raise StartRefused(f"{model.id}: upstream {model.upstream} {why}; or {how}.")
        model = replace(model, upstream_model=ids[0])
    windows = [_window(row) for row in rows or () if row["id"] == model.upstream_model]
    smallest = min((window for window in windows if window), default=model.context_tokens)
    if smallest >= model.context_tokens:
        return model
    output_max = min(model.output_tokens_max, smallest)
    return replace(
        model,
        context_tokens=smallest,
        output_tokens_max=output_max,
        output_tokens_default=min(model.output_tokens_default, output_max),
    )


def _window(row: Mapping[str, Any]) -> int | None:
    """The window that a row of `/v1/models` states [tokens]: vLLM and providers on top, llama.cpp under `meta`."""
    meta = row.get("meta")
    stated = [row.get(name) for name in ("max_model_len", "context_length", "context_window")]
    stated += [meta.get(name) for name in ("n_ctx", "n_ctx_train")] if isinstance(meta, dict) else []
    windows = [value for value in stated if type(value) is int and 0 < value <= TOKENS_MAX]
    return min(windows, default=None)
