"""Which methods an address takes."""

from __future__ import annotations

import re
from functools import cache

from litestar import Litestar
from litestar.routes import HTTPRoute

_IMPLICIT = frozenset({"HEAD", "OPTIONS"})


def allowed_methods(app: Litestar, path: str) -> str | None:
    """The value of `Allow` for an address, like `GET, HEAD, OPTIONS`; None where there is nothing."""
    methods: set[str] = set()
    for pattern, taken in _routes(app):
        if pattern.fullmatch(path):
            methods |= taken
    if not methods:
        return None
    if "GET" not in methods:
        methods.discard("HEAD")
    return ", ".join(sorted(methods))


@cache
def _routes(app: Litestar) -> list[tuple[re.Pattern[str], frozenset[str]]]:
    found = []
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            steps = [
                re.escape(step) if isinstance(step, str) else ".+" if step.full.endswith(":path") else "[^/]+"
                for step in route.path_components
            ]
            pattern = re.compile("/" + "/".join(steps) + "/?", re.DOTALL)
            found.append((pattern, frozenset({*route.methods, *_IMPLICIT})))
    return found
