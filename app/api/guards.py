"""Who may pass: key, then rate limit, then scope; all before a body is read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, cast

from litestar.connection import ASGIConnection, Request
from litestar.di import NamedDependency
from litestar.handlers import BaseRouteHandler
from litestar.params import SkipValidation

from app.api.body import NoQuery, read_query
from app.base.errors import Forbidden
from app.base.messages import Caller
from app.turns.house import House

Connection = ASGIConnection[Any, Any, Any, Any]
GivenCaller = NamedDependency[SkipValidation[Caller]]
GivenHouse = NamedDependency[SkipValidation[House]]


def house_of(connection: Connection) -> House:
    """The running house."""
    return cast(House, connection.app.state.house)


def caller_of(connection: Connection) -> Caller:
    """Whom `admit` let in."""
    return cast(Caller, connection.scope["state"]["caller"])


def provide_house(request: Request[Any, Any, Any]) -> House:
    """`house` for handlers."""
    return house_of(request)


def provide_caller(request: Request[Any, Any, Any]) -> Caller:
    """`caller` for handlers."""
    return caller_of(request)


async def admit(connection: Connection, handler: BaseRouteHandler) -> None:
    """Let a caller in: a valid key, and a place in its account's rate limit.

    Raises:
        Unauthenticated, Forbidden, RateLimited, Unavailable.
    """
    house = house_of(connection)
    caller = await house.keys.authenticate(connection.scope)
    state = connection.scope["state"]
    state["caller"] = caller
    bucket = handler.opt.get("bucket", "read")
    state["rate_headers"] = await house.limits.admit(caller, bucket)


async def no_stray_query(connection: Connection, handler: BaseRouteHandler) -> None:
    """Refuse a query string where the handler names no model for one.

    Raises:
        Invalid: unknown_parameter.
    """
    if "query" not in handler.opt and connection.scope["query_string"]:
        read_query(connection, NoQuery)


def needs_scope(scope: str) -> Callable[[Connection, BaseRouteHandler], Awaitable[None]]:
    """A guard that lets only keys with `scope` pass. (Litestar would run one that isn't async in a thread.)"""

    async def guard(connection: Connection, handler: BaseRouteHandler) -> None:
        if scope not in caller_of(connection).scopes:
            raise Forbidden(f"This key lacks the scope {scope}; use one that has it.", code="scope_missing")

    return guard
