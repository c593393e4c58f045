"""`/v1/key` and `/v1/keys`: a key about itself, and an account's keys for those that may manage them."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, Any, TypeVar

from litestar import Controller, Request, delete, get, patch, post
from litestar.params import FromPath
from litestar.status_codes import HTTP_200_OK
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, WithJsonSchema

from app.accounts.key_rows import DEFAULT_SCOPES, Key, KeyTerms, LimitReset, MemoryDefault, Scope
from app.accounts.keys import GRACE_S_MAX, NAME_CHARACTERS_MAX
from app.api.answers import AccountShown, KeyDeleted, KeyMade, KeyShown, Listed
from app.api.body import WHOLE, must_be_json, parse_body, raw_body, read_body, read_query
from app.api.guards import GivenCaller, GivenHouse
from app.api.usage import KEY_PATTERN
from app.base.clock import rfc3339
from app.base.errors import Invalid, NotFound
from app.base.money import NANO_PER_DOLLAR, dollars
from app.billing.key_spending import KeySpending, spending_of_keys
from app.turns.house import House

Shown = TypeVar("Shown", KeyShown, AccountShown)
NAMELESS = "API key"
ITEMS_MAX = 100
ID_DIGITS_MAX = 18
DOLLARS_SCHEMA = {
    "anyOf": [
        {"type": "number", "minimum": 0, "maximum": 999_999_999, "multipleOf": 1e-9},
        {"type": "string", "pattern": r"^\d{1,9}(\.\d{1,9})?$"},
    ]
}
Dollars = Annotated[Decimal, Field(ge=0, le=999_999_999, decimal_places=9), WithJsonSchema(DOLLARS_SCHEMA)]
Model = Annotated[str, Field(min_length=1, max_length=200)]
Address = Annotated[str, Field(min_length=1, max_length=64)]


class _Closed(BaseModel):
    """Unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class KeyFields(_Closed):
    """The body of `POST /v1/keys`; what is left out has the default of a new key."""

    name: str = Field(NAMELESS, max_length=NAME_CHARACTERS_MAX, description="What the key is for.")
    scopes: list[Scope] = Field(default=list(DEFAULT_SCOPES), min_length=1, max_length=8)
    allowed_models: list[Model] = Field(default=[], max_length=100, description="Empty: every model.")
    allowed_ips: list[Address] = Field(default=[], max_length=100, description="Addresses or networks; empty: any.")
    expires_at: AwareDatetime | None = Field(None, description="RFC 3339 with an offset.")
    disabled: bool = False
    may_set_user_id: bool = True
    memory_default: MemoryDefault = "read_write"
    limit: Dollars | None = Field(None, description="The most it may spend in a period, or ever [USD].")
    limit_reset: LimitReset | None = Field(None, description="In UTC.")


class KeyChanges(KeyFields):
    """The body of `PATCH /v1/keys/{id}`; what is left out stays as it is."""


class Rotation(_Closed):
    """The body of `POST /v1/keys/{id}/rotate`."""

    grace_period_seconds: Annotated[int, Field(ge=0, le=GRACE_S_MAX), WHOLE] = Field(
        0, description="How long the old key still works."
    )


class KeysQuery(BaseModel):
    """The query of `GET /v1/keys`."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(ITEMS_MAX, ge=1, le=ITEMS_MAX)
    page: str | None = Field(
        None, description="`next_page` of the list before.", json_schema_extra={"pattern": KEY_PATTERN}
    )


def stored_id(text: str, prefix: str) -> int | None:
    """The stored id of `key_17`; None for what can't be one."""
    digits = text.removeprefix(prefix)
    if digits == text or not digits.isascii() or not digits.isdigit() or len(digits) > ID_DIGITS_MAX:
        return None
    return int(digits)


def key_id_of(text: str) -> int:
    """The stored id of a key.

    Raises:
        NotFound: it can't be one.
    """
    key_id = stored_id(text, "key_")
    if key_id is None:
        raise NotFound("There is no such key; GET /v1/keys lists those there are.")
    return key_id


def page_of(page: str | None, prefix: str) -> int | None:
    """The id that a page goes on after.

    Raises:
        Invalid: no list of ours said this.
    """
    if page is None:
        return None
    before = stored_id(page, prefix)
    if before is None:
        raise Invalid("page: send next_page of the list before, unchanged.", param="page")
    return before


def listed(items: Sequence[Shown], count: int) -> Listed[Shown]:
    """A list of `count` items of one more that were asked for; the page after it begins at its last id."""
    shown = list(items[:count])
    has_more = len(items) > count
    return {
        "object": "list",
        "data": shown,
        "has_more": has_more,
        "next_page": shown[-1]["id"] if has_more else None,
    }


def terms_of(fields: KeyFields) -> dict[str, Any]:
    """The fields that a body names, as KeyTerms names them."""
    given = {name: getattr(fields, name) for name in fields.model_fields_set}
    for name in ("scopes", "allowed_models", "allowed_ips"):
        if name in given:
            given[name] = tuple(dict.fromkeys(given[name]))
    if "limit" in given:
        limit = given.pop("limit")
        given["limit_nano"] = None if limit is None else int(limit * NANO_PER_DOLLAR)
        if limit is None:
            given.setdefault("limit_reset", None)
    return given


