"""No emergency below emergency; what is denied, or another animal's, raises nothing."""

from __future__ import annotations

from typing import Any

import pytest

from app.base.messages import Message, Text
from app.clinic import Clinic
from app.clinic.assessment import facts_for
from app.clinic.reading import read
from app.clinic.records import Records
from app.clinic.triage import contacts, stated, triage, urgency
from app.clinic.words import describe_differentials, describe_triage

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


SAID = [
    ("my cat squints and her eye is red", "urgent"),
    ("cat's eye is swollen shut and she's squinting", "urgent"),
    ("my dog's eye popped out", "emergency"),
    ("hit by a car but seems fine", "emergency"),
    ("he got hit by a truck, walking normally", "emergency"),
    ("dog was run over, looks ok", "emergency"),
    ("my dog ate rat poison don't know which", "emergency"),
    ("he ate rat bait yesterday, acting normal", "emergency"),
    ("puppy 8 weeks bloody diarrhoea vomiting", "emergency"),
    ("puppy vomiting and bloody poop", "emergency"),
    ("bunny fell and can't use back legs", "emergency"),
    ("horse rolling pawing", "emergency"),
    ("horse is rolling and kicking at belly", "emergency"),
    ("mare hasnt pooed since yesterday, looks at her flank", "emergency"),
    ("my horse is sweating and lying down and getting up", "emergency"),
    ("hen can't breathe", "emergency"),
    ("my hen is fluffed up on the cage floor, tail bobbing", "urgent"),
    ("parrot tail bobbing and open beak breathing", "emergency"),
    ("guinea pig has not eaten since last night", "emergency"),
    ("my bunny stopped eating and isn't pooping", "emergency"),
    ("rabbit no poop 12 hours", "emergency"),
    ("rabbit head tilted", "urgent"),
    ("male cat in and out of litter box only drops", "emergency"),
    ("tomcat straining to pee", "emergency"),
    ("cat crying in litter tray nothing comes out", "emergency"),
    ("boy cat not peed for a day", "emergency"),
    ("dog's stomach is swollen like a balloon and he's drooling", "emergency"),
    ("great dane trying to throw up nothing comes out belly tight", "emergency"),
    ("down cow after calving", "emergency"),
    ("cow won't get up, calved yesterday", "emergency"),
    ("cow left side blown up", "emergency"),
    ("calf stuck, two hours pushing", "emergency"),
    ("mare foaling 40 minutes no foal", "emergency"),
    ("my dog has been seizing for 10 min", "emergency"),
    ("dog had 3 fits today", "emergency"),
    ("my dog is choking on a bone", "emergency"),
    ("dog gums white and weak", "emergency"),
    ("cat panting with mouth open", "emergency"),
    ("cat dragging back legs screaming", "emergency"),
    ("dog stung by bee face swelling", "emergency"),
    ("bitten by rattlesnake", "emergency"),
    ("dog fell off balcony", "emergency"),
    ("cat fell from 4th floor but walking fine", "emergency"),
    ("kitten cold and limp", "emergency"),
    ("dog drank antifreeze", "emergency"),
    ("cat licked lily pollen", "emergency"),
    ("cat chewed a lily leaf, seems ok", "emergency"),
    ("dog ate xylitol gum", "emergency"),
    ("dog ate a whole pack of gum sugar free", "emergency"),
    ("my cat got dog flea treatment, twitching", "emergency"),
    ("dog left in hot car", "emergency"),
    ("dog collapsed on walk", "emergency"),
    ("dog bleeding a lot from paw wont stop", "emergency"),
    ("puppy swallowed a battery", "emergency"),
    ("cat swallowed string, hanging from mouth", "emergency"),
    ("cat hasn't eaten for 2 days", "urgent"),
    ("dog vomiting all night", "urgent"),
    ("dog limping not putting weight on leg", "urgent"),
    ("dog coughing up blood", "urgent"),
    ("dog coughing pink foam", "emergency"),
    ("dog has blood in urine", "urgent"),
    ("dog drinking a lot and smelly discharge from vulva, not spayed", "urgent"),
    ("bitch straining an hour no puppy", "emergency"),
    ("green discharge and no puppies", "emergency"),
    ("puppy not drinking milk", "urgent"),
    ("horse three legged lame", "urgent"),
    ("horse stood on a nail", "urgent"),
    ("horse choking, food out of nose", "emergency"),
    ("foal not standing after 3 hours", "urgent"),
    ("mi perro no puede respirar", "emergency"),
    ("mi gato no puede orinar desde ayer", "emergency"),
    ("mi perro comió veneno para ratas", "emergency"),
    ("mi perro fue atropellado", "emergency"),
    ("mein kater kann nicht pinkeln", "emergency"),
    ("mein hund wurde angefahren", "emergency"),
    ("mein Hund hat Rattengift gefressen", "emergency"),
    ("mein Pferd wälzt sich und scharrt, Kolik", "emergency"),
    ("mein Kaninchen frisst nicht mehr seit gestern", "emergency"),
    ("mon chat n'arrive pas à uriner", "emergency"),
    ("mon chien a été renversé par une voiture", "emergency"),
    ("mon lapin ne mange plus depuis hier", "emergency"),
    ("mon cheval se roule, colique", "emergency"),
    ("meu gato não consegue fazer xixi", "emergency"),
    ("meu cachorro foi atropelado", "emergency"),
    ("meu coelho não come desde ontem", "emergency"),
    ("meu cavalo está com cólica rolando", "emergency"),
    ("我的公猫尿不出来", "emergency"),
    ("我的狗被车撞了", "emergency"),
    ("兔子不吃东西也不拉", "emergency"),
    ("马打滚 腹痛", "emergency"),
]
CALM = [
    "is antifreeze toxic to dogs?",
    "is permethrin safe on my cat?",
    "which eye drops for my dog, just two drops a day",
    "my dog won't stop barking",
    "the harness fits well",
    "folic acid for my pregnant dog",
    "my dog has epilepsy and gets phenobarbital, refill please",
    "my dog twitches in his sleep",
    "can dogs eat chicken bones",
    "my dog sat on the sofa",
    "my dog is fine, no vomiting, no diarrhea",
    "are lilies bad for cats",
    "our puppy loves rolling in the grass",
    "my dog keeps barking at the car",
    "when do I vaccinate my calf",
    "horse pawing at the gate at dinner time",
    "how do I clip the nails",
    "green discharge from ear",
    "smelly ears discharge",
    "my dog has been drinking normally and eats well",
    "my dog is not limping",
    "how to brush a cat's teeth",
    "weight loss diet for fat labrador",
    "which worming for foal",
    "my rabbit eats well and poops well",
    "my dog got into my bed",
    "dog jumps on the sofa fine",
    "normal heart rate for a cat",
    "dose of atropine for a cow with poisoning",
    "my dog has fleas",
    "puppy vaccination schedule",
    "cat sneezing but eating",
    "bad breath",
    "cat eye slightly runny",
    "horse due for dentist",
    "is chicken ok for my dog",
    "my dog isn't limping any more",
    "he wasn't hit by a car",
    "dog ate grass",
]


