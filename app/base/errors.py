"""Everything vetx raises on purpose.

    VetxError
    ├── StartRefused              the service can't start; the message says what to do
    ├── BadData                   a file of species_data/, prompts/ or a catalogue is wrong; names file and key
    └── Refused                   becomes the one error envelope of the HTTP surface: status, type, code, param
        ├── Invalid               400  invalid_request_error
        ├── ContextTooLong        400  context_length_exceeded
        ├── Unauthenticated       401  authentication_error
        ├── WalletTooLow          402  insufficient_quota
        ├── Forbidden             403  permission_error
        ├── NotFound              404  invalid_request_error
        ├── MethodNotAllowed      405  invalid_request_error
        ├── IdempotencyInProgress 409  idempotency_error
        ├── TooLarge              413  invalid_request_error
        ├── UnsupportedMediaType  415  invalid_request_error
        ├── IdempotencyKeyReused  422  idempotency_error
        ├── RateLimited           429  rate_limit_error
        ├── ClientGone            499  nobody reads it: the client hung up
        ├── InternalError         500  api_error
        ├── UpstreamError         502  api_error
        ├── Unavailable           503  api_error: overloaded, database_unavailable, model_not_configured
        └── UpstreamTimeout       504  api_error

A message tells the caller what to do next. It never carries prompt text, picture bytes, a key, an upstream's body or
a stack.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from app.base.money import dollars


class VetxError(Exception):
    """The root of the tree."""


class StartRefused(VetxError):
    """The service can't start; the message says in one sentence what to do."""


class BadData(VetxError):
    """A file that vetx reads at its start is wrong."""

    def __init__(self, file: str, key: str, problem: str) -> None:
        self.file = file
        self.key = key
        super().__init__(f"{file}: {key}: {problem}")


class Refused(VetxError):
    """A request can't be done.

    Attributes:
        param: path of the field to mend, like `messages[0].content[1].image_url.url`, or None.
        metadata: further facts for the envelope, or None.
        retry_after_s: whole seconds after which a retry can help; None where only a change helps.
        may_retry: what the `x-should-retry` header says; None leaves the header out.
    """

    status: ClassVar[int] = 500
    type: ClassVar[str] = "api_error"
    code: str | None = None
    may_retry: bool | None = None

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        if code is not None:
            self.code = code
        self.param = param
        self.metadata = metadata
        self.retry_after_s = retry_after_s


class Invalid(Refused):
    """The request is not understood; `param` names the field."""

    status, type, code = 400, "invalid_request_error", "invalid_value"


class ContextTooLong(Invalid):
    """Prompt, rules, pictures and the asked-for answer don't fit the model's window."""

    code = "context_length_exceeded"


class Unauthenticated(Refused):
    """No key, or not one of ours: missing_api_key, invalid_api_key, api_key_expired, api_key_revoked."""

    status, type, code = 401, "authentication_error", "invalid_api_key"


class WalletTooLow(Refused):
    """The wallet, or a limit of the key, can't cover the most this request could cost."""

    status, type, code = 402, "insufficient_quota", "insufficient_balance"

    def __init__(
        self,
        *,
        available_nano: int,
        required_nano: int,
        affordable_max_tokens: int,
        limit_source: str = "account",
        own_holds_in_the_way: bool = False,
    ) -> None:
        advice = (
            f"lower max_tokens to {affordable_max_tokens} or less, or add funds"
            if affordable_max_tokens > 0
            else "add funds"
        )
        code = {"key": "key_limit_reached", "user": "user_limit_reached"}.get(limit_source, "insufficient_balance")
        if own_holds_in_the_way:
            advice += "; calls of yours that are still running hold the rest, so it may fit in a few seconds"
        super().__init__(
            f"This call may cost up to ${dollars(required_nano)}; ${dollars(available_nano)} is available: {advice}.",
            code=code,
            metadata={
                "limit_source": limit_source,
                "available": dollars(available_nano),
                "required": dollars(required_nano),
                "affordable_max_tokens": affordable_max_tokens,
            },
            retry_after_s=5 if own_holds_in_the_way else None,
        )
        self.available_nano = available_nano
        self.required_nano = required_nano
        self.affordable_max_tokens = affordable_max_tokens


class Forbidden(Refused):
    """The key may not do this: model_not_allowed, scope_missing, ip_not_allowed, user_id_not_allowed."""

    status, type, code = 403, "permission_error", "scope_missing"


class NotFound(Refused):
    """Nothing here, or another account's: model_not_found, not_found."""

    status, type, code = 404, "invalid_request_error", "not_found"


class MethodNotAllowed(Refused):
    """The address is right, the method isn't."""

    status, type, code = 405, "invalid_request_error", "method_not_allowed"


class IdempotencyInProgress(Refused):
    """A call with this Idempotency-Key is still running."""

    status, type, code = 409, "idempotency_error", "idempotency_in_progress"
    may_retry = True


class TooLarge(Refused):
    """The body is over 64 MiB."""

    status, type, code = 413, "invalid_request_error", "request_too_large"


class UnsupportedMediaType(Refused):
    """The body is not JSON."""

    status, type, code = 415, "invalid_request_error", "unsupported_media_type"


class IdempotencyKeyReused(Refused):
    """This Idempotency-Key was used with another body."""

    status, type, code = 422, "idempotency_error", "idempotency_key_reused"


class RateLimited(Refused):
    """More calls than the plan allows; `retry_after_s` is true to one second.

    Attributes:
        rate_headers: the rate-limit headers of the answer, as those of an admitted call.
    """

    status, type, code = 429, "rate_limit_error", "rate_limit_exceeded"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        retry_after_s: int,
        rate_headers: Sequence[tuple[bytes, bytes]] = (),
    ) -> None:
        super().__init__(message, code=code, retry_after_s=retry_after_s)
        self.rate_headers = tuple(rate_headers)


class ClientGone(Refused):
    """The client hung up; nobody reads this."""

    status, type, code = 499, "api_error", "client_gone"

    def __init__(self) -> None:
        super().__init__("The client has gone.")


class InternalError(Refused):
    """A fault of ours."""

    status, type, code = 500, "api_error", "internal_error"


class UpstreamError(Refused):
    """The model's server refused, broke off or sent garbage."""

    status, type, code = 502, "api_error", "upstream_error"


class Unavailable(Refused):
    """Not now: overloaded, database_unavailable, model_not_configured."""

    status, type, code = 503, "api_error", "overloaded"


class UpstreamTimeout(Refused):
    """The model's server did not answer in time."""

    status, type, code = 504, "api_error", "upstream_timeout"
