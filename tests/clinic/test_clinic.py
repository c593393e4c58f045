"""One clinic assesses a conversation, writes its prompt and guards its answer."""

from __future__ import annotations

from app.base.messages import Ask, Caller, Message, Text
from app.clinic import Clinic

CALLER = Caller(1, 1, "internal", frozenset({"chat"}), frozenset(), "u", "header", "Vetra-API")


def test_a_conversation_is_assessed_put_into_a_prompt_and_guarded(clinic: Clinic) -> None:
    message = Message("user", (Text("My 12 kg dog ate 200 g of dark chocolate an hour ago"),))
    facts = clinic.facts_for(Ask(CALLER, "vetx-23", (message,)), "US")
    prompt = clinic.render_prompt(facts, has_pictures=False)

    assert facts.jurisdiction == "US"
    assert facts.patients[0]["species"] == "dog"
    assert "chocolate" in prompt
    assert clinic.guard(facts) is not None