@pytest.mark.parametrize(("text", "level"), SAID, ids=[text[:40] for text, _ in SAID])
def test_what_people_really_write_is_not_put_off(text: str, level: str, records: Records) -> None:
    order = ("emergency", "urgent", "routine", "home_care")

    assert order.index(triage(text, None, records).level) <= order.index(level)


@pytest.mark.parametrize("text", CALM, ids=[text[:40] for text in CALM])
def test_a_word_alone_is_no_alarm(text: str, records: Records) -> None:
    assert triage(text, None, records).level == "routine"


def test_a_phrase_is_found_beside_another_that_begins_the_same(records: Records) -> None:
    """`blood in her poop` must not hide `blood in ... urine`."""
    said = [sign.sign for sign in stated(read("blood in her urine", records), records)[0].signs]

    assert "blood in the urine or frequent small amounts" in said


def test_a_group_of_species_has_the_flags_of_its_members(records: Records) -> None:
    """`parrot` is no species on record, but its members are."""
    text = "fluffed up on the bottom of the cage, eyes closed"

    assert "bird-too-weak-to-perch" in {flag["id"] for flag in triage(text, {"species": "parrot"}, records).red_flags}
    assert "bird-too-weak-to-perch" in {flag["id"] for flag in triage(text, {"species": "gryphon"}, records).red_flags}
    assert "bird-too-weak-to-perch" not in {
        flag["id"] for flag in triage(text, {"species": "snake"}, records).red_flags
    }


def test_the_command_line_tells_level_flags_vitals_and_what_did_not_count(clinic: Clinic) -> None:
    told = describe_triage(
        clinic.triage(
            {
                "text": "My male cat strains and no urine comes. Last year he had a seizure.",
                "patient": {"species": "cat", "sex": "male", "weight_kg": 5},
                "vitals": [{"name": "temperature", "value": 38.5, "unit": "C"}],
            }
        )
    )

    assert "EMERGENCY (colour red, within 0 min)" in told
    assert "\n! " in told
    assert "38.5" in told and "(range " in told
    assert "Named but not counted: " in told


def test_the_command_line_tells_differentials_in_their_order(clinic: Clinic) -> None:
    told = describe_differentials(
        clinic.differentials({"signs": ["vomiting", "no fever", "weakness"], "patient": {"species": "dog"}})
    )

    assert told.index(" 1. ") < told.index(" 2. ")
    assert "Findings: " in told and "no fever" in told
    assert "     + " in told and "     next: " in told
    assert "Not listed: " in told


@pytest.mark.parametrize(
    ("turns", "level"),
    [
        (("Cat 5 kg, diabetic, on glargine 2 U BID", "she's a bit wobbly"), "emergency"),
        (("my dog has addison's disease, 20 kg", "he has diarrhea since last night"), "emergency"),
        (("my dog has addison's disease, 20 kg", "he needs his nails clipped"), "routine"),
        (("my dog is diabetic, 20 kg", "he is not wobbly or vomiting"), "routine"),
    ],
)
def test_a_known_illness_that_shows_itself_counts_across_messages(
    records: Records, turns: tuple[str, ...], level: str
) -> None:
    messages = [Message("user", (Text(turn),)) for turn in turns]
    found = facts_for(messages, (), "owner", None, None, records).triage
    assert found is not None
    assert found.level == level


def test_a_known_illness_given_in_the_body_counts(clinic: Clinic) -> None:
    answer = clinic.triage(
        {"text": "He vomited twice", "patient": {"species": "dog", "conditions": ["diabetes mellitus"]}}
    )
    assert answer["level"] == "emergency"
    assert any("diabetic" in flag["sign"] for flag in answer["red_flags"])
