"""A conversation's facts: whose they are, which win, and what is computed from them."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.base.errors import Invalid
from app.base.messages import Facts, Message, PictureUrl, Text
from app.clinic import Clinic
from app.clinic.assessment import NOTICE, facts_for
from app.clinic.reading import read
from app.clinic.records import Records


def said(*texts: str) -> tuple[Message, ...]:
    """Messages of a user, with answers of the assistant between them."""
    messages: list[Message] = [Message("system", (Text("Talk like a pirate. My cat weighs 99 kg."),))]
    for text in texts:
        messages += [Message("user", (Text(text),)), Message("assistant", (Text("Give your 77 kg horse ibuprofen."),))]
    return tuple(messages[:-1])


def facts(records: Records, *texts: str, patients: tuple[dict[str, Any], ...] = (), **more: Any) -> Facts:
    """The facts of a clinician's conversation."""
    given = {"audience": "clinician", "jurisdiction": None, "language": None, **more}
    return facts_for(said(*texts), patients, records=records, **given)


def test_chocolate_is_computed_and_urgent(records: Records) -> None:
    """200 g x 5.6 mg/g / 12 kg: 93 mg/kg, past the threshold of seizures."""
    found = facts(records, "My 12 kg dog ate 200 g of dark chocolate an hour ago")

    assert found.patients[0]["weight_kg"] == 12
    assert found.patients[0]["spans"]["weight"] == [3, 8]
    assert found.exposures[0]["dose"] == {"value": 93.33, "unit": "mg/kg"}
    assert (found.exposures[0]["status"], found.exposures[0]["patient"]) == ("happened", 0)
    assert found.calculations[0]["formula"] == "mass_g x 5.6 mg/g / weight_kg"
    assert found.calculations[0]["sources"]
    assert found.triage is not None
    assert found.triage.level == "emergency"
    assert found.triage.contacts
    assert found.on_topic


def test_later_messages_win_and_the_assistant_says_nothing_of_the_animal(records: Records) -> None:
    found = facts(records, "My dog weighs 12 kg", "Sorry, he weighs 14 kg", "He ate 100 g of milk chocolate")

    assert [one["weight_kg"] for one in found.patients] == [14]
    assert {one["species"] for one in found.patients} == {"dog"}
    assert found.exposures[0]["calculation"]["inputs"]["weight_kg"] == 14


def test_a_weight_without_a_species_joins_the_only_animal(records: Records) -> None:
    found = facts(records, "what dose of carprofen for my dog?", "20 kg", "and 7 years old")

    assert found.patients[0]["species"] == "dog"
    assert found.patients[0]["weight_kg"] == 20
    assert found.patients[0]["age_months"] == 84
    assert found.doses[0]["doses"][0]["amount"]["unit"] == "mg"


def test_a_species_that_comes_later_names_the_nameless_animal(records: Records) -> None:
    found = facts(records, "she weighs 4 kg", "it is a cat", "another dog and another horse too")

    assert (found.patients[0]["species"], found.patients[0]["weight_kg"]) == ("cat", 4)


def test_what_the_caller_gives_wins_over_words_and_words_fill_the_rest(records: Records) -> None:
    given = {"species": "Canine", "weight_kg": 30, "age_months": 24, "conditions": ["heart disease"]}
    found = facts(records, "my 12 kg labrador, 9 years old, with kidney disease, neutered", patients=(given,))

    patient = found.patients[0]
    assert (patient["weight_kg"], patient["age_months"], patient["breed"]) == (30, 24, "Labrador Retriever")
    assert patient["neutered"] is True
    assert patient["conditions"] == ["heart disease", "kidney disease"]
    assert len(found.patients) == 1


def test_a_given_patient_without_a_match_stays_as_given(records: Records) -> None:
    found = facts(records, "my 4 kg cat ate a lily", patients=({"species": "dog", "weight_kg": 9},))

    assert [one["species"] for one in found.patients] == ["dog", "cat"]
    assert facts(records, "hello", patients=({"species": "dog"},)).patients[0]["species"] == "dog"
    assert facts(records, "a dog", patients=({"species": "dog", "weight_kg": 9},)).patients[0]["weight_kg"] == 9


def test_words_that_can_not_be_true_are_left_out(records: Records) -> None:
    """An owner's slip must not refuse the whole conversation."""
    assert facts(records, "my dog is 400 years old and 12 kg").patients[0]["weight_kg"] == 12
    given = facts(records, "my dog is 400 years old", patients=({"species": "dog"},))
    assert given.patients[0]["species"] == "dog"


