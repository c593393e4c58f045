"""What schemathesis asks of every answer, beside its own checks.

Its check that schema-valid data is accepted is replaced by one that also accepts a refusal naming a field whose rule
JSON Schema can't say: that a moment lies in a range, a word is a unit, two facts agree, base64 is a picture.
"""

from __future__ import annotations

import re
from typing import Any

import schemathesis
from schemathesis.specs.openapi.checks import positive_data_acceptance

BEYOND_JSON_SCHEMA = (
    ("/v1/(usage|credits)", r"from|to|tz|page"),
    ("/v1/keys", r"name|allowed_(ips|models)\[\d+\]|expires_at|limit_reset"),
    ("/v1/admin/accounts", r"name|plan"),
    ("/v1/clinic", r"patient\.(sex|birth_date|age\.unit|age_months|weight\.unit|weight_kg)"),
    ("/v1/clinic/dose", r"drug|strength\.unit|per_kg\.unit"),
    ("/v1/clinic/exposure", r"substance"),
    ("/v1/clinic/check", r"drugs"),
    ("/v1/clinic/labs", r"analytes(\[\d+\]\.(name|reference))?"),
    ("/v1/clinic/calculate", r"inputs\..*"),
    ("/v1/clinic/triage", r"text"),
    ("/v1/clinic/differentials", r"signs|analytes(\[\d+\]\.\w+)?"),
    ("/v1/(chat|estimate)", r"vetx\.patients?.*|messages\[\d+\]\.content\[\d+\]\.(image_url\.url|file(\.file_data)?)"),
    (
        "/v1/(chat|estimate)",
        r"logprobs|tool_choice|response_format(\.type|\.json_schema(\.name)?)?|max_(completion_)?tokens",
    ),
    ("/v1", r"x-user-id|X-App-Source"),
)


@schemathesis.check
def valid_data_is_accepted_or_its_rule_is_beyond_json_schema(ctx: Any, response: Any, case: Any) -> None:
    """The replacement; the original is switched off in schemathesis.toml."""
    if response.status_code == 400:
        param = response.json()["error"]["param"] or ""
        if any(re.match(path, case.path) and re.fullmatch(rule, param) for path, rule in BEYOND_JSON_SCHEMA):
            return
    if response.status_code == 422 and response.json()["error"]["code"] == "idempotency_key_reused":
        return
    positive_data_acceptance(ctx, response, case)


@schemathesis.check
def refusals_are_in_the_one_envelope(ctx: Any, response: Any, case: Any) -> None:
    """Every 4xx and 5xx has the four keys, and every answer its own request id."""
    assert response.headers["x-request-id"][0].startswith("req_")
    if response.status_code >= 400 and case.path.startswith("/v1") and response.request.method != "HEAD":
        error = response.json()["error"]
        assert {"message", "type", "param", "code"} <= set(error)
