"""Who may pass: key, then rate limit, then scope; all before a body is read."""

from __future__ import annotations

from collections.abc import Mapping
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
    """Let a caller in: the one guard of every handler, because the framework copies the handler for each guard.

    Raises:
        Unauthenticated, Forbidden, RateLimited, Unavailable; Invalid: unknown_parameter.
    """
    await let_in(connection, handler.opt)


async def let_in(connection: Connection, opt: Mapping[str, Any]) -> None:
    """A valid key, a place in its account's rate limit, no stray query string, the scope that a handler's `opt` names.

    Raises:
        Unauthenticated, Forbidden, RateLimited, Unavailable; Invalid: unknown_parameter.
    """
    house = house_of(connection)
    caller = await house.keys.authenticate(connection.scope)
    state = connection.scope["state"]
    state["caller"] = caller
    state["rate_headers"] = await house.limits.admit(caller, opt.get("bucket", "read"))
    if connection.scope["query_string"] and "query" not in opt:
        read_query(connection, NoQuery)
    scope = opt.get("scope")
    if scope is not None and scope not in caller.scopes:
        raise Forbidden(f"This key lacks the scope {scope}; use one that has it.", code="scope_missing")