def test_an_age_no_animal_reaches_is_not_computed_with(records: Records) -> None:
    """It was a 500: a patient of ours that our own shape refused."""
    assert facts(records, "my 12 kg dog is 999999999999 years old").patients[0]["age_months"] is None


def test_words_never_make_a_patient_longer_than_may_be_sent(records: Records) -> None:
    given = {"species": "dog", "medications": ["carprofen 25 mg"] * 200}
    found = facts(records, "my dog is on prednisolone", patients=(given,))

    assert found.patients[0]["medications"] == given["medications"]


def test_a_given_patient_that_contradicts_itself_is_refused(records: Records) -> None:
    with pytest.raises(Invalid) as refused:
        facts(records, "hi", patients=({"species": "dog", "weight_kg": 9, "weight": {"value": 30, "unit": "kg"}},))

    assert refused.value.param == "patients[0].weight_kg"


def test_a_forbidden_drug_is_found_and_its_rule_leads(records: Records) -> None:
    found = facts(records, "can I give my 4 kg cat half a paracetamol 500 mg?", audience="owner")

    assert found.findings[0]["rule"] == "acetaminophen-cat"
    assert found.rules[0].id == "acetaminophen-cat"
    assert found.notice == NOTICE["owner"]
    assert found.doses[0]["doses"] == []


def test_two_drugs_are_checked_against_each_other(records: Records) -> None:
    found = facts(records, "20 kg dog on prednisolone 10 mg BID, what dose of carprofen?")

    assert "nsaid-corticosteroid" in {row["rule"] for row in found.findings}
    assert [answer["drug"] for answer in found.doses] == ["carprofen"]
    assert found.doses[0]["doses"] == []


def test_what_was_stopped_or_denied_is_not_in_play(records: Records) -> None:
    found = facts(records, "20 kg dog, used to take prednisolone 10 mg BID, now on carprofen 88 mg once daily")

    assert "nsaid-corticosteroid" not in {row["rule"] for row in found.findings}
    assert facts(records, "my cat is not on paracetamol").findings == ()


def test_a_dose_as_written_is_checked_in_every_form(records: Records) -> None:
    for text in (
        "10 kg dog got carprofen 44 mg/kg PO",
        "10 kg dog got 5 tablets of carprofen 100 mg",
        "10 kg dog got carprofen 440 mg",
    ):
        found = facts(records, text)
        assert "dose-tenfold" in {row["rule"] for row in found.findings}, text
    assert facts(records, "10 kg dog got meloxicam 0.7 mL of 1.5 mg/mL").findings == ()
    unknown = facts(records, "10 kg dog got 0.6 mL meloxicam; and 2 tablets of carprofen")
    assert {row["why"] for row in unknown.not_checked} >= {"missing_strength"}


def test_animals_keep_their_own_drugs_and_poisons(records: Records) -> None:
    found = facts(
        records, "My cat (4 kg) licked antifreeze. My dog (20 kg) ate 10 grapes. The dog is on ibuprofen 200 mg."
    )

    assert {(row["patient"], row["substance"]) for row in found.exposures} == {
        (0, "ethylene glycol"),
        (1, "grapes raisins"),
    }
    assert {row["rule"] for row in found.findings} & {"ibuprofen-cat"} == set()
    assert {row["patient"] for row in found.findings} <= {1}


def test_what_is_missing_is_asked_for(records: Records) -> None:
    found = facts(records, "how much carprofen?")

    assert "species" in {row["field"] for row in found.needs}
    dosing = facts(records, "how much carprofen for my dog?")
    assert {"weight", "jurisdiction"} <= {row["field"] for row in dosing.needs}
    assert "jurisdiction" not in {
        row["field"] for row in facts(records, "carprofen dose, dog", jurisdiction="US").needs
    }
    assert facts(records, "hello there").needs == ()


def test_only_what_happened_counts_for_triage(records: Records) -> None:
    asked = facts(records, "are grapes toxic to dogs?")

    assert asked.exposures[0]["status"] == "asked"
    assert asked.triage is not None
    assert asked.triage.level == "routine"


def test_the_worst_message_decides(records: Records) -> None:
    found = facts(records, "my dog collapsed", "he is fine now, thanks. What food is best?")

    assert found.triage is not None
    assert found.triage.level == "emergency"
    assert found.signs


