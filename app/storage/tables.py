"""Every table, as data: the migrations make them, and a test compares the two."""

from __future__ import annotations

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Double,
    Enum,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)

from app.storage.rollup import FIRST_TOKEN_COLUMNS, ROLLUP_SUMS

metadata = MetaData()


def _moment(name: str, *, null: bool = False, now: bool = False) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=null, server_default=func.now() if now else None)


def _count(name: str, type_: type[BigInteger] | type[Integer] = BigInteger) -> Column[int]:
    return Column(name, type_, nullable=False, server_default=text("0"))


def _words(name: str) -> Column[object]:
    return Column(name, ARRAY(Text), nullable=False, server_default=text("'{}'"))


plan = Table(
    "plan",
    metadata,
    Column("name", Text, primary_key=True),
    Column("requests_per_min", Integer),
    Column("chat_per_day", Integer),
    Column("images_per_day", Integer),
    Column("videos_per_day", Integer),
)

MONEY_IN, REVENUE = 1, 2

account = Table(
    "account",
    metadata,
    Column("id", BigInteger, Identity(start=1000), primary_key=True),
    Column("kind", Text, nullable=False, server_default=text("'customer'")),
    Column("name", Text, nullable=False, server_default=text("''")),
    Column("plan", Text, ForeignKey("plan.name"), nullable=False, server_default=text("'free'")),
    Column("requests_per_min", Integer),
    Column("jurisdiction", Text),
    Column("low_balance_threshold_nano", BigInteger),
    _count("balance_nano"),
    _count("held_nano"),
    _moment("created_at", now=True),
    CheckConstraint("kind = 'system' OR (held_nano >= 0 AND balance_nano >= held_nano)", name="account_money_check"),
)

