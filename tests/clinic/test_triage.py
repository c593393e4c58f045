"""No emergency below emergency; what is denied, or another animal's, raises nothing."""

from __future__ import annotations

from typing import Any

import pytest

from app.clinic.reading import read
from app.clinic.records import Records
from app.clinic.triage import contacts, triage, urgency

TOM = {"species": "cat", "sex": "male"}
QUEEN = {"species": "cat", "sex": "female"}
DOG = {"species": "dog"}
RABBIT = {"species": "rabbit"}
HORSE = {"species": "horse"}
COW = {"species": "cattle"}

CASES: list[tuple[dict[str, Any] | None, str, str]] = [
    (TOM, "My cat keeps going to the litter box, straining to pee and nothing comes out", "emergency"),
    (None, "male cat can't pee since last night", "emergency"),
    (TOM, "he cannot urinate but seems fine and is purring", "emergency"),
    (DOG, "My dog is not breathing", "emergency"),
    (DOG, "he collapsed an hour ago but he is fine now", "emergency"),
    (DOG, "her belly is swollen and hard, she is trying to vomit but nothing comes up", "emergency"),
    (DOG, "retching and nothing comes out", "emergency"),
    (DOG, "his gums are very pale", "emergency"),
    (DOG, "gums are blue", "emergency"),
    (DOG, "having a seizure that won't stop", "emergency"),
    (DOG, "he was hit by a car, walks normally", "emergency"),
    (DOG, "she was hit by a car but looks ok", "emergency"),
    (DOG, "it won't stop bleeding", "emergency"),
    (DOG, "vomiting blood", "emergency"),
    (DOG, "bitten by a snake", "emergency"),
    (DOG, "struggling to breathe", "emergency"),
    (DOG, "she is in labor for hours, no puppy", "emergency"),
    (QUEEN, "my cat is breathing with her mouth open", "emergency"),
    (RABBIT, "my rabbit hasn't eaten since yesterday and no droppings", "emergency"),
    (HORSE, "my horse is rolling and pawing, looks like colic", "emergency"),
    (COW, "cow is down and can't get up after calving", "emergency"),
    (None, "my dog ate rat poison", "emergency"),
    (None, "no puede respirar mi perro", "emergency"),
    (None, "mi gato no puede orinar", "emergency"),
    (None, "mon chien a les gencives bleues", "emergency"),
    (None, "mein Hund hat eine Vergiftung, er krampft", "emergency"),
    (None, "meu cachorro não respira", "emergency"),
    (None, "我的狗不能呼吸", "emergency"),
    (DOG, "blood in her urine", "urgent"),
    (DOG, "diarrhea with blood", "urgent"),
    (DOG, "keeps vomiting since yesterday", "urgent"),
    # hard negatives
    (DOG, "no blood in the urine, eats well", "routine"),
    (TOM, "he is not straining and pees normally", "routine"),
    (DOG, "no vomiting, diarrhea or seizures", "routine"),
    (DOG, "he isn't struggling to breathe", "routine"),
    (DOG, "never had a seizure, never collapsed", "routine"),
    (DOG, "no pale gums, no bleeding", "routine"),
    (DOG, "denies trauma; not hit by a car", "routine"),
    (DOG, "vaccination for next week, healthy dog", "routine"),
    (DOG, "which food is best for a senior dog?", "routine"),
    (DOG, "nail trim please", "routine"),
    (DOG, "without difficulty breathing", "routine"),
    (DOG, "gums are pink and moist", "routine"),
    (HORSE, "my horse needs new shoes", "routine"),
]  # fmt: skip


@pytest.mark.parametrize(("patient", "text", "level"), CASES, ids=[text[:40] for _, text, _ in CASES])
def test_the_level_follows_the_worst_thing_said(
    patient: dict[str, Any] | None, text: str, level: str, records: Records
) -> None:
    found = triage(text, patient, records)

    order = ("emergency", "urgent", "routine", "home_care")
    if level == "emergency":
        assert found.level == level
        assert found.see_within_min is not None
        assert found.see_within_min <= 15
    elif level == "urgent":
        assert order.index(found.level) <= order.index(level)
    else:
        assert found.level in ("routine", "home_care")
        assert found.red_flags == ()
    for flag in found.red_flags:
        assert 0 <= flag["span"][0] < flag["span"][1] <= len(text)
        assert flag["source"]["url"].startswith("http")


def test_a_flag_of_the_other_sex_or_species_is_not_raised(records: Records) -> None:
    """Blocked bladders are the tom's; the flag without a sex still counts for her."""
    tom = triage("straining in the litter box", TOM, records)
    queen = triage("straining in the litter box", QUEEN, records)
    cow = triage("straining in the litter box", COW, records)

    assert "urinary-obstruction-male-cat" in {flag["id"] for flag in tom.red_flags}
    assert "urinary-obstruction-male-cat" not in {flag["id"] for flag in queen.red_flags}
    assert "urinary-obstruction-male-cat" not in {flag["id"] for flag in cow.red_flags}


def test_an_unknown_sex_rules_nothing_out(records: Records) -> None:
    assert triage("my cat is straining to pee", None, records).level == "emergency"


def test_reassurance_never_lowers_a_level(records: Records) -> None:
    plain = triage("dog collapsed", DOG, records)
    soothed = triage("dog collapsed. He is fine now, probably nothing, eating, happy, not worried.", DOG, records)

    assert (plain.level, plain.vtl_colour) == (soothed.level, soothed.vtl_colour)


@pytest.mark.parametrize(
    ("answer", "level"),
    [
        ({"urgency": "emergency", "severity": "severe"}, "emergency"),
        ({"severity": "life_threatening"}, "emergency"),
        ({"severity": "moderate"}, "urgent"),
        ({"severity": "minimal"}, "home_care"),
        ({"severity": "minimal", "no_safe_amount": True}, "emergency"),
        ({"severity": "mild", "urgent": True}, "emergency"),
        ({}, "urgent"),
    ],
)
def test_an_exposure_counts_with_its_own_urgency(answer: dict[str, Any], level: str, records: Records) -> None:
    assert urgency(answer) == level
    found = triage("my dog is happy", DOG, records, [{"substance": "chocolate", **answer}], "US")
    assert found.level == level
    assert {line["country"] for line in found.contacts} == {"US"}
    assert bool(found.red_flags) == (level in ("emergency", "urgent"))


def test_poison_lines_are_those_of_the_country(records: Records) -> None:
    everywhere = {line["country"] for line in contacts(records, None)}

    assert {"US", "UK", "AU"} <= everywhere
    assert {line["country"] for line in contacts(records, "UK")} == {"UK"}
    assert triage("my dog ate rat poison", DOG, records, (), "UK").contacts


def test_each_sign_belongs_to_the_animal_it_was_said_of(records: Records) -> None:
    """The dog's trouble raises no flag that only cats have."""
    found = triage(read("My cat is fine. My dog is straining in the litter box.", records), None, records)

    assert "urinary-obstruction-male-cat" not in {flag["id"] for flag in found.red_flags}