def test_off_topic_is_said_to_be(records: Records) -> None:
    assert not facts(records, "Write a poem about the sea.").on_topic
    assert facts(records, "Which vaccine for my pet?").on_topic
    assert facts(records, "creatinine 3.2 mg/dL").on_topic
    picture = Message("user", (Text("what is this?"), PictureUrl("data:", "messages[0].content[1].image_url.url")))
    assert facts_for((picture,), (), "clinician", None, "de", records).on_topic
    assert facts_for((), (), "clinician", None, None, records).triage is None


def test_a_brand_of_two_drugs_and_more_drugs_than_are_answered(records: Records) -> None:
    found = facts(
        records, "dose for a 10 kg dog: carprofen, meloxicam, tramadol, gabapentin, omeprazole, maropitant, carprofen?"
    )

    assert len(found.doses) == 4
    assert len({answer["drug"] for answer in found.doses}) == 4


@settings(max_examples=120, deadline=None)
@given(
    texts=st.lists(
        st.lists(
            st.sampled_from(
                ["my", "dog", "cat", "horse", "another", "12 kg", "0 kg", "9000 lb", "0.1 g", "carprofen", "NSAIDs",
                 "on", "ate", "200 g", "chocolate", "grapes", "?", ".", ",", "how much", "1/2 tablet", "of", "100 mg",
                 "0.5 mL", "2 mg/kg", "BID", "lily", "collapsed", "0 years old", "400 years old", "puppy", "\0",
                 "\ud800"]
            ),
            max_size=25,
        ).map(" ".join),
        max_size=4,
    )
)  # fmt: skip
def test_any_conversation_has_facts(texts: list[str], clinic: Clinic) -> None:
    records = clinic.records
    found = facts(records, *texts) if texts else facts_for((), (), "owner", "US", None, records)

    assert found.notice


LUNA = {"name": "Luna", "species": "cat", "weight_kg": 4}
REX = {"name": "Rex", "species": "dog", "weight_kg": 30}
MAX = {"name": "Max", "species": "dog", "weight_kg": 10}


@pytest.mark.parametrize(
    ("text", "patients", "places"),
    [
        ("my dog ate 100 g of chocolate", (LUNA, REX), [1]),
        ("my dog ate 100 g of chocolate", (REX, LUNA), [0]),
        ("max ate 100 g of chocolate", (REX, MAX), [1]),
        ("my dog Max ate 100 g of chocolate", (REX, MAX), [1]),
        ("my dog max ate 100 g of chocolate", (REX, MAX), [1]),
        ("Rex ate 100 g of chocolate and Luna licked a lily", (LUNA, MAX, REX), [2, 0]),
        ("my 10 kg dog ate 100 g of chocolate", (REX, MAX), [1]),
        ("my dog ate 100 g of chocolate", (REX, MAX), [None]),
        ("she ate 100 g of chocolate", (REX, LUNA), [None]),
        ("my boxer ate chocolate", ({"species": "dog", "breed": "Beagle"}, {"species": "dog", "breed": "Boxer"}), [1]),
        ("my cat ate a lily", (REX,), [1]),
        ("the male cat ate a lily", ({**LUNA, "sex": "FS"}, {"species": "cat", "sex": "MN"}), [1]),
    ],
)
def test_what_happened_belongs_to_the_animal_that_is_meant_or_to_none(
    text: str, patients: tuple[dict[str, Any], ...], places: list[int | None], records: Records
) -> None:
    found = facts(records, text, patients=patients)

    assert [row["patient"] for row in found.exposures] == places
    asked = [row["ask"] for row in found.needs if row["field"] == "patient"]
    assert bool(asked) == (None in places)
    for row in found.exposures:
        if row["patient"] is not None and row["calculation"] is not None:
            weight = found.patients[row["patient"]].get("weight_kg")
            assert weight is None or row["calculation"]["inputs"]["weight_kg"] == weight


def test_a_drug_of_one_animal_is_not_the_others(records: Records) -> None:
    found = facts(records, "my cat is on prednisolone, what dose of meloxicam for my dog?", patients=(REX, LUNA))

    assert found.patients[1]["medications"] == ["prednisolone"]
    assert found.patients[0]["medications"] == []
    assert [(row["drug"], row["patient"]) for row in found.doses] == [("meloxicam", 0)]
    assert not any(row["patient"] == 0 for row in found.findings if "corticosteroid" in row["rule"])


def test_an_unplaced_drug_is_checked_for_every_animal_and_given_to_none(records: Records) -> None:
    found = facts(records, "she is on ibuprofen", patients=(REX, {**LUNA, "name": None}, {"species": "dog"}))

    assert {row["rule"] for row in found.findings} >= {"ibuprofen-cat", "ibuprofen-dog"}
    assert all(one["medications"] == [] for one in found.patients)
    asks = {row["field"]: row["ask"] for row in found.needs}
    assert asks["patient"] == "Which of them is it: Rex, cat, dog?"


