"""`GET /v1/models/{id}/card`: what was measured, on which records, and whether they are still the same."""

from __future__ import annotations

import json

from app.api.models import ROOT
from app.clinic.evaluation import RESULT
from tests.api.conftest import Service


async def test_a_card_shows_the_published_result_and_the_records_it_was_measured_on(service: Service) -> None:
    account = await service.account()
    answer = await service.client.get("/v1/models/vetx-23/card", headers=account.headers)

    card = answer.json()
    kept = json.loads((ROOT / RESULT).read_text(encoding="utf-8"))
    assert answer.status_code == 200
    assert (card["object"], card["id"]) == ("model.card", "vetx-23")
    assert card["versions"]["ruleset"] == service.house.ruleset
    assert card["intended_use"]
    assert card["limits"]
    assert card["measured"]["ruleset"] == kept["ruleset"]
    assert card["measured"]["measures"] == kept["measures"]
    assert card["measured"]["current"] == (kept["ruleset"] == service.house.ruleset)
    assert card["measured"]["current"] != bool(card["measured"]["note"])


async def test_there_is_no_card_of_a_model_that_is_not_there(service: Service) -> None:
    account = await service.account()

    for name in ("nothing/card", "/card", "vetx-23/card/card"):
        answer = await service.client.get(f"/v1/models/{name}", headers=account.headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found"), name
