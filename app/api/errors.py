"""The one renderer of errors: anything raised becomes the envelope of API.md."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.exceptions import MethodNotAllowedException as LitestarMethodNotAllowed
from litestar.exceptions import NotFoundException as LitestarNotFound

from app.api.methods import allowed_methods
from app.base import log
from app.base.errors import (
    InternalError,
    Invalid,
    MethodNotAllowed,
    NotFound,
    RateLimited,
    Refused,
    TooLarge,
    UnsupportedMediaType,
)

RETRY_AFTER_S_MAX = 120


def envelope(error: Refused) -> dict[str, Any]:
    """The body of an error answer; the four keys are always present."""
    inner: dict[str, Any] = {
        "message": error.message,
        "type": error.type,
        "param": error.param,
        "code": error.code,
    }
    if error.metadata is not None:
        inner["metadata"] = dict(error.metadata)
    return {"error": inner}


def envelope_bytes(error: Refused) -> bytes:
    """The same, encoded."""
    return msgspec.json.encode(envelope(error))


def with_support(error: Refused, support_url: str | None) -> Refused:
    """402 and 429 name where to get help, when the operator said so."""
    if support_url and error.status in (402, 429) and support_url not in error.message:
        error.message = f"{error.message} Help: {support_url}"
    return error


def headers_of(error: Refused) -> dict[str, str]:
    """Retry-After, and x-should-retry: false wherever a retry can't help."""
    headers: dict[str, str] = {}
    if error.retry_after_s is not None:
        headers["retry-after"] = str(error.retry_after_s)
    may_retry = error.may_retry
    if may_retry is None and (error.code == "model_not_configured" or _only_a_change_helps(error)):
        may_retry = False
    if may_retry is None and (error.retry_after_s or 0) > RETRY_AFTER_S_MAX:
        may_retry = False
    if may_retry is not None:
        headers["x-should-retry"] = "true" if may_retry else "false"
    return headers


def _only_a_change_helps(error: Refused) -> bool:
    return 400 <= error.status < 500 and error.retry_after_s is None


def to_refused(error: Exception) -> Refused:
    """The Refused that says it; a framework's own error becomes ours, a fault of ours `internal_error`."""
    if isinstance(error, Refused):
        return error
    if isinstance(error, LitestarNotFound):
        return NotFound("There is nothing at this address; see /schema for what there is.")
    if isinstance(error, LitestarMethodNotAllowed):
        return MethodNotAllowed("This address doesn't take this method; see /schema for what it takes.")
    if isinstance(error, HTTPException) and error.status_code == TooLarge.status:
        return TooLarge("The body is over 64 MiB; send smaller or fewer pictures.")
    if isinstance(error, HTTPException) and error.status_code == UnsupportedMediaType.status:
        return UnsupportedMediaType("Send JSON with the header Content-Type: application/json.")
    if isinstance(error, HTTPException) and error.status_code < InternalError.status:
        return Invalid("The request could not be read; see /schema for its form.", code="invalid_value")
    return InternalError("Something went wrong on our side; try again, and name the x-request-id when you report it.")


def render(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Litestar's exception handler for everything."""
    refused = to_refused(error)
    if isinstance(refused, InternalError):
        log.error("unexpected error", request_id=request.scope["state"].get("request_id"), **log.where(error))
    if isinstance(refused, RateLimited):
        request.scope["state"]["rate_headers"] = refused.rate_headers
    headers = headers_of(refused)
    if isinstance(refused, MethodNotAllowed):
        headers["allow"] = allowed_methods(request.app, request.scope["path"]) or ""
    house = request.app.state.get("house")
    refused = with_support(refused, house.settings.support_url if house is not None else None)
    return Response(
        envelope_bytes(refused),
        status_code=refused.status,
        media_type="application/json",
        headers=headers,
    )
