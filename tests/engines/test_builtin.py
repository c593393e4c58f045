"""The built-in engine over assessments that the clinic really makes."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import Any

import pytest

from app.base.errors import Invalid
from app.base.messages import Ask, Caller, Facts, Message, Picture, Rule, Text, Triage
from app.clinic import Clinic, open_clinic
from app.clinic.triage import triage
from app.engines import Engines, load, open_engines
from app.engines.wording import in_words
from tests.engines.upstreams import prompt as plain_prompt

MODEL = load().models["vetx-23"]
SOURCE = {"title": "A label", "publisher": "A maker", "url": "https://example.org/label", "read_on": "2026-01-15"}
CALLER = Caller(1000, 1, "internal", frozenset({"chat"}), frozenset(), "acct_1000", "account", "Vetra-API")
PICTURE = Picture(b"x", "image/jpeg", 800, 600, 640, {"kind": "photo", "notes": ["It is blurred"]})


@lru_cache(maxsize=1)
def clinic() -> Clinic:
    return open_clinic(Path(__file__).resolve().parents[2])


def engines() -> Engines:
    return open_engines(load())


async def answer(facts: Facts | None, *parts: Any) -> str:
    asked = plain_prompt(facts=facts, messages=(Message("user", (Text("…"), *parts)),))
    delta = await engines().complete(asked, MODEL)
    assert delta.finish_reason == "stop"
    return delta.text


def facts(audience: Any = "clinician", **more: Any) -> Facts:
    return Facts(**{"audience": audience, "jurisdiction": "US", "language": "en", **more})


def chocolate(audience: str) -> Facts:
    patient = {"species": "dog", "weight_kg": 12}
    said = "My dog ate 200 g of dark chocolate an hour ago"
    exposure = clinic().exposure(
        {
            "patient": patient,
            "substance": "dark chocolate",
            "amount": {"value": 200, "unit": "g"},
            "hours_ago": 1,
            "audience": audience,
        },
        "US",
    )
    return facts(
        audience,
        patients=(patient,),
        triage=triage(said, patient, clinic().records, (exposure,), "US"),
        exposures=(exposure,),
    )


async def test_urgency_comes_first_and_the_sum_is_shown_with_its_sources() -> None:
    text = await answer(chocolate("owner"))
    assert text.startswith("EMERGENCY")
    for part in (
        "12 kg",
        "200 g of dark chocolate",
        "= 1120 mg",
        "1120 mg / 12 kg = 93.33 mg/kg",
        "methylxanthines",
        "severe",
        "What to do now:\n- ",
        "Who to call:\n- ",
        "(888) 426-4435",
        "Sources:\n[1] ",
        "(read 2026-",
    ):
        assert part in text
    assert text.index("What to do now") < text.index("93.33 mg/kg")


async def test_a_vet_hears_of_emesis_and_antidotes_and_an_owner_is_told_not_to_try() -> None:
    vet, owner = await answer(chocolate("clinician")), await answer(chocolate("owner"))
    assert "Emesis: advised." in vet
    assert "do not try it at home" in owner
    assert "Antidote" in vet
    assert "Antidote" not in owner
    assert "VETX_UPSTREAM_URL" in vet


async def test_every_number_of_the_answer_cites_a_source_that_is_listed() -> None:
    text = await answer(chocolate("clinician"))
    listed = text.split("Sources:\n")[1].splitlines()
    assert [line.split()[0] for line in listed] == [f"[{number}]" for number in range(1, len(listed) + 1)]
    for number in range(1, len(listed) + 1):
        assert f"[{number}]" in text.split("Sources:\n")[0]


async def test_a_dose_is_the_sum_the_volume_the_interval_and_the_status() -> None:
    dose = clinic().dose(
        {
            "patient": {"species": "dog", "weight_kg": 12},
            "drug": "meloxicam",
            "strength": {"value": 1.5, "unit": "mg/mL"},
        },
        "US",
    )
    vet = await answer(facts(doses=(dose,)))
    assert "0.1 mg/kg x 12 kg = 1.2 mg = 0.8 mL of 1.5 mg/mL; once a day, label, US." in vet
    assert "could be pregnant?" in vet
    owner = await answer(facts("owner", doses=(dose,)))
    assert "mg/kg" not in owner
    assert "mg" not in owner.split("Sources:")[0].replace("mg/mL", "")
    assert "no doses of medicines (meloxicam) to owners" in owner


async def test_contraindications_come_before_lesser_findings() -> None:
    check = clinic().check(
        {
            "patient": {"species": "cat", "weight_kg": 4},
            "drugs": ["prednisolone 5 mg PO BID", "acetaminophen", "foozol 3 mg"],
        },
        "US",
    )
    text = await answer(facts(findings=tuple(check["findings"]), not_checked=tuple(check["not_checked"])))
    findings = text.split("Findings, the gravest first:\n")[1].split("\n\n")[0].splitlines()
    labels = [line.split()[1] for line in findings]
    assert labels[0] == "CONTRAINDICATED"
    assert labels == sorted(labels, key=["CONTRAINDICATED", "Major", "Moderate", "Note"].index)
    assert "- foozol 3 mg: no drug of this name is on record" in text


def conversation(text: str, audience: Any = "clinician") -> Facts:
    asked = Ask(CALLER, "vetx-23", (Message("user", (Text(text),)),), audience=audience)
    return clinic().facts_for(asked)


async def test_what_is_only_asked_about_is_not_told_as_if_it_had_happened() -> None:
    text = await answer(conversation("Can I give my 4 kg cat 500 mg of paracetamol?", "owner"))
    assert text.startswith("CONTRAINDICATED, see the findings: acetaminophen.")
    assert "What to do now" not in text
    assert "nothing says that it happened" in text
    assert "Never give a cat paracetamol" in text
    met = await answer(conversation("My 4 kg cat ate a 500 mg paracetamol tablet", "owner"))
    assert met.startswith("EMERGENCY")
    assert "What to do now" in met
    assert "500 mg / 4 kg = 125 mg/kg" in met


async def test_a_dose_asked_in_words_is_answered() -> None:
    text = await answer(conversation("meloxicam dose for a 12 kg dog, 1.5 mg/mL"))
    assert "0.1 mg/kg x 12 kg = 1.2 mg = 0.8 mL of 1.5 mg/mL" in text


async def test_of_several_animals_each_row_says_whose_it_is() -> None:
    patients = ({"species": "dog", "name": "Rex"}, {"species": "cat"})
    rows = ({"text": "One", "patient": 0}, {"text": "Two", "patient": 1}, {"text": "Three", "patient": None})
    text = await answer(facts(patients=patients, findings=rows))
    assert "- Rex: Note: One.\n- cat: Note: Two.\n- Note: Three." in text


async def test_nothing_on_record_clears_nothing() -> None:
    exposure = clinic().exposure({"patient": {"species": "dog", "weight_kg": 12}, "substance": "zorgium"}, "US")
    text = await answer(facts(exposures=(exposure,)))
    assert "About zorgium I have no record, so I claim nothing about its danger." in text
    assert "Not checked, so nothing above clears it:\n- zorgium: nothing of this name is on record" in text


@pytest.mark.parametrize("language", ["es", "fr-CA", "de", "pt-BR", "zh-Hans"])
async def test_the_urgency_is_said_in_the_readers_language_too(language: str) -> None:
    urgent = Triage("emergency", 0, "red", "It collapsed.")
    text = await answer(facts("owner", language=language, triage=urgent))
    assert not text.startswith("EMERGENCY")
    assert "EMERGENCY: this animal needs a vet now." in text.splitlines()[:3]


async def test_a_language_without_phrases_gets_english() -> None:
    assert (await answer(facts(language="fi", triage=Triage("urgent", 60, "yellow", "x")))).startswith("URGENT")


async def test_a_picture_is_not_interpreted_and_that_is_said() -> None:
    text = await answer(facts(), PICTURE)
    assert "a photo of 800 x 600 pixels. It is blurred. I can't look at pictures: nothing here is a finding" in text
    assert "What a vet would ask about this picture:" in text


async def test_what_is_off_topic_is_told_so_and_what_is_possible() -> None:
    text = await answer(facts(on_topic=False))
    assert text.startswith("This doesn't read like a question about an animal's health")
    assert "What I can do without a language model" in text


async def test_a_warning_sign_outweighs_off_topic() -> None:
    text = await answer(facts(on_topic=False, triage=Triage("emergency", 0, "red", "It collapsed.")))
    assert text.startswith("EMERGENCY")


async def test_owners_are_told_when_to_go_back() -> None:
    home = facts("owner", triage=Triage("home_care", None, "blue", ""))
    assert "Go to a vet at once, whatever was said above" in await answer(home)


async def test_grave_rules_are_named_once() -> None:
    rules = tuple(
        Rule(f"r{number}", severity, f"Rule number {number}", SOURCE)
        for number, severity in enumerate(["info", "high", "absolute"])
    )
    text = await answer(
        facts(
            rules=rules,
            findings=({"rule": "r1", "severity": "high", "text": "Found one"},),
            not_checked=({"text": "mirabilin", "why": "unknown_drug"},),
        )
    )
    assert "Mind for this animal:\n- Rule number 2. [1]\n\n" in text


async def test_the_same_prompt_gives_the_same_bytes_streamed_or_whole() -> None:
    asked = plain_prompt(facts=chocolate("clinician"))
    streamed = [delta async for delta in engines().stream(asked, MODEL)]
    whole = await engines().complete(asked, MODEL)
    assert "".join(delta.text for delta in streamed) == whole.text == (await engines().complete(asked, MODEL)).text
    assert len(streamed) > 100
    assert all(len(delta.text.split()) <= 1 for delta in streamed)
    assert [delta.finish_reason for delta in streamed if delta.finish_reason] == ["stop"]


async def test_without_an_assessment_it_says_what_it_is() -> None:
    assert "built-in engine" in await answer(None)


def shaken(row: Any, chance: Random) -> Any:
    """The same JSON with some of its values replaced by anything."""
    if chance.random() < 0.08:
        return chance.choice([None, True, 0, -1.5, "", "words", [], {}, [1], ["a"], {"value": "x"}, [{"min": None}]])
    if isinstance(row, dict):
        return {name: shaken(value, chance) for name, value in row.items()}
    return [shaken(value, chance) for value in row[:3]] if isinstance(row, list) else row


def test_an_assessment_of_another_shape_is_still_put_into_words() -> None:
    exposure = chocolate("clinician").exposures[0]
    dose = clinic().dose({"patient": {"species": "dog", "weight_kg": 12}, "drug": "carprofen"}, "US")
    check = clinic().check(
        {"patient": {"species": "cat", "weight_kg": 4}, "drugs": ["prednisolone", "carprofen"]}, "US"
    )
    patient = {
        "species": "dog",
        "weight": {"value": 26, "unit": "lb"},
        "weight_kg": 12,
        "medications": ["x"],
        "age": {},
    }
    for seed in range(300):
        chance = Random(seed)
        rows = [shaken(row, chance) for row in (exposure, dose, check["findings"][0], patient)]
        known = [(row,) if isinstance(row, dict) else () for row in rows]
        for audience in ("clinician", "owner"):
            odd = facts(audience, exposures=known[0], doses=known[1], findings=known[2], patients=known[3])
            assert in_words(plain_prompt(facts=odd)), seed


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tool_choice": {"type": "function", "function": {"name": "x"}}}, "tool_choice"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"response_format": {"type": "json_schema"}}, "response_format"),
        ({"response_format": "text"}, "response_format"),
        ({"logprobs": True}, "logprobs"),
    ],
)
def test_what_the_engine_lacks_is_refused_and_named(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(Invalid) as caught:
        engines().check_supported(ask(fields), MODEL)
    assert (caught.value.param, caught.value.status) == (param, 400)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"tools": [{"type": "function"}], "tool_choice": "auto", "parallel_tool_calls": True},
        {"tool_choice": "none", "response_format": {"type": "text"}, "logprobs": False, "seed": 7, "top_p": 0.1},
        {"tool_choice": None, "response_format": None, "logprobs": None},
    ],
)
def test_what_it_can_leave_it_leaves(fields: dict[str, Any]) -> None:
    engines().check_supported(ask(fields), MODEL)


def ask(fields: dict[str, Any]) -> Ask:
    return Ask(caller=CALLER, model="vetx-23", messages=(), passthrough=fields)


async def test_values_and_vital_signs_stand_with_what_is_usual() -> None:
    vital = {"name": "heart_rate", "value": 180, "unit": "/min", "interval": {"low": 60, "high": 140}, "flag": "H"}
    bare = {"name": "capillary_refill", "value": 2, "unit": "s", "comparator": "<", "interval": None}
    interval = {"low": 4.1, "high": 5.4, "unit": "mEq/L"}
    value = {"analyte": "potassium", "value": 8.1, "unit": "mEq/L", "interval": interval, "flag": "HH"}
    value["why"] = "flagged by the range you gave"
    pattern = {"name": "Potassium is high", "urgency": "emergency", "why": "It stops the heart", "sources": [SOURCE]}
    text = await answer(facts(vitals=(vital, bare), analytes=(value,), patterns=(pattern,)))

    assert "- heart rate 180 a minute: HIGH (usual 60 to 140 a minute)" in text
    assert "- capillary refill <2 s\n" in text
    assert "- potassium 8.1 mEq/L: FAR TOO HIGH (4.1 to 5.4 mEq/L) (flagged by the range you gave)" in text
    assert "- EMERGENCY: Potassium is high. It stops the heart. [1]" in text


async def test_sums_of_others_are_shown_with_their_figures() -> None:
    plain = {
        "name": "energy",
        "formula": "70 x kg^0.75",
        "inputs": {"kg": 10},
        "result": {"value": 394, "unit": "kcal"},
    }
    steps = {"name": "anion_gap", "steps": ["a - b = 3"], "notes": ["Mind the albumin"], "result": {"value": 3}}
    text = await answer(facts(calculations=(plain, steps, {"name": "x", "result": None})))

    assert "energy = 70 x kg^0.75 = 394 kcal (kg 10)" in text
    assert "anion gap: a - b = 3. Mind the albumin." in text


async def test_small_and_large_amounts_have_units_that_people_read() -> None:
    doses = [
        {"route": "IV", "amount": {"min": 12000, "max": 24000, "unit": "ug"}, "status": "label"},
        {"route": "SC", "amount": {"min": 0.01, "max": 0.02, "unit": "mg"}, "status": "label"},
    ]
    text = await answer(facts(doses=({"drug": "a", "covered": True, "doses": doses * 8},)))

    assert "IV: 12 to 24 mg" in text
    assert "SC: 10 to 20 mcg" in text
    assert "4 more are at /v1/clinic/dose" in text


async def test_a_patient_in_months_and_a_flag_without_a_sign() -> None:
    seen = Triage("urgent", 240, "yellow", "Reason.", red_flags=({"id": "x"},))
    text = await answer(facts("owner", patients=({"species": "cat", "age_months": 5},), triage=seen))

    assert "cat, 5 months old" in text
    assert "See a vet within 4 hours." in text


async def test_a_drug_that_is_not_known_names_its_neighbours() -> None:
    unknown = {"drug": None, "nearest": ["meloxicam"], "not_checked": [{"text": "m", "why": "unknown_drug"}]}
    assert "Nearest names: meloxicam." in await answer(facts(doses=(unknown,)))


@pytest.mark.parametrize(
    ("kind", "told", "ask"),
    [
        ("photo", "her eye is red", "Which eye, and since when?"),
        ("photo", "he threw up", "How often and since when"),
        ("photo", "limping since Monday", "Which leg, since when"),
        ("photo", "what is this?", "How large is it? A coin or a ruler beside it tells"),
        ("radiograph", "what is this?", "which side is marked left or right on the film itself?"),
    ],
)
async def test_a_vets_questions_about_a_picture_fit_what_is_told(kind: str, told: str, ask: str) -> None:
    two = [replace(PICTURE, facts={**PICTURE.facts, "kind": kind, "index": index}) for index in range(2)]
    text = await answer(facts(), Text(told), *two)
    assert ask in text
    assert text.count(ask) == 1
    assert "Picture 2: a" in text
