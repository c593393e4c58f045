"""`/schema/openapi.json` is valid, lists what is served and nothing else, and is true of every answer.

The suite sends a bounded number of requests. The longer run, against any running service, from the checkout (KEY: of
an account on the plan `internal` with every scope, as `vetx accounts create Schema --plan internal --credit 1000
--admin` prints it):

    PYTHONPATH=. schemathesis --config-file tests/api/schemathesis.toml run \
        http://127.0.0.1:8000/schema/openapi.json -H "Authorization: Bearer $KEY" --max-examples 500
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
from pathlib import Path
from typing import Any

import jsonschema_rs

from app.accounts.key_rows import FIRST_KEY_SCOPES
from tests.api.conftest import Service

ROOT = Path(__file__).resolve().parents[2]
NOT_YET = ("memory", "images", "video", "client_secrets", "metrics", "dashboard", "widget", "/api/")
OPEN = {"/health/live", "/health/ready"}
LOCAL_REF = re.compile(r"#/components/schemas/\w+")


async def described(service: Service) -> Any:
    response = await service.client.get("/schema/openapi.json")
    assert response.status_code == 200
    return response.json()


def refs(node: Any) -> list[str]:
    """Every `$ref` in a document."""
    if isinstance(node, dict):
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return own + [ref for value in node.values() for ref in refs(value)]
    return [ref for value in node for ref in refs(value)] if isinstance(node, list) else []


async def test_every_operation_is_named_described_and_guarded(service: Service) -> None:
    document = await described(service)
    operations = [
        (path, method, operation) for path, item in document["paths"].items() for method, operation in item.items()
    ]

    assert document["openapi"] == "3.1.0"
    assert len({operation["operationId"] for _, _, operation in operations}) == len(operations) > 30
    for path, method, operation in operations:
        assert operation["summary"], path
        if path in OPEN:
            assert "security" not in operation
            continue
        assert operation["security"] == [{"key": []}], path
        refusals = {status for status in operation["responses"] if status >= "400"}
        assert refusals >= {"400", "401", "403", "429", "500", "503"}, path
        for status in refusals:
            schema = operation["responses"][status]["content"]["application/json"]["schema"]
            assert schema == {"$ref": "#/components/schemas/Error"}
        if method in ("post", "patch"):
            assert operation["requestBody"]["content"]["application/json"]["schema"], path
            assert refusals >= {"413", "415"}, path
        assert ("404" in refusals) or "{" not in path


async def test_what_is_described_is_what_is_served_and_nothing_of_later_releases(service: Service) -> None:
    account = await service.account()
    document = await described(service)

    for path, item in document["paths"].items():
        assert not [word for word in NOT_YET if word in path]
        options = await service.client.options(re.sub(r"\{\w+\}", "x", path))
        served = set(options.headers["allow"].lower().split(", ")) - {"head", "options"}
        assert served == set(item), path
    for word in ("memory", "images/generations", "videos", "client_secrets"):
        assert (await service.client.get(f"/v1/{word}", headers=account.headers)).status_code == 404


async def test_every_answer_has_a_shape_of_its_own(service: Service) -> None:
    document = await described(service)
    told = {
        operation["operationId"]: answer["content"]["application/json"]["schema"]
        for item in document["paths"].values()
        for operation in item.values()
        for status, answer in operation["responses"].items()
        if status < "300"
    }

    assert [name for name, schema in told.items() if schema.keys() <= {"type", "additionalProperties"}] == [
        "documents_one_schema"  # a JSON Schema itself
    ]
    completion = document["components"]["schemas"]["ChatCompletion"]
    assert {"id", "object", "created", "model", "choices", "usage", "vetx"} <= set(completion["required"])


async def test_every_schema_is_valid_and_nothing_is_loaded_from_elsewhere(service: Service) -> None:
    document = await described(service)

    for ref in refs(document):
        assert LOCAL_REF.fullmatch(ref), ref
        assert ref.rpartition("/")[2] in document["components"]["schemas"]
    for name, schema in document["components"]["schemas"].items():
        jsonschema_rs.meta.validate({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema})
        jsonschema_rs.Draft202012Validator({**schema, "components": document["components"]}), name
    page = await service.client.get("/schema")
    assert page.headers["content-type"].startswith("text/html")
    assert "://" not in page.text


async def test_schemathesis_finds_no_answer_that_the_description_does_not_tell(
    service: Service, tmp_path: Path
) -> None:
    account = await service.account(nano=1_000_000_000_000, scopes=(*FIRST_KEY_SCOPES, "admin"))
    command = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).with_name("schemathesis")),
        *("--config-file", str(ROOT / "tests/api/schemathesis.toml"), "run", f"{service.url}/schema/openapi.json"),
        *("-H", f"Authorization: Bearer {account.key}", "--phases", "examples,coverage,fuzzing"),
        *("--max-examples", "3", "--seed", "23", "--continue-on-failure", "--no-color"),
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await command.communicate()

    assert command.returncode == 0, output.decode()[:20_000]
