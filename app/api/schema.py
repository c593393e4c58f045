"""`/schema`: the OpenAPI description, made once from the routes and the models that really read bodies and queries."""

from __future__ import annotations

from functools import cache
from typing import Any

from litestar import Controller, Litestar, MediaType, Request, Response, get
from litestar.routes import HTTPRoute
from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from app.base.messages import Json

REF = "#/components/schemas/{model}"
ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "code": {"type": ["string", "null"]},
                "metadata": {"type": "object"},
            },
        }
    },
}


class _Schema(GenerateJsonSchema):
    """Pydantic's, with one definition for every name."""


class SchemaController(Controller):
    """Needs no key, and loads nothing from elsewhere."""

    path = "/schema"
    include_in_schema = False

    @get("", media_type=MediaType.HTML, sync_to_thread=False)
    def page(self) -> str:
        """A page for people who open the address."""
        return (
            "<!doctype html><meta charset=utf-8><title>vetx: the API</title>"
            "<p>The OpenAPI description is <a href=/schema/openapi.json>/schema/openapi.json</a>; "
            "any OpenAPI viewer shows it.</p>"
        )

    @get("/openapi.json", sync_to_thread=False)
    def openapi(self, request: Request[Any, Any, Any]) -> Response[Json]:
        """The description."""
        return Response(describe(request.app))


@cache
def describe(app: Litestar) -> Json:
    """The OpenAPI document of everything that is served."""
    document: Json = app.openapi_schema.to_schema()
    schemas: Json = document.setdefault("components", {}).setdefault("schemas", {})
    schemas["Error"] = ERROR
    document["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            for handler in route.route_handlers:
                for path, operations in document.get("paths", {}).items():
                    if path == route.path_format:
                        for method in handler.http_methods:
                            if (operation := operations.get(method.lower())) is not None:
                                _complete(operation, handler.opt, path, schemas)
    return document


def _complete(operation: Json, opt: Json, path: str, schemas: Json) -> None:
    """Add what the framework can't see: bodies, queries and errors."""
    responses = operation.setdefault("responses", {})
    for status in [status for status in responses if status.startswith(("4", "5"))]:
        del responses[status]
    error = {
        "description": "Refused.",
        "content": {"application/json": {"schema": {"$ref": REF.format(model="Error")}}},
    }
    responses["4XX"] = error
    responses["5XX"] = error
    if path.startswith("/v1/"):
        operation["security"] = [{"key": []}]
    if (body := opt.get("body")) is not None:
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": _define(body, schemas)}}},
        }
    if (query := opt.get("query")) is not None:
        operation.setdefault("parameters", []).extend(_parameters(query, schemas))
    if opt.get("streams"):
        responses["200"]["content"]["text/event-stream"] = {"schema": {"type": "string"}}


def _define(model: type[BaseModel], schemas: Json) -> str:
    schema = model.model_json_schema(ref_template=REF, schema_generator=_Schema)
    schemas.update(schema.pop("$defs", {}))
    schemas[model.__name__] = schema
    return REF.format(model=model.__name__)


def _parameters(model: type[BaseModel], schemas: Json) -> list[Json]:
    schema = model.model_json_schema(ref_template=REF, schema_generator=_Schema)
    schemas.update(schema.pop("$defs", {}))
    required = schema.get("required", [])
    return [
        {"name": name, "in": "query", "required": name in required, "schema": shape}
        for name, shape in schema["properties"].items()
    ]
