"""What a chat request would hold and which rules would apply, without a hold and without an engine."""

from __future__ import annotations

from app.base.messages import Ask, Json
from app.base.money import dollars
from app.turns.house import House
from app.turns.prepare import prepare


async def estimate(ask: Ask, house: House) -> Json:
    """The answer of `POST /v1/estimate`.

    Raises:
        Refused: whatever a chat request with this body would be refused for, money aside.
    """
    ready = await prepare(ask, house)
    wallet = await house.wallet.balance(ask.caller.account_id)
    return {
        "object": "estimate",
        "model": ready.model.id,
        "prompt_tokens": ready.prompt_tokens,
        "image_tokens": ready.image_tokens,
        "max_tokens": ready.quote.output_tokens,
        "hold": dollars(ready.quote.hold_nano),
        "affordable": wallet.available_nano >= ready.quote.least_nano,
        "rules": [{"id": rule.id, "severity": rule.severity} for rule in (ready.facts.rules if ready.facts else ())],
    }
