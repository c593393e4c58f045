"""`/v1/admin`: accounts, credits and the books, for operators. Only the command line grants the scope it needs."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any

from litestar import Controller, Request, Response, get, patch, post
from litestar.params import FromPath
from litestar.status_codes import HTTP_201_CREATED
from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from app.accounts.accounts import DEFAULT_PLAN, NAME_CHARACTERS_MAX, PLAN_OF_LOAD_TESTS, Account
from app.accounts.key_rows import FIRST_KEY_SCOPES, KeyTerms
from app.api.answers import AccountMade, AccountShown, CreditAdded, Listed, Reconciliation
from app.api.body import read_body, read_query
from app.api.guards import GivenHouse
from app.api.keys import ITEMS_MAX, listed, page_of, stored_id
from app.base.clock import rfc3339
from app.base.errors import Invalid, NotFound
from app.base.messages import Json
from app.base.money import NANO_PER_DOLLAR, dollars
from app.base.settings import Jurisdiction
from app.billing.reconcile import reconcile
from app.turns.house import House

CREDIT_DOLLARS_MAX = 1_000_000
IDEMPOTENCY_KEY_CHARACTERS_MAX = 255
FIRST_KEY = "First key"
AMOUNT_SCHEMA = [
    {"type": "number", "exclusiveMinimum": 0, "maximum": CREDIT_DOLLARS_MAX, "multipleOf": 1e-9},
    {"type": "string", "pattern": r"^(?!0*(\.0*)?$)\d{1,6}(\.\d{1,9})?$"},
]
IDEMPOTENCY_KEY: Json = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": True,
    "description": "The payment's id; the same one adds nothing twice.",
    "schema": {"type": "string", "pattern": r"^[!-~]{1,255}$"},
}


class _Closed(BaseModel):
    """Unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class AccountFields(_Closed):
    """The body of `POST /v1/admin/accounts`."""

    name: str = Field(min_length=1, max_length=NAME_CHARACTERS_MAX)
    plan: str = Field(DEFAULT_PLAN, max_length=64)
    jurisdiction: Jurisdiction | None = Field(None, description="Whose drug law holds for its calls.")


class AccountChanges(_Closed):
    """The body of `PATCH /v1/admin/accounts/{id}`."""

    plan: str = Field(max_length=64)


class Credit(_Closed):
    """The body of `POST /v1/admin/accounts/{id}/credits`."""

    amount: Annotated[
        Decimal, Field(gt=0, le=CREDIT_DOLLARS_MAX, decimal_places=9), WithJsonSchema({"anyOf": AMOUNT_SCHEMA})
    ] = Field(description="What to add [USD], as a decimal string or a number.")