def test_named_animals_of_the_words_are_kept_apart(records: Records) -> None:
    found = facts(records, "My dog Rex is 30 kg and my dog Max is 10 kg", "Max ate 100 g of chocolate")

    assert [(one["name"], one["weight_kg"]) for one in found.patients] == [("Rex", 30), ("Max", 10)]
    assert [row["patient"] for row in found.exposures] == [1]
    two = facts(records, "My 30 kg labrador and my 10 kg beagle", "the dog ate chocolate")
    assert [row["patient"] for row in two.exposures] == [None]


def test_a_date_of_birth_gives_the_age(records: Records) -> None:
    pup = {"species": "dog", "birth_date": "2026-09-21"}

    assert facts(records, "hi", patients=(pup,), today=date(2026, 11, 21)).patients[0]["age_months"] == 2.0
    assert facts(records, "hi", patients=(pup,)).patients[0]["age_months"] is None


def test_a_drug_for_a_weighed_animal_is_answered_with_its_doses(records: Records) -> None:
    """The built-in answer promises it: `meloxicam for a 12 kg dog, 1.5 mg/mL`."""
    found = facts(records, "meloxicam for a 12 kg dog, 1.5 mg/mL")

    assert found.doses[0]["doses"][0]["volume"]["unit"] == "mL"
    assert facts(records, "12 kg dog vomiting blood after meloxicam").doses == ()


@pytest.mark.parametrize(
    ("text", "weight_kg", "line"),
    [
        ("horse 500kg flunixin dose iv?", 500, None),
        ("collie 25 kg ivermectin dose for mange", 25, None),
        ("dog 12 kg carprofen 200 mg", 12, (200, "mg")),
        ("enrofloxacin for rabbit 4lb 8oz", 2.0412, None),
        ("rabbit 900g meloxicam dose", 0.9, None),
        ("10 stone mastiff carprofen", 63.5029, None),
        ("bute 2 g horse 500 kg", 500, (2, "g")),
        ("give my horse 1 gram of bute", None, (1, "g")),
        ("my cat, meloxicam 4 kg", 4, None),
        ("kitten for meloxicam, 20 oz", None, None),
        ("carprofen for a 66 lb lab, 100 mg", 29.9371, (100, "mg")),
    ],
)
def test_a_body_weight_is_never_an_amount_of_a_drug(
    text: str, weight_kg: float | None, line: tuple[int, str] | None, records: Records
) -> None:
    reading = read(text, records)

    (animal,), (drug,) = reading.animals, reading.medications
    assert animal.to_json().get("weight_kg") == weight_kg
    assert (drug.to_json()["amount"], drug.to_json()["unit"]) == (line or (None, None))


def test_a_count_in_front_of_the_drug_keeps_the_strength(records: Records) -> None:
    (drug,) = read("my dog got two carprofen 100 mg tablets", records).medications

    shown = drug.to_json()
    assert (shown["tablets"], shown["strength"], shown["amount"]) == (2, {"value": 100, "unit": "mg"}, None)


def test_a_critical_value_is_an_emergency_with_or_without_a_pattern(clinic: Clinic) -> None:
    """Without the formulas' patterns the critical limit of the record alone says it."""
    text = "dog 20 kg, K 8.6 mmol/L, Na 140 mmol/L"
    alone = facts(clinic.records, text)
    whole = facts(clinic.records, text, formulas=clinic.formulas)

    assert [row["id"] for row in alone.patterns] == ["critical-potassium"]
    assert "hyperkalaemia" in [row["id"] for row in whole.patterns]
    for found in (alone, whole):
        assert found.triage is not None
        assert found.triage.level == "emergency"
        assert [row["flag"] for row in found.analytes] == ["HH", "L"]
        assert found.analytes[0]["patient"] == 0


def test_vital_signs_stand_with_the_figures_of_the_species(records: Records) -> None:
    found = facts(records, "T 41.9 HR 260, 30 kg dog")

    assert [(row["name"], row["flag"]) for row in found.vitals] == [("temperature", "HH"), ("heart_rate", "HH")]
    assert found.triage is not None
    assert found.triage.level == "emergency"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Heart rate 220, paws cold.", "range\n- heart rate 220 /min"),
        ("Heart rate 90 in a 30 kg dog.", "- Heart rate 90 /min: within the"),
        ("Heart rate 260 in a 30 kg dog.", "- Heart rate 260 /min: far above the"),
        ("Temperature 35.9 C in a 30 kg dog.", "- Temperature 35.9 \N{DEGREE SIGN}C: far below the"),
    ],
)
def test_the_prompt_says_where_a_vital_sign_lies_and_of_an_unnamed_species_nothing(
    clinic: Clinic, text: str, told: str
) -> None:
    assert told in clinic.render_prompt(facts(clinic.records, text), False)