def shape(key: Key, spending: KeySpending) -> KeyShown:
    """A key as it is shown; never its plain text."""
    terms = key.terms
    remaining = spending.limit_remaining_nano
    return {
        "id": f"key_{key.id}",
        "object": "api_key",
        "name": terms.name,
        "redacted_value": key.redacted_value,
        "created_at": rfc3339(key.created_at),
        "expires_at": None if terms.expires_at is None else rfc3339(terms.expires_at),
        "last_used_at": None if key.last_used_at is None else rfc3339(key.last_used_at),
        "disabled": terms.disabled,
        "scopes": list(terms.scopes),
        "allowed_models": list(terms.allowed_models),
        "allowed_ips": list(terms.allowed_ips),
        "may_set_user_id": terms.may_set_user_id,
        "memory_default": terms.memory_default,
        "limit": None if terms.limit_nano is None else dollars(terms.limit_nano),
        "limit_reset": terms.limit_reset,
        "limit_remaining": None if remaining is None else dollars(remaining),
        "usage": dollars(spending.total_nano),
        "usage_daily": dollars(spending.day_nano),
        "usage_monthly": dollars(spending.month_nano),
    }


async def shapes(house: House, account_id: int, keys: Sequence[Key]) -> list[KeyShown]:
    """Keys of one account as they are shown, with what they have spent."""
    spending = await spending_of_keys(house.database, account_id, {key.id: key.allowance_id for key in keys})
    return [shape(key, spending[key.id]) for key in keys]


class OwnKeyController(Controller):
    """The key that asks."""

    path = "/key"
    tags = ["keys"]

    @get("")
    async def own(self, house: GivenHouse, caller: GivenCaller) -> KeyShown:
        """This key: what it may do, and what it has spent."""
        key = await house.keys.get(caller.account_id, caller.key_id)
        return (await shapes(house, caller.account_id, [key]))[0]


class KeysController(Controller):
    """The keys of the caller's account."""

    path = "/keys"
    opt = {"scope": "keys"}
    tags = ["keys"]

    @post("", opt={"body": KeyFields})
    async def create(self, request: Request[Any, Any, Any], house: GivenHouse, caller: GivenCaller) -> KeyMade:
        """Make a key. Its plain text is in this answer and nowhere else, ever."""
        terms = terms_of(await read_body(request, KeyFields))
        key, plain = await house.keys.create(
            caller.account_id, KeyTerms(**{"name": NAMELESS, **terms}), held=caller.scopes
        )
        return {**(await shapes(house, caller.account_id, [key]))[0], "key": plain}

    @get("", opt={"query": KeysQuery})
    async def list_keys(
        self, request: Request[Any, Any, Any], house: GivenHouse, caller: GivenCaller
    ) -> Listed[KeyShown]:
        """Those not revoked, newest first."""
        query = read_query(request, KeysQuery)
        keys = await house.keys.newest(caller.account_id, query.limit + 1, page_of(query.page, "key_"))
        return listed(await shapes(house, caller.account_id, keys), query.limit)

    @get("/{key_id:str}")
    async def one(self, key_id: FromPath[str], house: GivenHouse, caller: GivenCaller) -> KeyShown:
        """One key."""
        key = await house.keys.get(caller.account_id, key_id_of(key_id))
        return (await shapes(house, caller.account_id, [key]))[0]

    @patch("/{key_id:str}", opt={"body": KeyChanges})
    async def change(
        self, key_id: FromPath[str], request: Request[Any, Any, Any], house: GivenHouse, caller: GivenCaller
    ) -> KeyShown:
        """Change some of a key's fields; obeyed everywhere within 5 s."""
        changes = terms_of(await read_body(request, KeyChanges))
        key = await house.keys.change(caller.account_id, key_id_of(key_id), changes, held=caller.scopes)
        return (await shapes(house, caller.account_id, [key]))[0]

    @delete("/{key_id:str}", status_code=HTTP_200_OK)
    async def revoke(self, key_id: FromPath[str], house: GivenHouse, caller: GivenCaller) -> KeyDeleted:
        """End a key for good, everywhere within 5 s."""
        await house.keys.revoke(caller.account_id, key_id_of(key_id))
        return {"id": key_id, "object": "api_key.deleted", "deleted": True}

    @post("/{key_id:str}/rotate", opt={"body": Rotation})
    async def rotate(
        self, key_id: FromPath[str], request: Request[Any, Any, Any], house: GivenHouse, caller: GivenCaller
    ) -> KeyMade:
        """Make a key in the place of this one, which still works for the grace period; 0 ends it now."""
        must_be_json(request)
        rotation = parse_body(await raw_body(request) or b"{}", Rotation)
        key, plain = await house.keys.rotate(
            caller.account_id, key_id_of(key_id), rotation.grace_period_seconds, held=caller.scopes
        )
        return {**(await shapes(house, caller.account_id, [key]))[0], "key": plain}
