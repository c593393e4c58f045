"""`GET /v1/schemas`: the JSON Schemas of the documents that chat writes."""

from __future__ import annotations

from typing import Any

from litestar import Controller, get
from litestar.params import FromPath

from app.api.answers import DocumentListed, Listed
from app.api.guards import GivenHouse

Json = dict[str, Any]


class DocumentsController(Controller):
    """What `response_format` can ask for by name alone."""

    path = "/schemas"
    tags = ["chat"]

    @get("", opt={"answer": Listed[DocumentListed]}, sync_to_thread=False)
    def list_schemas(self, house: GivenHouse) -> Json:
        """Every document."""
        return {"object": "list", "data": house.clinic.schemas(), "has_more": False, "next_page": None}

    @get("/{name:str}", sync_to_thread=False)
    def one_schema(self, name: FromPath[str], house: GivenHouse) -> Json:
        """The JSON Schema of one document, by its name with or without `vetx_`."""
        return house.clinic.schema(name)