@pytest.mark.parametrize(
    ("text", "dose"),
    [
        ("ketamine 7 mg/kg for a 4 kg cat, 100 mg/mL", {"value": 28, "unit": "mg", "volume_ml": 0.28}),
        ("doxycycline 10 mg/kg for a 5 kg cat, 100 mg tab", {"value": 50, "unit": "mg", "tablets": 0.5}),
        ("metronidazole 250 mg tabs, give 1/2 tab to a 10 kg dog", {"value": 125, "unit": "mg", "per_kg": 12.5}),
        ("amoxicillin 50 mg/mL, give 2 mL to a 4 kg cat", {"value": 100, "unit": "mg", "per_kg": 25}),
    ],
)
def test_the_askers_own_figure_is_worked_out(text: str, dose: dict[str, Any], records: Records) -> None:
    own = [row for row in facts(records, text).calculations if row["name"] == "your figure"]

    assert [row["result"] for row in own] == [dose]
    assert not [row for row in facts(records, text, audience="owner").calculations if row["name"] == "your figure"]


@pytest.mark.parametrize(
    ("text", "substances"),
    [
        ("my cat is on permethrin", ["permethrin"]),
        ("gave my dog a double dose of apoquel", ["apoquel"]),
        ("my dog is on apoquel", []),
        ("my dog gets permethrin spot on", []),
        ("dog ate 6 trazodone tablets", ["trazodone"]),
    ],
)
def test_a_drug_that_poisons_is_an_exposure(text: str, substances: list[str], records: Records) -> None:
    found = facts(records, text)

    assert [row["title"] if not row["covered"] else row["substance"] for row in found.exposures] == substances


def test_a_group_of_drugs_is_checked_as_a_group_or_asked_about(records: Records) -> None:
    barred = facts(records, "oral penicillin for my hamster")
    asked = facts(records, "how much penicillin for my 60 kg ram")
    only = facts(records, "iron dose for a 2 kg piglet")

    assert barred.findings[0]["severity"] == "absolute"
    assert barred.findings[0]["drugs"] == ["penicillin"]
    assert "drug" in [row["field"] for row in asked.needs]
    assert only.doses[0]["drug"] == "iron dextran"


def test_of_drugs_to_choose_from_each_is_checked_alone(records: Records) -> None:
    assert not facts(records, "carprofen or meloxicam for a 20 kg dog").findings
    assert facts(records, "carprofen and meloxicam for a 20 kg dog").findings[0]["severity"] == "absolute"


def test_two_drugs_are_checked_before_the_species_is_known(records: Records) -> None:
    found = facts(records, "on carprofen, can I add aspirin?")

    assert found.findings[0]["drugs"] == ["aspirin", "carprofen"] or found.findings[0]["severity"] == "absolute"
    assert "species" in [row["field"] for row in found.needs]


def test_a_volume_is_of_the_only_strength_and_another_route_is_named(records: Records) -> None:
    only = facts(records, "convenia for a 10 kg dog").doses[0]
    routed = facts(records, "buprenorphine SC for a 4 kg dog, 0.3 mg/mL").doses[0]

    assert only["doses"][0]["volume"]["strength"] == {"value": 80, "unit": "mg/mL"}
    assert [row["ask"] for row in only["needs"] if row["field"] == "strength"] == ["Is it 80 mg/mL?"]
    assert any(row["why"] == "no_record_for_route" for row in routed["not_checked"])
    assert {row["route"] for row in routed["doses"] if row["volume"]} <= {"IM", "IV"}


def test_something_eaten_without_a_name_is_asked_about(records: Records) -> None:
    found = facts(records, "she ate 5 of them!")

    assert found.on_topic
    assert [row["field"] for row in found.needs] == ["substance"]


def test_a_weight_of_nothing_adds_nothing_to_a_given_patient(records: Records) -> None:
    (patient,) = facts(records, "My dog weighs 0 kg on these scales.", patients=({"species": "dog"},)).patients

    assert patient["weight_kg"] is None
    assert "weight" not in patient
