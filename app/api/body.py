"""Reading bodies and query strings into pydantic models; what is wrong is refused naming its field."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from litestar import Request
from litestar.connection import ASGIConnection
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from app.api.front import header
from app.base.errors import ClientGone, Invalid, Refused, TooLarge, UnsupportedMediaType

M = TypeVar("M", bound=BaseModel)
QUERY_FIELDS_MAX = 1_000
BODY_BYTES_MAX = 64 * 1024 * 1024


def path_of(location: Sequence[int | str]) -> str | None:
    """`("messages", 0, "content")` as `messages[0].content`; tags of unions and functions are left out."""
    path = ""
    for step in location:
        if isinstance(step, int):
            path += f"[{step}]"
        elif "[" in step or "(" in step or step in _UNION_TAGS:
            continue
        else:
            path += f".{step}" if path else step
    return path or None


_UNION_TAGS = frozenset({"str", "int", "float", "bool", "list", "none", "json", "parts"})


def invalid(error: ValidationError) -> Invalid:
    """The first problem as a refusal."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    param = path_of(first["loc"])
    if first["type"] == "json_invalid":
        return Invalid("The body is not valid JSON.", code="invalid_json")
    if not first["loc"] and first["type"] in ("model_type", "model_attributes_type"):
        return Invalid("Send a JSON object as the body.")
    if first["type"] == "missing":
        return Invalid(f"{param} is missing.", code="missing_required_parameter", param=param)
    if first["type"] == "extra_forbidden":
        return Invalid(f"{param} is not a field here; leave it out.", code="unknown_parameter", param=param)
    message = first["msg"].removeprefix("Value error, ").rstrip(".")
    return Invalid(f"{param}: {message}." if param else f"{message}.", param=param)


def parse_body(raw: bytes, model: type[M]) -> M:
    """The model of a JSON body.

    Raises:
        Invalid: not JSON, or a field is missing, unknown, of a wrong type or out of range.
    """
    if not raw:
        raise Invalid("The body is empty; send a JSON object.", code="invalid_json")
    try:
        return model.model_validate_json(raw)
    except ValidationError as error:
        raise invalid(error) from None
    except (ValueError, RecursionError):
        raise Invalid("The body is not valid JSON.", code="invalid_json") from None


async def read_body(request: Request[Any, Any, Any], model: type[M]) -> M:
    """The model of a request's JSON body.

    Raises:
        Invalid: see `parse_body`.
        UnsupportedMediaType: the body says it is something else than JSON.
    """
    must_be_json(request)
    return parse_body(await raw_body(request), model)


async def raw_body(request: Request[Any, Any, Any], before_file: Callable[[], None] | None = None) -> bytes:
    """The bytes of a request's body.

    Args:
        before_file: asked as soon as a long body is seen to carry a file. What it raises is raised when the rest has
            been read and forgotten: a client who is still sending might not hear it.

    Raises:
        TooLarge: more than 64 MiB.
        ClientGone: the client hung up before it was whole.
    """
    declared = header(request.scope, b"content-length") or b""
    if declared.isdigit() and int(declared) > BODY_BYTES_MAX:
        raise _too_large()
    pieces: list[bytes] = []
    size = 0
    refused: Refused | None = None
    while True:
        message = await request.receive()
        if message["type"] != "http.request":
            raise ClientGone
        piece = message["body"]
        size += len(piece)
        if size > BODY_BYTES_MAX:
            raise _too_large()
        if refused is None:
            pieces.append(piece)
        if not message["more_body"]:
            if refused is not None:
                raise refused
            return pieces[0] if len(pieces) == 1 else b"".join(pieces)
        if before_file is not None and _names_file(piece):
            try:
                before_file()
            except Refused as error:
                refused = error
                pieces.clear()
            before_file = None


def _names_file(piece: bytes) -> bool:
    """Whether a string of this JSON begins as a data URL; a quotation inside of another string doesn't count."""
    at = piece.find(b'"data:')
    while at > 0 and piece[at - 1] == ord("\\"):
        at = piece.find(b'"data:', at + 1)
    return at >= 0


def _too_large() -> TooLarge:
    return TooLarge("The body is over 64 MiB; send smaller or fewer pictures.")


def must_be_json(request: Request[Any, Any, Any]) -> None:
    """Refuse a body that is compressed or names another type than JSON; one that names none is read as JSON."""
    if (header(request.scope, b"content-encoding") or b"identity").strip().lower() not in (b"", b"identity"):
        raise UnsupportedMediaType("Send the body as it is, without Content-Encoding.")
    kind = (header(request.scope, b"content-type") or b"application/json").partition(b";")[0].strip().lower()
    if kind != b"application/json" and not (kind.startswith(b"application/") and kind.endswith(b"+json")):
        raise UnsupportedMediaType("Send JSON with the header Content-Type: application/json.")


def _whole(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


WHOLE = BeforeValidator(_whole)
"""For integers, which may be written 16.0, as JSON Schema allows and some languages do."""


class NoQuery(BaseModel):
    """A query string with nothing in it."""

    model_config = ConfigDict(extra="forbid")


def read_query(request: ASGIConnection[Any, Any, Any, Any], model: type[M]) -> M:
    """The model of a query string; a field of the model that is a list may be repeated or written as `name[]`.

    Raises:
        Invalid: a field is unknown, given twice, or has a wrong value.
    """
    fields: dict[str, Any] = {}
    repeatable = {
        field.alias or name
        for name, field in model.model_fields.items()
        if "list" in str(field.annotation) or "tuple" in str(field.annotation)
    }
    try:
        pairs = parse_qsl(
            request.scope["query_string"].decode("ascii"),
            keep_blank_values=True,
            strict_parsing=False,
            errors="strict",
            max_num_fields=QUERY_FIELDS_MAX,
        )
    except ValueError:
        raise Invalid(
            f"The query string can't be read; write it as UTF-8, percent-encoded, with up to {QUERY_FIELDS_MAX} fields."
        ) from None
    for written, value in pairs:
        name = written.removesuffix("[]")
        if not name:
            raise Invalid("The query string has a value without a name; write it as name=value.")
        if name in repeatable:
            fields.setdefault(name, []).append(value)
        elif name in fields:
            raise Invalid(f"{name} is given twice; give it once.", param=name)
        else:
            fields[name] = value
    for name, value in fields.items():
        if "\x00" in (value if isinstance(value, str) else "".join(value)):
            raise Invalid(f"{name} holds a NUL character; leave it out.", param=name)
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        raise invalid(error) from None
