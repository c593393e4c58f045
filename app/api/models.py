"""`GET /v1/models`, `/v1/models/{id}` and its card: OpenAI's list, with windows, prices and what was measured."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

from litestar import Controller, Request, get
from litestar.params import FromPath

from app.api.answers import Listed, ModelCard, ModelShown
from app.api.guards import GivenCaller, GivenHouse
from app.base.catalogue import Model
from app.base.errors import NotFound
from app.base.money import NANO_PER_DOLLAR
from app.turns.house import House

ROOT = Path(__file__).resolve().parents[2]
CARD = "/card"
INTENDED_USE = (
    "Informs veterinary staff, and owners until they reach one, about animals of the species on record. "
    "It does not examine, diagnose or prescribe, and does not replace a vet."
)
LIMITS = (
    "Figures come only from the records of GET /v1/clinic/...; what they do not hold is said to be not covered.",
    "Measured are the clinic's answers, which every model here is given, and the guard that every answer passes; "
    "not the words that a model puts around them.",
    "Free text is read in English; the owner's language counts for triage (English, Spanish, French, German, "
    "Portuguese, Chinese).",
    "A finding that is absent was not found in the records; it is no proof of safety.",
)
CREATED = 1_767_225_600
"""2026-01-01, the day the first model row was written [epoch s]."""


def price_per_token(nano: int) -> str:
    """A decimal string in dollars, as OpenRouter writes prices: 8,320 is `"0.00000832"`."""
    return format((Decimal(nano) / NANO_PER_DOLLAR).normalize(), "f")


def shape(model: Model) -> ModelShown:
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
    def list_models(self, house: GivenHouse, caller: GivenCaller) -> Listed[ModelShown]:
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
    def one_model(
        self, request: Request[Any, Any, Any], model_id: FromPath[str], house: GivenHouse, caller: GivenCaller
    ) -> ModelShown | ModelCard:
        """One model; with `/card` behind its id, its card: versions, measured results, limits, intended use."""
        name = model_id.removeprefix("/")
        model = house.catalogue.models.get(name)
        wants_card = model is None and name.endswith(CARD)
        if wants_card:
            model = house.catalogue.models.get(name.removesuffix(CARD))
        if model is None or (caller.allowed_models and model.id not in caller.allowed_models):
            raise NotFound(
                "There is no such model; GET /v1/models lists what there is.", code="model_not_found", param="model_id"
            )
        return card(model, house, request.app.state.version) if wants_card else shape(model)


def card(model: Model, house: House, version: str) -> ModelCard:
    """What a model is for, what was measured of it, and on which records; `measured` is null where nothing was."""
    from app.clinic import evaluation  # when a card is asked for, not at the start

    return {
        "object": "model.card",
        "id": model.id,
        "versions": {"service": version, "ruleset": house.ruleset, "engine": model.engine},
        "intended_use": INTENDED_USE,
        "limits": list(LIMITS),
        "measured": evaluation.published(ROOT, house.ruleset),
    }
