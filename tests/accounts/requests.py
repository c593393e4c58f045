"""What a server hands over of a request, as far as keys are concerned."""

from __future__ import annotations

from typing import Any


def request(key: str | None, *more: tuple[str, str], address: str = "127.0.0.1") -> dict[str, Any]:
    """The ASGI scope of a request with this key and further headers."""
    headers = [(name.encode(), value.encode()) for name, value in more]
    if key is not None:
        headers.append((b"authorization", f"Bearer {key}".encode()))
    return {"type": "http", "headers": headers, "client": (address, 40_000)}
