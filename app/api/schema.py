"""`/schema`: the OpenAPI description, made once from the routes and the models that really read bodies and queries."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any, get_args, get_origin

from litestar import Controller, Litestar, MediaType, Request, Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute
from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema
from typing_extensions import is_typeddict

from app.accounts.keys import APP_SOURCE_CHARACTERS_MAX, USER_ID_CHARACTERS_MAX
from app.base.messages import Json

REF = "#/components/schemas/{model}"
DESCRIPTION = (
    "A veterinary diagnostic assistant. It informs a vet; it does not replace one. "
    "Chat is OpenAI's API with a `vetx` object in requests and answers."
)
ERROR = {
    "type": "object",
    "description": "Every refusal, whatever its status. `message` says what to do next.",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {
                    "enum": [
                        "invalid_request_error",
                        "authentication_error",
                        "insufficient_quota",
                        "permission_error",
                        "idempotency_error",
                        "rate_limit_error",
                        "api_error",
                    ]
                },
                "param": {"type": ["string", "null"], "description": "The path of the field to mend."},
                "code": {"type": ["string", "null"]},
                "metadata": {"type": "object"},
            },
            "additionalProperties": False,
        }
    },
    "additionalProperties": False,
}
WHY = {
    400: "Not understood; `param` names the field.",
    401: "No key, or not a valid one.",
    402: "The wallet or a limit can't cover the most this call could cost.",
    403: "The key may not do this.",
    404: "Not here, or another account's.",
    409: "A call with this Idempotency-Key is still running.",
    413: "The body is over 64 MiB.",
    415: "The body is not JSON.",
    422: "This Idempotency-Key was used with another body.",
    429: "More calls than the plan allows; `Retry-After` says when.",
    500: "A fault of ours.",
    502: "The model's server failed.",
    503: "Not now; `Retry-After` says when.",
    504: "The model's server took too long.",
}
OF_EVERY_CALL = (400, 401, 403, 429, 500, 503)
OF_BODIES = (413, 415)
OF_CHAT = (402, 404, 409, 422, 502, 504)
HEADERS_OF_EVERY_CALL: list[Json] = [
    {
        "name": name,
        "in": "header",
        "required": False,
        "description": description,
        "schema": {"type": "string", "maxLength": characters_max},
    }
    for name, characters_max, description in (
        ("x-user-id", USER_ID_CHARACTERS_MAX, "The end user the call is for; named in usage reports."),
        ("X-App-Source", APP_SOURCE_CHARACTERS_MAX, "The app that calls; named in usage reports."),
    )
]


class _Schema(GenerateJsonSchema):
    """Pydantic's, without what helps no reader: titles, defaults of null, kinds that exist to be refused."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Never: a field's name is title enough."""
        return False

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        """With its default, unless that is null."""
        shown = super().default_schema(schema)
        return {key: value for key, value in shown.items() if key != "default" or value is not None}

    def tagged_union_schema(self, schema: core_schema.TaggedUnionSchema) -> JsonSchemaValue:
        """Without the kind that stands for all others, which is refused."""
        taken = {tag: choice for tag, choice in schema["choices"].items() if tag != "(other)"}
        return super().tagged_union_schema({**schema, "choices": taken})


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
        state = request.app.state
        if "openapi" not in state:
            state.openapi = describe(request.app)
        return Response(state.openapi)


def describe(app: Litestar) -> Json:
    """The OpenAPI document of everything that is served."""
    schemas: Json = {"Error": ERROR}
    paths: Json = {}
    for route in sorted(_routes(app), key=lambda route: route.path_format):
        for handler in route.route_handlers:
            if handler.resolve_include_in_schema():
                for method in sorted(handler.http_methods - {"OPTIONS"}):
                    operation = _operation(route, handler, schemas)
                    paths.setdefault(route.path_format, {})[method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {"title": "vetx", "version": app.state.version, "description": DESCRIPTION},
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(schemas.items())),
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "description": "vt_key_…"}},
        },
    }


def _routes(app: Litestar) -> Iterator[HTTPRoute]:
    return (route for route in app.routes if isinstance(route, HTTPRoute))


def _operation(route: HTTPRoute, handler: HTTPRouteHandler, schemas: Json) -> Json:
    """One method of one address."""
    opt = handler.opt
    summary, _, rest = inspect.cleandoc(handler.fn.__doc__ or "").partition("\n")
    operation: Json = {
        "operationId": _name(handler),
        "tags": sorted(handler.resolve_tags() or []),
        "summary": summary.rstrip("."),
        **({"description": rest.strip()} if rest.strip() else {}),
    }
    parameters: list[Json] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in route.path_parameters
    ]
    parameters += _parameters(opt["query"], schemas) if "query" in opt else []
    parameters += opt.get("headers", [])
    has_key = route.path_format.startswith("/v1/")
    if has_key:
        operation["security"] = [{"key": []}]
        parameters += HEADERS_OF_EVERY_CALL
    if parameters:
        operation["parameters"] = parameters
    if "body" in opt:
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": _define(opt["body"], schemas)}},
        }
    operation["responses"] = _responses(route, handler, has_key, schemas)
    return operation


def _name(handler: HTTPRouteHandler) -> str:
    """`operationId`: the controller and what it does, like `keys_rotate`."""
    controller, _, does = handler.fn.__qualname__.rpartition(".")
    return f"{controller.removesuffix('Controller').lower()}_{does}"


def _answer(handler: HTTPRouteHandler, schemas: Json) -> Json:
    """The schema of what a handler returns: of the type it says, or that its `opt` names where it writes bytes itself.

    The type checker holds handlers to the same types.
    """
    answer = handler.opt.get("answer") or inspect.signature(handler.fn, eval_str=True).return_annotation
    if get_origin(answer) is Response:
        (answer,) = get_args(answer)
    schema = TypeAdapter(answer).json_schema(ref_template=REF, mode="serialization", schema_generator=_Schema)
    for name, part in schema.pop("$defs", {}).items():
        schemas[name] = {key: value for key, value in part.items() if key != "title"}
    schema.pop("title", None)
    if not is_typeddict(answer):
        return schema
    schemas[answer.__name__] = schema
    return {"$ref": REF.format(model=answer.__name__)}


def _responses(route: HTTPRoute, handler: HTTPRouteHandler, has_key: bool, schemas: Json) -> Json:
    opt = handler.opt
    types: Json = {"application/json": {"schema": _answer(handler, schemas)}}
    for media_type in opt.get("also", ()):
        types[media_type] = {"schema": {"type": "string"}}
    refusals: set[int] = set(opt.get("refusals", ()))
    if has_key:
        refusals.update(OF_EVERY_CALL)
        refusals.update(OF_BODIES if "body" in opt else ())
        refusals.update((404,) if route.path_parameters else ())
        refusals.update(OF_CHAT if opt.get("streams") else ())
    error = {"application/json": {"schema": {"$ref": REF.format(model="Error")}}}
    others = {str(status): {"description": why, "content": types} for status, why in opt.get("others", {}).items()}
    return {
        str(handler.status_code): {"description": HTTPStatus(handler.status_code).phrase, "content": types},
        **others,
        **{str(status): {"description": WHY[status], "content": error} for status in sorted(refusals)},
    }


def _define(model: type[BaseModel], schemas: Json) -> Json:
    """A reference to a model, which is defined with everything it is made of."""
    schema = model.model_json_schema(ref_template=REF, schema_generator=_Schema)
    schemas.update(schema.pop("$defs", {}))
    schemas[model.__name__] = schema
    return {"$ref": REF.format(model=model.__name__)}


def _parameters(model: type[BaseModel], schemas: Json) -> list[Json]:
    """The fields of a query; none can be null, and a list may be repeated."""
    schema = model.model_json_schema(ref_template=REF, schema_generator=_Schema)
    schemas.update(schema.pop("$defs", {}))
    required = schema.get("required", [])
    parameters = []
    for name, shape in schema["properties"].items():
        options = [option for option in shape.pop("anyOf", ()) if option.get("type") != "null"]
        parameter = {"name": name, "in": "query", "required": name in required}
        if (description := shape.pop("description", None)) is not None:
            parameter["description"] = description
        parameters.append({**parameter, "schema": {**shape, **(options[0] if options else {})}})
    return parameters
