"""`GET /v1/models` and `/v1/models/{id}`: OpenAI's list, with windows and prices."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from litestar import Controller, get
from litestar.params import FromPath

from app.api.guards import GivenCaller, GivenHouse
from app.base.catalogue import Model
from app.base.errors import NotFound
from app.base.money import NANO_PER_DOLLAR

CREATED = 1_767_225_600
"""2026-01-01, the day the first model row was written [epoch s]."""


def price_per_token(nano: int) -> str:
    """A decimal string in dollars, as OpenRouter writes prices: 8,320 is `"0.00000832"`."""
    return format((Decimal(nano) / NANO_PER_DOLLAR).normalize(), "f")


def shape(model: Model) -> dict[str, Any]:
    """A model as `/v1/models` shows it."""
    return {
        "id": model.id,
        "object": "model",
        "created": CREATED,
        "owned_by": "vetx" if model.veterinary else (model.upstream or "vetx"),
        "context_window": model.context_tokens,
        "max_output_tokens": model.output_tokens_max,
        "modalities": list(model.modalities),
        "pricing": {
            "prompt": price_per_token(model.input_nano_per_token),
            "completion": price_per_token(model.output_nano_per_token),
        },
        "engine": model.engine,
        "quota": model.quota,
    }


class ModelsController(Controller):
    """What can be asked."""

    path = "/models"
    tags = ["models"]

    @get("", sync_to_thread=False)
    def list_models(self, house: GivenHouse, caller: GivenCaller) -> dict[str, Any]:
        """Every model that this key may use."""
        return {
            "object": "list",
            "data": [
                shape(model)
                for model in house.catalogue.models.values()
                if not caller.allowed_models or model.id in caller.allowed_models
            ],
            "has_more": False,
            "next_page": None,
        }

    @get("/{model_id:path}", sync_to_thread=False)
    def one_model(self, model_id: FromPath[str], house: GivenHouse, caller: GivenCaller) -> dict[str, Any]:
        """One model."""
        model = house.catalogue.models.get(model_id.removeprefix("/"))
        if model is None or (caller.allowed_models and model.id not in caller.allowed_models):
            raise NotFound(
                "There is no such model; GET /v1/models lists what there is.", code="model_not_found", param="model_id"
            )
        return shape(model)
