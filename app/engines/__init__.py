"""Whatever answers a prompt: the built-in engine, and servers that speak a protocol we know."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, Protocol

from app.base.catalogue import Model, Upstream
from app.base.messages import Ask, Delta, Json, Prompt
from app.engines.builtin import BuiltinEngine, check_supported, headlines
from app.engines.catalogue import Catalogue, load, resolve_upstream_models
from app.engines.openai_protocol import OpenAiEngine
from app.engines.stops import StopFilter

__all__ = ["Catalogue", "Engine", "Engines", "StopFilter", "load", "open_engines", "resolve_upstream_models"]


class Engine(Protocol):
    """What every protocol gives."""

    def stream(self, prompt: Prompt, model: Model) -> AsyncGenerator[Delta, None]:
        """The answer as it comes; the last Delta carries `finish_reason`."""
        ...

    async def complete(self, prompt: Prompt, model: Model) -> Delta:
        """The whole answer as one Delta."""
        ...

    async def close(self) -> None:
        """Give back what it holds."""
        ...


class UpstreamEngine(Engine, Protocol):
    """An engine that asks a server."""

    def status(self) -> Json:
        """The server's row of `/health/ready`."""
        ...


PROTOCOLS: Final[MappingProxyType[str, Callable[[Upstream], UpstreamEngine]]] = MappingProxyType(
    {"openai": OpenAiEngine}
)


class Engines:
    """Every engine of a catalogue."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._builtin = BuiltinEngine()
        self._upstreams = {
            upstream.id: PROTOCOLS[upstream.protocol](upstream) for upstream in catalogue.upstreams.values()
        }

    def check_supported(self, ask: Ask, model: Model, *, formed: bool = False) -> None:
        """Refuse fields that this model's engine would have to ignore; `formed`: its `response_format` is seen to.

        Raises:
            Invalid: names the field.
        """
        check_supported(ask.passthrough, builtin=model.engine == "builtin", formed=formed)

    def headlines(self, language: str) -> Mapping[str, str]:
        """For each level of triage how that language says how soon the animal is seen; nothing for English."""
        return headlines(language)

    def stop_filter(self, stops: Sequence[str]) -> StopFilter:
        """Cuts one answer at the first of these sequences."""
        return StopFilter(stops)

    def stream(self, prompt: Prompt, model: Model) -> AsyncGenerator[Delta, None]:
        """The answer as it comes; close the generator (`aclose`) to stop the engine at once.

        Raises:
            Refused: when iterated: the upstream's failure.
        """
        return self._engine(model).stream(prompt, model)

    async def complete(self, prompt: Prompt, model: Model) -> Delta:
        """The whole answer as one Delta, for callers who don't stream; cancel it to stop the engine at once.

        Raises:
            Refused: the upstream's failure.
        """
        return await self._engine(model).complete(prompt, model)

    def status(self) -> list[Json]:
        """A row per upstream for `/health/ready`: id, protocol, state, last_error, in_flight."""
        return [engine.status() for engine in self._upstreams.values()]

    async def close(self) -> None:
        """Close every upstream connection."""
        for engine in self._upstreams.values():
            await engine.close()

    def _engine(self, model: Model) -> Engine:
        return self._builtin if model.engine == "builtin" else self._upstreams[model.upstream]


def open_engines(catalogue: Catalogue) -> Engines:
    """The engines of a catalogue; nothing is connected before the first call."""
    return Engines(catalogue)