class AccountsQuery(BaseModel):
    """The query of `GET /v1/admin/accounts`."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(ITEMS_MAX, ge=1, le=ITEMS_MAX)
    page: str | None = Field(
        None,
        description="`next_page` of the list before.",
        json_schema_extra={"pattern": r"^acct_[0-9]{1,18}$"},
    )


def account_id_of(text: str) -> int:
    """The stored id of `acct_1000`.

    Raises:
        NotFound: it can't be one.
    """
    account_id = stored_id(text, "acct_")
    if account_id is None:
        raise NotFound(f"There is no account {text[:40]}; GET /v1/admin/accounts lists those there are.")
    return account_id


def idempotency_key_of(request: Request[Any, Any, Any]) -> str:
    """The Idempotency-Key of a request that needs one.

    Raises:
        Invalid: there is none, or it can't be one.
    """
    keys = request.headers.getall("idempotency-key", [])
    if not keys:
        raise Invalid(
            "Send the payment's id in the header Idempotency-Key, so that a repeated call adds nothing twice.",
            code="missing_required_parameter",
            param="Idempotency-Key",
        )
    if len(keys) > 1 or not 1 <= len(keys[0]) <= IDEMPOTENCY_KEY_CHARACTERS_MAX or not _visible(keys[0]):
        raise Invalid(
            f"Idempotency-Key: give it once, 1 to {IDEMPOTENCY_KEY_CHARACTERS_MAX} visible ASCII characters.",
            param="Idempotency-Key",
        )
    return keys[0]


def _visible(text: str) -> bool:
    return all("!" <= character <= "~" for character in text)


def _check_plan(plan: str) -> None:
    if plan == PLAN_OF_LOAD_TESTS:
        raise Invalid(f"plan: {PLAN_OF_LOAD_TESTS} is given by the command line only.", param="plan")


async def shape(house: House, account: Account) -> AccountShown:
    """An account as it is shown, with its wallet."""
    wallet = await house.wallet.balance(account.id)
    return {
        "id": f"acct_{account.id}",
        "object": "account",
        "name": account.name,
        "plan": account.plan,
        "requests_per_min": account.requests_per_min,
        "jurisdiction": account.jurisdiction,
        "created_at": rfc3339(account.created_at),
        "balance": dollars(wallet.balance_nano),
        "held": dollars(wallet.held_nano),
        "available": dollars(wallet.available_nano),
    }


class AdminController(Controller):
    """What the `vetx` command does, over HTTP."""

    path = "/admin"
    opt = {"scope": "admin"}
    tags = ["admin"]

    @get("/accounts", opt={"query": AccountsQuery})
    async def list_accounts(self, request: Request[Any, Any, Any], house: GivenHouse) -> Listed[AccountShown]:
        """All accounts, newest first."""
        query = read_query(request, AccountsQuery)
        accounts = await house.accounts.newest(query.limit + 1, page_of(query.page, "acct_"))
        return listed([await shape(house, account) for account in accounts], query.limit)

    @post("/accounts", opt={"body": AccountFields})
    async def create_account(self, request: Request[Any, Any, Any], house: GivenHouse) -> AccountMade:
        """Make an account with an empty wallet, and its first key, whose plain text is in this answer only."""
        fields = await read_body(request, AccountFields)
        _check_plan(fields.plan)
        account = await house.accounts.create(fields.name, fields.plan, fields.jurisdiction)
        key, plain = await house.keys.create(account.id, KeyTerms(FIRST_KEY, FIRST_KEY_SCOPES))
        return {"account": await shape(house, account), "key": {"id": f"key_{key.id}", "value": plain}}

    @get("/accounts/{account_id:str}")
    async def one_account(self, account_id: FromPath[str], house: GivenHouse) -> AccountShown:
        """One account."""
        return await shape(house, await house.accounts.get(account_id_of(account_id)))

    @patch("/accounts/{account_id:str}", opt={"body": AccountChanges})
    async def change_account(
        self, account_id: FromPath[str], request: Request[Any, Any, Any], house: GivenHouse
    ) -> AccountShown:
        """Put an account on another plan; obeyed everywhere within 5 s."""
        changes = await read_body(request, AccountChanges)
        _check_plan(changes.plan)
        return await shape(house, await house.accounts.change_plan(account_id_of(account_id), changes.plan))

    @post("/accounts/{account_id:str}/credits", opt={"body": Credit, "headers": [IDEMPOTENCY_KEY], "refusals": [422]})
    async def add_credit(
        self, account_id: FromPath[str], request: Request[Any, Any, Any], house: GivenHouse
    ) -> Response[CreditAdded]:
        """Put money into a wallet; the same Idempotency-Key adds it once, however often it comes."""
        reference = idempotency_key_of(request)
        credit = await read_body(request, Credit)
        account = await house.accounts.get(account_id_of(account_id))
        deposit = await house.wallet.deposit(account.id, int(credit.amount * NANO_PER_DOLLAR), reference)
        answer: CreditAdded = {
            "id": f"txn_{deposit.entry_id}",
            "object": "credit",
            "account": f"acct_{account.id}",
            "amount": dollars(int(credit.amount * NANO_PER_DOLLAR)),
            "currency": "usd",
            "balance": dollars(deposit.balance_nano),
        }
        replayed = {} if deposit.added else {"Idempotent-Replayed": "true"}
        return Response(answer, status_code=HTTP_201_CREATED, headers=replayed)

    @get("/reconcile")
    async def reconcile_books(self, house: GivenHouse) -> Reconciliation:
        """Run the ledger's invariants; the books add up when none returns a row."""
        rows = await reconcile(house.database)
        return {"object": "reconciliation", "ok": not rows, "rows": list(rows)}
