"""The five documents: each fits the schema we publish, whatever is asked, and says nothing that wasn't computed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import msgspec
import pytest

from app.base.errors import Invalid, NotFound
from app.base.messages import Ask, Audience, Caller, Facts, Json, Message, Text
from app.clinic import Clinic, open_clinic
from app.clinic.documents import KINDS, schema, words_schema
from app.clinic.drafting import RETURN_SIGNS
from tests.clinic.test_real_questions import ROWS

ROOT = Path(__file__).parents[2]
CALLER = Caller(1, 1, "x", frozenset(), frozenset(), "u", "account", "x")
NAMES = sorted(KINDS)
CHOCOLATE = "My 12 kg dog ate 200 g of dark chocolate an hour ago, T 40.5"
MORE = [
    "4 kg cat, potassium 7.1 mmol/L, creatinine 5 mg/dL, glucose 400 mg/dL, vomiting",
    "dog 20 kg with potassium <1.5 mmol/L and troponin 3",
    "a 5 kg cat and a 20 kg dog shared two 325 mg aspirins",
    "Luna is vomiting, Milo is not. Which vaccine?",
    "goat 40 kg penicillin dose",
    "is snorblax safe for my budgie",
    "what's the weather like",
    "my dog ate some snorblaxazole tablets",
    "temperature 41, breathing fast",
    "meloxicam dose for a dog",
    "potassium 7.1 mmol/L",
    "could 5 grapes hurt my 3 kg dog",
    "",
    "mein Hund hat Rattengift gefressen",
    "horse 500 kg ivermectin 0.2 mg/kg, colic, heart rate 80",
]


@pytest.fixture(scope="module")
def clinic() -> Clinic:
    return open_clinic(ROOT)


@pytest.fixture(scope="module")
def asked(clinic: Clinic) -> list[tuple[str, Facts]]:
    """The real questions, each with its assessment."""
    questions = [(audience, question) for audience, question, *_ in ROWS]
    questions += [(audience, question) for question in MORE for audience in ("clinician", "owner")]
    return [(question, facts_of(clinic, question, audience=audience)) for audience, question in questions]


def facts_of(clinic: Clinic, *words: str, audience: Audience = "clinician", patients: tuple[Json, ...] = ()) -> Facts:
    messages = tuple(Message("user", (Text(text),)) for text in words)
    return clinic.facts_for(Ask(CALLER, "vetx-23", messages, audience=audience, patients=patients))


def written(clinic: Clinic, name: str, *words: str, **more: Any) -> Json:
    """A document with our own words."""
    text = clinic.draft(name, facts_of(clinic, *words, **more), words).text()
    return dict(json.loads(text))


def sources_cited(value: Any) -> set[int]:
    """Every number that a row of a document cites."""
    if isinstance(value, dict):
        own = set(value["sources"]) if isinstance(value.get("sources"), list) and "document" not in value else set()
        return own.union(*(sources_cited(one) for name, one in value.items() if name != "sources"))
    return set().union(*map(sources_cited, value)) if isinstance(value, list) else set()


@pytest.mark.parametrize("name", NAMES)
def test_every_document_of_every_real_question_fits_its_published_schema_and_cites_what_it_lists(
    clinic: Clinic, asked: list[tuple[str, Facts]], name: str
) -> None:
    validator = jsonschema_rs.validator_for(schema(name))
    assert len(asked) >= 70

    for question, facts in asked:
        document = json.loads(clinic.draft(name, facts, [question]).text())
        validator.validate(document)
        assert document["document"] == name, question
        assert document["status"] == "draft", question
        assert document["ruleset"] == clinic.ruleset, question
        assert document["audience"] == facts.audience, question
        numbers = [row["number"] for row in document["sources"]]
        assert numbers == list(range(1, len(numbers) + 1)), question
        assert sources_cited(document) <= set(numbers), question
        assert all(row["title"] and row["url"] and row["read_on"] for row in document["sources"]), question


@pytest.mark.parametrize("name", NAMES)
def test_schemas_are_strict_as_providers_want_them(name: str) -> None:
    for whole in (schema(name), words_schema(name)):
        jsonschema_rs.validator_for(whole)
        for part in (whole, *whole.get("$defs", {}).values()):
            if part["type"] == "object":
                assert part["additionalProperties"] is False
                assert set(part["required"]) == set(part["properties"])
    assert schema(name)["title"] == f"vetx_{name}"
    assert "$ref" not in json.dumps(words_schema(name))


@pytest.mark.parametrize("name", NAMES)
def test_what_a_document_may_not_lack_is_refused_by_its_schema(clinic: Clinic, name: str) -> None:
    validator = jsonschema_rs.validator_for(schema(name))
    document = written(clinic, name, CHOCOLATE)

    for field in document:
        assert not validator.is_valid({key: value for key, value in document.items() if key != field}), field
    assert not validator.is_valid({**document, "status": "final"})
    assert not validator.is_valid({**document, "cure": "yes"})


@pytest.mark.parametrize("name", NAMES)
def test_the_same_question_gives_the_same_bytes(clinic: Clinic, name: str) -> None:
    facts = facts_of(clinic, CHOCOLATE)

    assert clinic.draft(name, facts, [CHOCOLATE]).text() == clinic.draft(name, facts, [CHOCOLATE]).text()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "patient",
    [
        {"species": "dog", "weight_kg": 12, "age_months": 18},
        {
            "id": "7", "name": "Rex", "species": "K9", "breed": "collie", "sex": "MN", "birth_date": "2020-01-31",
            "weight": {"value": 44, "unit": "lb", "measured_on": "2026-01-01"},
            "body_condition": {"score": 6, "scale": 9},
            "genotype": [{"gene": "ABCB1", "result": "mutant/normal"}], "conditions": ["kidney disease"],
            "allergies": ["penicillin"], "medications": ["carprofen 50 mg BID", {"name": "gabapentin", "amount": 100}],
        },
    ],
)  # fmt: skip
def test_the_patient_of_a_document_is_accepted_unchanged(clinic: Clinic, name: str, patient: Json) -> None:
    document = written(clinic, name, "vomiting", patients=(patient,))
    again = written(clinic, name, "vomiting", patients=(document["patient"],))

    assert document["patient"]["species"] == "dog"
    assert again["patient"] == document["patient"]


def test_a_soap_note_quotes_what_was_said_and_computes_the_rest(clinic: Clinic) -> None:
    note = written(clinic, "soap", CHOCOLATE)

    told = {(row["kind"], row["quote"]) for row in note["subjective"]["told"]}
    assert ("exposure", "200 g of dark chocolate") in told
    assert note["objective"]["weight_kg"] == 12
    assert note["objective"]["vitals"][0]["flag"].startswith("H")
    assert note["assessment"]["urgency"]["level"] == "emergency"
    assert note["assessment"]["summary"].startswith("EMERGENCY")
    exposure = note["assessment"]["exposures"][0]
    assert exposure["dose"] == {"value": 93.33, "unit": "mg/kg"}
    assert exposure["sources"]
    assert note["plan"]["treatment"]
    assert note["plan"]["contacts"]


def test_every_quote_stands_in_the_message_word_for_word(clinic: Clinic, asked: list[tuple[str, Facts]]) -> None:
    def quotes(value: Any) -> list[str]:
        if isinstance(value, dict):
            own = [value["quote"]] if value.get("quote") else []
            return own + [one for part in value.values() for one in quotes(part)]
        return [one for part in value for one in quotes(part)] if isinstance(value, list) else []

    found = 0
    for question, facts in asked:
        for name in ("soap", "triage_card", "differentials"):
            quoted = quotes(json.loads(clinic.draft(name, facts, [question]).text()))
            assert all(one in question for one in quoted)
            found += len(quoted)
    assert found > 100


def test_of_several_messages_nothing_is_quoted(clinic: Clinic) -> None:
    note = written(clinic, "soap", "My dog weighs 12 kg", "he ate 200 g of dark chocolate")

    assert note["patient"]["weight_kg"] == 12
    assert note["subjective"]["told"]
    assert all(row["quote"] is None for row in note["subjective"]["told"])


def test_doses_of_a_note_are_the_clinics_and_owners_get_none(clinic: Clinic) -> None:
    question = "meloxicam for a 12 kg dog, 1.5 mg/mL"
    vets, owners = written(clinic, "soap", question), written(clinic, "soap", question, audience="owner")

    dose = next(row for row in vets["plan"]["doses"] if row["route"] == "PO" and row["per_kg"]["max"] == 0.1)
    assert dose["amount"] == {"min": 1.2, "max": 1.2, "unit": "mg"}
    assert dose["volume"] == {"min": 0.8, "max": 0.8, "unit": "mL"}
    assert dose["strength"] == {"value": 1.5, "unit": "mg/mL"}
    assert dose["sources"]
    assert "of which one a drug is to be chosen" in vets["plan"]["summary"]
    assert owners["plan"]["doses"] == owners["plan"]["calculations"] == []
    assert "mg" not in owners["plan"]["summary"]


def test_a_dose_that_a_finding_speaks_against_is_marked_and_left_out_of_the_words(clinic: Clinic) -> None:
    note = written(clinic, "soap", "meloxicam dose for a pregnant 12 kg dog")

    assert note["plan"]["doses"]
    assert not any(row["advised"] for row in note["plan"]["doses"])
    assert "mg" not in note["plan"]["summary"]
    assert note["assessment"]["warnings"][0]["severity"] in ("absolute", "high")


def test_an_owner_is_not_told_to_make_it_vomit(clinic: Clinic) -> None:
    card = written(clinic, "triage_card", CHOCOLATE, audience="owner")

    assert all(row["emesis"]["advised"] != "yes" for row in card["exposures"])
    assert all(not row["antidotes"] and not row["actions"] for row in card["exposures"])
    assert any("vomit" in line for line in card["do_not"])
    assert card["urgency"]["level"] == "emergency"


def test_an_unknown_poison_is_neither_cleared_nor_judged(clinic: Clinic) -> None:
    question = "my 12 kg dog ate some snorblaxazole tablets"
    note, letter = written(clinic, "soap", question), written(clinic, "discharge", question, audience="owner")

    assert note["assessment"]["exposures"][0]["covered"] is False
    assert "nothing is claimed" in note["assessment"]["summary"]
    assert any("no record" in line for line in letter["what_we_found"])
    assert note["assessment"]["urgency"]["level"] in ("emergency", "urgent")


def test_the_headline_is_in_the_readers_language_first(clinic: Clinic) -> None:
    facts = facts_of(clinic, CHOCOLATE)
    card = json.loads(clinic.draft("triage_card", facts, [CHOCOLATE], None, {"emergency": "NOTFALL!"}).text())

    assert card["headline"] == "NOTFALL! EMERGENCY: this animal needs a vet now."


def test_what_is_forbidden_stands_under_do_not(clinic: Clinic) -> None:
    card = written(clinic, "triage_card", "can I give my 4 kg cat paracetamol", audience="owner")

    assert any("paracetamol" in line or "acetaminophen" in line for line in card["do_not"])


@pytest.mark.parametrize(
    ("patient", "own", "never"),
    [
        ({"species": "dog"}, "swollen belly", "cat"),
        ({"species": "cat", "sex": "male"}, "straining without", "herbivore"),
        ({"species": "horse"}, "colic", "cat"),
    ],
)
def test_return_signs_are_those_of_its_kind_first(clinic: Clinic, patient: Json, own: str, never: str) -> None:
    letter = written(clinic, "discharge", "vomiting", patients=(patient,))
    signs = [row["sign"] for row in letter["come_back_at_once_if"]]

    assert own in signs[0]
    assert not any(f"{never} " in sign and patient["species"] not in sign for sign in signs)
    assert all(row["sources"] for row in letter["come_back_at_once_if"])


def test_every_return_sign_is_a_red_flag_on_record(clinic: Clinic) -> None:
    assert {flag.id for flag in clinic.records.flags} >= set(RETURN_SIGNS)


def test_a_discharge_letter_repeats_medicines_and_names_to_the_vet_what_to_check(clinic: Clinic) -> None:
    question = "20 kg labrador with kidney disease, on carprofen 50 mg BID and gabapentin 100 mg TID, not eating"
    letter, owners = written(clinic, "discharge", question), written(clinic, "discharge", question, audience="owner")

    assert [(row["name"], row["as_read"]) for row in letter["medicines"]] == [
        ("carprofen", "carprofen 50 mg twice a day"),
        ("gabapentin", "gabapentin 100 mg three times a day"),
    ]
    assert any("kidney" in line for line in letter["check_before_sending"])
    assert owners["check_before_sending"] == []
    assert not any("mg" in line for line in (letter["summary"], *letter["what_we_found"], *letter["at_home"]))


def test_a_medicine_that_a_finding_speaks_against_is_not_told_to_be_given(clinic: Clinic) -> None:
    question = "FS DSH 4.2 kg with kidney disease, on amlodipine 0.625 mg SID and meloxicam 0.1 mg/kg SID"
    letter = written(clinic, "discharge", question)
    checks = {row["name"]: row["check"] for row in letter["medicines"]}

    assert checks["meloxicam"]
    assert checks["amlodipine"] is None
    assert any("meloxicam" in line and "ask your vet" in line for line in letter["at_home"])


def test_nobody_is_sent_home_in_an_emergency(clinic: Clinic) -> None:
    letter = written(clinic, "discharge", CHOCOLATE)

    assert letter["at_home"][0].startswith("Go to a vet first")
    assert not any("rest" in line.split() for line in letter["at_home"])
    assert "emergency" in letter["check_before_sending"][0]


@pytest.mark.parametrize("name", ["soap", "triage_card", "differentials", "discharge"])
@pytest.mark.parametrize("words", ["4.2 kg cat, potassium 2.1 mmol/L", "20 kg dog, glucose 25 mg/dL, on holiday"])
def test_a_value_that_endangers_life_makes_the_document_an_emergency(clinic: Clinic, name: str, words: str) -> None:
    document = written(clinic, name, words)
    text = json.dumps(document)

    assert "EMERGENCY" in text or '"level": "emergency"' in text


def test_a_laboratory_table_flags_and_counts_what_can_be_judged(clinic: Clinic) -> None:
    table = written(clinic, "lab_table", "4 kg cat, potassium 7.1 mmol/L, creatinine 5 mg/dL, glucose 90 mg/dL")
    flags = {row["analyte"]: row["flag"] for row in table["results"]}

    assert flags["potassium"] in ("H", "HH")
    assert flags["creatinine"] in ("H", "HH")
    assert flags["glucose"] == "N"
    assert all(row["sources"] for row in table["results"])
    assert "Potassium 7.1 mmol/L: " in table["summary"]
    unknown = written(clinic, "lab_table", "potassium 7.1 mmol/L")
    assert unknown["results"][0]["flag"] is None
    assert unknown["results"][0]["why"]
    assert "could be judged" in unknown["summary"]
    chronic = written(clinic, "lab_table", "12 kg dog, creatinine 3.1 mg/dL, PCV 20 %")
    assert "PCV 20 %" in chronic["summary"]
    assert any(row["result"].startswith("stage") and row["inputs"] for row in chronic["derived"])


def test_differentials_put_what_must_not_be_missed_first_and_give_no_chances(clinic: Clinic) -> None:
    listed = written(clinic, "differentials", "8 year old male cat 5 kg straining to urinate, vomiting, no fever")
    rows = listed["differentials"]

    assert rows
    assert [row["cant_miss"] for row in rows] == sorted((row["cant_miss"] for row in rows), reverse=True)
    assert all(row["for"] and row["sources"] for row in rows)
    assert not any("%" in json.dumps(row) for row in rows)
    assert listed["order"]


def test_of_two_animals_no_differentials_are_made(clinic: Clinic) -> None:
    listed = written(clinic, "differentials", "my cat is vomiting and my dog limps")

    assert listed["differentials"] == []
    assert "one animal at a time" in listed["summary"]
    assert {"text": "differentials", "why": "several_animals"} in listed["not_checked"]


# An engine's words.

WORDS: dict[str, Json] = {
    "soap": {"subjective": "S.", "objective": "O.", "assessment": "A.", "plan": "P.",
             "further_differentials": ["theobromine tremor"], "treatment": ["Warmth."], "tests": [], "monitoring": []},
    "triage_card": {"headline": "Go now.", "do_now": ["Drive."], "do_not": []},
    "differentials": {"summary": "Many.", "further_differentials": [], "further_tests": ["ECG"]},
    "discharge": {"summary": "Well.", "what_we_found": [], "at_home": ["Rest."], "do_not": []},
    "lab_table": {"summary": "Fine.", "comments": ["Fasted?"]},
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_an_engines_words_stand_in_our_document_and_change_no_figure(clinic: Clinic, name: str) -> None:
    draft = clinic.draft(name, facts_of(clinic, CHOCOLATE), [CHOCOLATE])
    jsonschema_rs.validator_for(draft.words_schema).validate(WORDS[name])
    ours = json.loads(draft.text())
    document = json.loads(draft.with_words(json.dumps(WORDS[name]), str.upper))

    jsonschema_rs.validator_for(schema(name)).validate(document)
    assert draft.text() == json.dumps(ours, ensure_ascii=False, separators=(",", ":"))
    for field, path in KINDS[name].places.items():
        theirs, before = document, ours
        for step in path[:-1]:
            theirs, before = theirs[step], before[step]
        given = WORDS[name][field]
        if isinstance(given, str):
            assert theirs.pop(path[-1]) == given.upper()
            del before[path[-1]]
        else:
            assert theirs.pop(path[-1]) == [*before.pop(path[-1]), *(line.upper() for line in given)]
    assert document == ours


@pytest.mark.parametrize(
    "text",
    [
        "", "Sure! Here is the note.", "{", "[]", "null", '{"summary": "x"}', '{"summary": 5, "comments": []}',
        '{"summary": "x", "comments": [], "dose_mg": 5}', '{"summary": "x", "comments": ["a", 7]}',
        '```json\n{"summary": "x", "comments": []}\n```', '{"summary": "x", "comments": []} and more', "[" * 100_000,
    ],
)  # fmt: skip
def test_what_is_not_its_words_is_refused(clinic: Clinic, text: str) -> None:
    draft = clinic.draft("lab_table", facts_of(clinic, CHOCOLATE), [CHOCOLATE])

    with pytest.raises(ValueError, match="not the words"):
        draft.with_words(text, str)


def test_a_document_that_breaks_its_own_schema_never_leaves(clinic: Clinic) -> None:
    draft = clinic.draft("lab_table", facts_of(clinic, CHOCOLATE), [CHOCOLATE])
    draft._document["summary"] = 7

    with pytest.raises(msgspec.ValidationError):
        draft.text()


def test_the_task_names_every_field_an_engine_must_write(clinic: Clinic) -> None:
    for name in NAMES:
        task = clinic.draft(name, facts_of(clinic, CHOCOLATE), [CHOCOLATE]).task
        assert all(f"{field}" in task for field in KINDS[name].places)


def test_unknown_documents_and_schemas_are_refused(clinic: Clinic) -> None:
    with pytest.raises(Invalid) as refused:
        clinic.draft("prescription", facts_of(clinic, "x"), ["x"])
    assert refused.value.param == "response_format.json_schema.name"
    with pytest.raises(NotFound):
        clinic.schema("prescription")
    assert clinic.schema("vetx_soap") is clinic.schema("soap")
    assert [row["name"] for row in clinic.schemas()] == [f"vetx_{name}" for name in KINDS]
    assert all(row["description"] for row in clinic.schemas())
