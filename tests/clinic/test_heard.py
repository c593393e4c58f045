"""A message is read once, and what was read of it is never changed by what follows."""

from __future__ import annotations

import copy
from dataclasses import fields, replace
from typing import Any

import pytest

from app.base.messages import Facts, Message, Text
from app.clinic import Clinic, heard, open_clinic
from app.clinic.assessment import facts_for
from app.clinic.heard import hear
from app.clinic.reading import Reading
from app.clinic.records import Records
from tests.clinic.conftest import ROOT

TURNS = (
    "My dog Bella is a 7 year old spayed Labrador of 34 kg. She vomited twice since yesterday.",
    "She got carprofen 75 mg yesterday, and our cat Tom, 4 kg, licked the plate.",
    "Creatinine 3.9 mg/dL, ALT 180 U/L, temperature 40.6. Is zorblaxicillin safe for her?",
    "How much maropitant, and how many kcal a day does she need?",
    "My ferret ate 2 ibuprofen 200 mg, he is wobbly.",
)


def shown(facts: Facts) -> dict[str, Any]:
    """Facts in a form that can be compared."""
    rows = {one.name: getattr(facts, one.name) for one in fields(facts) if one.name != "differentials"}
    return {**rows, "differentials": [one.answer() for one in facts.differentials]}


def conversation(records: Records, turns: tuple[str, ...], audience: Any = "clinician") -> dict[str, Any]:
    messages = [Message("user", (Text(turn),)) for turn in turns]
    return shown(facts_for(messages, (), audience, None, None, records))


@pytest.fixture(scope="module")
def strangers() -> Clinic:
    """The same records in a clinic that has heard nothing."""
    return open_clinic(ROOT)


def test_a_conversation_that_goes_on_is_assessed_as_a_new_one(records: Records, strangers: Clinic) -> None:
    for audience in ("clinician", "owner"):
        for count in range(1, len(TURNS) + 1):
            known = conversation(records, TURNS[:count], audience)
            assert known == conversation(records, TURNS[:count], audience)
            assert known == conversation(strangers.records, TURNS[:count], audience)


def test_an_assessment_changes_nothing_of_what_was_heard(records: Records) -> None:
    before = {text: copy.deepcopy(replace(hear(text, records, {}).reading, places=None)) for text in TURNS}
    for audience in ("owner", "clinician"):
        conversation(records, TURNS, audience)
        for text in TURNS:
            conversation(records, (text,), audience)
    for text, reading in before.items():
        assert replace(hear(text, records, {}).reading, places=None) == reading


def test_a_message_is_read_once(records: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    first = hear("My guinea pig Olaf, 900 g, is drooling and thin", records, {})

    def unread(*_: object) -> Reading:
        raise AssertionError("read again")

    monkeypatch.setattr(heard, "read", unread)
    assert hear("My guinea pig Olaf, 900 g, is drooling and thin", records, {}) is first


def test_a_known_name_makes_it_another_message(records: Records) -> None:
    text = "Bella weighs 5 kg"
    cat = hear(text, records, {"Bella": "cat"}).reading
    dog = hear(text, records, {"Bella": "dog"}).reading
    assert [one.species for one in cat.animals] == ["cat"]
    assert [one.species for one in dog.animals] == ["dog"]