allowance = Table(
    "allowance",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("account_id", BigInteger, ForeignKey("account.id"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("limit_nano", BigInteger),
    Column("reset", Text),
    _moment("period_start", now=True),
    _count("spent_nano"),
    _count("held_nano"),
    UniqueConstraint("account_id", "kind", "subject"),
)

api_key = Table(
    "api_key",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("account_id", BigInteger, ForeignKey("account.id"), nullable=False),
    Column("name", Text, nullable=False, server_default=text("''")),
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("redacted_value", Text, nullable=False),
    _moment("created_at", now=True),
    _moment("expires_at", null=True),
    _moment("revoked_at", null=True),
    _moment("last_used_at", null=True),
    Column("disabled", Boolean, nullable=False, server_default=text("false")),
    _words("scopes"),
    _words("allowed_models"),
    _words("allowed_ips"),
    Column("may_set_user_id", Boolean, nullable=False, server_default=text("true")),
    Column("memory_default", Text, nullable=False, server_default=text("'read_write'")),
    Column("allowance_id", BigInteger, ForeignKey("allowance.id")),
    Column("rotated_to", BigInteger, ForeignKey("api_key.id")),
    Index("api_key_of_account", "account_id", "id"),
)

_state = Enum("authorized", "settled", "voided", "expired", name="charge_state")

charge = Table(
    "charge",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("account_id", BigInteger, ForeignKey("account.id"), nullable=False),
    Column("allowance_id", BigInteger, ForeignKey("allowance.id")),
    Column("state", _state, nullable=False, server_default=text("'authorized'")),
    Column("worker_id", Text, nullable=False),
    Column("price_in_nano", BigInteger, nullable=False),
    Column("price_out_nano", BigInteger, nullable=False),
    _count("price_unit_nano"),
    Column("hold_nano", BigInteger, nullable=False),
    _count("prompt_tokens"),
    _count("completion_tokens"),
    _count("image_tokens"),
    _count("num_images", Integer),
    _count("units"),
    _count("charged_nano"),
    _count("overrun_nano"),
    Column("usage_source", Text),
    Column("model", Text, nullable=False),
    Column("engine", Text, nullable=False),
    Column("upstream", Text),
    Column("api_key_id", BigInteger),
    Column("user_id", Text),
    Column("user_id_source", Text),
    Column("app_source", Text),
    Column("species", Text),
    Column("close_reason", Text),
    Column("http_status", Integer),
    Column("first_token_ms", Integer),
    Column("duration_ms", Integer),
    _count("interventions", Integer),
    _words("rules"),
    _moment("lease_until"),
    _moment("created_at", now=True),
    _moment("closed_at", null=True),
    Index("charge_open", "lease_until", postgresql_where=text("state = 'authorized'")),
    Index("charge_closed", "account_id", "created_at", "id", postgresql_where=text("state <> 'authorized'")),
    Index("charge_failed", "account_id", "closed_at", postgresql_where=text("state IN ('voided', 'expired')")),
)

entry = Table(
    "entry",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("debit_account", BigInteger, ForeignKey("account.id"), nullable=False),
    Column("credit_account", BigInteger, ForeignKey("account.id"), nullable=False),
    Column("amount_nano", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("charge_id", Uuid, ForeignKey("charge.id")),
    Column("external_ref", Text),
    _moment("created_at", now=True),
    Index("entry_one_charge", "charge_id", unique=True, postgresql_where=text("kind = 'charge'")),
    Index("entry_external_ref", "external_ref", unique=True, postgresql_where=text("external_ref IS NOT NULL")),
    Index("entry_debit", "debit_account", "created_at", "id"),
    Index("entry_credit", "credit_account", "created_at", "id", postgresql_where=text("kind <> 'charge'")),
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("account_id", BigInteger, ForeignKey("account.id"), primary_key=True),
    Column("key_digest", LargeBinary, primary_key=True),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("charge_id", Uuid, nullable=False),
    Column("sealed_answer", LargeBinary),
    _moment("expires_at"),
    Index("idempotency_charge", "charge_id", unique=True),
    Index("idempotency_expires", "expires_at"),
)

usage_event = Table(
    "usage_event",
    metadata,
    Column("charge_id", Uuid, ForeignKey("charge.id"), primary_key=True),
    Column("account_id", BigInteger, nullable=False),
    _moment("occurred_at", now=True),
    Column("model", Text, nullable=False),
    Column("engine", Text, nullable=False),
    Column("upstream", Text),
    Column("api_key_id", BigInteger),
    Column("user_id", Text),
    Column("user_id_source", Text),
    Column("app_source", Text),
    Column("species", Text),
    Column("prompt_tokens", BigInteger, nullable=False),
    Column("completion_tokens", BigInteger, nullable=False),
    _count("image_tokens"),
    _count("num_images", Integer),
    _count("units"),
    _count("interventions", Integer),
    Column("aborted", Boolean, nullable=False, server_default=text("false")),
    Column("first_token_ms", Integer),
    Column("duration_ms", Integer),
    Column("cost_nano", BigInteger, nullable=False),
    Index("usage_event_when", "account_id", "occurred_at"),
)

usage_rollup = Table(
    "usage_rollup",
    metadata,
    Column("account_id", BigInteger, nullable=False),
    Column("grain_min", SmallInteger, nullable=False),
    Column("by_user", Boolean, nullable=False),
    _moment("starts_at"),
    Column("model", Text, nullable=False),
    Column("engine", Text, nullable=False),
    Column("api_key_id", BigInteger),
    Column("app_source", Text),
    Column("species", Text),
    Column("user_id", Text),
    *(Column(name, BigInteger, nullable=False) for name in ROLLUP_SUMS),
    Column("first_token_ms_min", Integer),
    Column("first_token_ms_max", Integer),
    *(Column(name, Integer, nullable=False) for name in FIRST_TOKEN_COLUMNS),
    UniqueConstraint(
        "account_id",
        "grain_min",
        "by_user",
        "starts_at",
        "model",
        "engine",
        "api_key_id",
        "app_source",
        "species",
        "user_id",
        name="usage_rollup_key",
        postgresql_nulls_not_distinct=True,
    ),
)

# accounts: the calls that per-minute limits admitted, by second
rate_window = Table(
    "rate_window",
    metadata,
    Column("account_id", BigInteger, ForeignKey("account.id"), primary_key=True),
    Column("bucket", Text, CheckConstraint("bucket IN ('generate', 'read')"), primary_key=True),
    Column("moment", Double, nullable=False),
    Column("places", Integer, nullable=False),
    Column("granted", Integer, nullable=False),
    Column("counts", ARRAY(Integer), CheckConstraint("cardinality(counts) = 61"), nullable=False),
)
