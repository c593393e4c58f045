"""The clinic's questions as tools: what a model is told of them, and what its calls give."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import jsonschema_rs
import pytest

from app.base.messages import Facts
from app.clinic import Clinic
from app.clinic.calculators import ALL as CALCULATORS
from app.clinic.tools import ANSWER_BYTES_MAX, MARK, TOOLS, answered, offered

TODAY = date(2026, 11, 22)
DOG = {"species": "dog", "breed": None, "weight": {"value": 12, "unit": "kg"}, "weight_kg": 12, "age_months": 30,
       "conditions": ["kidney disease"], "allergies": [], "medications": ["prednisolone 5 mg PO BID"]}  # fmt: skip
CAT = {"species": "cat", "breed": None, "name": "Mia", "weight_kg": 4, "conditions": [], "allergies": [],
       "medications": []}  # fmt: skip


def known(*patients: Any, **more: Any) -> Facts:
    """The facts of a conversation about these animals."""
    return Facts(**{"audience": "clinician", "jurisdiction": None, "language": "en", "patients": patients, **more})


def told(clinic: Clinic, name: str, given: Any, facts: Facts, bytes_max: int = ANSWER_BYTES_MAX) -> Any:
    """What the model is told."""
    return json.loads(answered(name, json.dumps(given), facts, clinic, TODAY, bytes_max).content)


def test_schemas_are_small_whole_and_name_what_is_needed() -> None:
    tools = {tool["function"]["name"]: tool["function"] for tool in offered("clinician")}

    assert list(tools) == list(TOOLS)
    assert len(json.dumps(list(tools.values()))) < 9_000
    for name, tool in tools.items():
        parameters = tool["parameters"]
        jsonschema_rs.meta.validate(parameters)
        assert tool["description"].startswith(MARK)
        assert set(parameters["required"]) <= set(parameters["properties"])
        assert not {"text", "audience", "jurisdiction", "language"} & set(parameters["properties"])
        assert set(parameters["properties"]) <= set(TOOLS[name].body.model_fields)
        text = json.dumps(parameters)
        assert not any(word in text for word in ("$ref", "anyOf", "title", "default", "null", "span"))
    described = tools["calculate"]["parameters"]["properties"]
    assert described["calculator"]["enum"] == list(CALCULATORS)
    assert "drip_rate(rate_ml_per_h, drops_per_ml)" in described["inputs"]["description"]


@pytest.mark.parametrize("name", list(CALCULATORS))
def test_every_calculator_is_answered_by_the_inputs_the_schema_shows(clinic: Clinic, name: str) -> None:
    calculator = CALCULATORS[name]
    given = {"calculator": name, "inputs": dict(calculator.example), "patient": dict(calculator.example_patient)}
    gives = answered("calculate", json.dumps(given), known(), clinic, TODAY, ANSWER_BYTES_MAX)

    assert "error" not in json.loads(gives.content)
    figures = [name] if name != "corrected_calcium" else []  # no source on record gives one
    assert [row["calculator"] for row in gives.calculations] == figures


def test_the_conversations_animal_stands_in_for_what_a_call_leaves_out(clinic: Clinic) -> None:
    alone = told(clinic, "check", {"drugs": ["carprofen 25 mg BID"]}, known(DOG))
    same = told(clinic, "check", {"drugs": ["carprofen"], "patient": {"species": "canine", "breed": None}}, known(DOG))
    heavier = told(
        clinic, "dose", {"drug": "carprofen", "patient": {"weight": {"value": 10, "unit": "lb"}}}, known(DOG)
    )

    for answer in (alone, same):
        assert "nsaid-corticosteroid" in {row["rule"] for row in answer["findings"]}
        assert answer["patient"] == {"species": "dog", "weight_kg": 12, "age_months": 30}
    assert heavier["patient"] == {"species": "dog", "weight_kg": 4.5359237, "age_months": 30}


def test_an_illness_the_conversation_knows_cannot_be_left_out(clinic: Clinic) -> None:
    asked = {"drugs": ["carprofen"], "patient": {"conditions": ["heart disease"], "medications": []}}
    gives = answered("check", json.dumps(asked), known(DOG), clinic, TODAY, ANSWER_BYTES_MAX)

    assert "nsaid-corticosteroid" in gives.content


def test_another_animal_gets_nothing_of_the_conversations(clinic: Clinic) -> None:
    other = told(clinic, "dose", {"drug": "meloxicam", "patient": {"species": "cat"}}, known(DOG))
    unknown = told(clinic, "dose", {"drug": "meloxicam", "patient": {"species": "wyvern"}}, known(DOG))

    assert other["patient"] == {"species": "cat"}
    assert unknown["patient"] == {"species": "wyvern"}


def test_of_several_animals_the_one_named_is_meant(clinic: Clinic) -> None:
    both = known(DOG, CAT)

    assert (
        told(clinic, "check", {"drugs": ["carprofen"], "patient": {"name": "mia"}}, both)["patient"]["weight_kg"] == 4
    )
    assert (
        told(clinic, "check", {"drugs": ["carprofen"], "patient": {"species": "dog"}}, both)["patient"]["weight_kg"]
        == 12
    )
    assert "species" not in told(clinic, "check", {"drugs": ["carprofen"]}, both)["patient"]


def test_whom_it_is_for_and_whose_law_holds_are_the_conversations(clinic: Clinic) -> None:
    given = {
        "drugs": ["carprofen"],
        "audience": "clinician",
        "jurisdiction": "US",
        "text": "my 3 kg cat",
        "language": "x",
    }
    answer = told(clinic, "check", given, known(DOG, audience="owner", jurisdiction="UK"))

    assert answer["jurisdiction"] == "UK"
    assert answer["patient"]["weight_kg"] == 12


def test_a_long_answer_leaves_out_sources_first_and_says_so(clinic: Clinic) -> None:
    asked = {"drug": "amoxicillin"}
    whole = told(clinic, "dose", asked, known(DOG))
    for bytes_max in (3_000, 1_500, 600):
        answer = told(clinic, "dose", asked, known(DOG), bytes_max)
        assert len(json.dumps(answer)) <= bytes_max * 1.1
        assert "sources" in answer["left_out_for_length"]
        assert answer.get("doses", []) == whole["doses"][: len(answer.get("doses", []))]
    assert "left_out_for_length" not in whole


def test_several_poisons_have_a_calculation_each(clinic: Clinic) -> None:
    met = [{"substance": "dark chocolate", "amount": {"value": 200, "unit": "g"}},
           {"substance": "raisins", "amount": {"value": 50, "unit": "g"}}]  # fmt: skip
    gives = answered("exposure", json.dumps({"exposures": met}), known(DOG), clinic, TODAY, ANSWER_BYTES_MAX)
    one = answered("exposure", json.dumps({"exposures": met[:1]}), known(DOG), clinic, TODAY, ANSWER_BYTES_MAX)

    assert [row["result"]["value"] for row in gives.calculations] == [93.33, 4.167]
    assert one.calculations == gives.calculations[:1]


def test_laboratory_values_and_what_follows_from_them_are_calculations(clinic: Clinic) -> None:
    asked = {"analytes": [{"name": "creatinine", "value": 3.1, "unit": "mg/dL"}, {"name": "nonsense", "value": 1}]}
    values, stage = answered("labs", json.dumps(asked), known(DOG), clinic, TODAY, ANSWER_BYTES_MAX).calculations

    assert [(row["analyte"], row["flag"]) for row in values["result"]] == [("creatinine", "H")]
    assert stage["result"]["label"] == "IRIS stage 3"
    assert values["sources"]
    assert stage["sources"]


def test_nothing_found_is_no_calculation(clinic: Clinic) -> None:
    for name, given in (
        ("dose", {"drug": "nonsense"}),
        ("exposure", {"exposures": [{"substance": "nonsense"}]}),
        ("labs", {"analytes": [{"name": "nonsense", "value": 1}]}),
        ("calculate", {"calculator": "osmolality"}),
        ("check", {"drugs": ["nonsense"]}),
    ):
        gives = answered(name, json.dumps(given), known(CAT), clinic, TODAY, ANSWER_BYTES_MAX)
        assert gives.calculations == ()
        assert "error" not in json.loads(gives.content)


def test_arguments_that_cannot_be_read_are_told_so(clinic: Clinic) -> None:
    for arguments in (
        "{",
        "[]",
        "[" * 100_000,
        '"\ud800',
        "7",
        '{"patient": 7, "drug": "x"}',
        '{"patient": {"sex": 1}}',
    ):
        assert "error" in json.loads(answered("dose", arguments, known(DOG), clinic, TODAY, 2_000).content)
    odd = {"drugs": ["carprofen"], "patient": {"conditions": "many"}}
    assert "conditions" in told(clinic, "check", odd, known(DOG))["error"]
    assert "species" in told(clinic, "check", {**odd, "patient": {"species": 7}}, known(DOG))["error"]


def test_an_owners_model_is_told_what_is_a_vets_to_work_out(clinic: Clinic) -> None:
    owner = known(DOG, audience="owner")

    assert "no tool of that name" in told(clinic, "dose", {"drug": "carprofen"}, owner)["error"]
    assert "veterinarian" in told(clinic, "calculate", {"calculator": "cri"}, owner)["error"]
    assert told(clinic, "calculate", {"calculator": "energy"}, owner)["result"]["unit"] == "kcal/day"
    assert "No calculator" in told(clinic, "calculate", {"calculator": "x"}, owner)["error"]


@pytest.mark.parametrize(("species", "weight_kg"), [("dog", 12), ("cat", 4)])
def test_the_guard_lets_a_model_copy_what_our_tool_told_it(clinic: Clinic, species: str, weight_kg: int) -> None:
    """Every recorded dose of every drug as a plain sentence: at most one in a hundred is touched."""

    def written(row: Any) -> str:
        low, high, unit = row["min"], row["max"], row["unit"]
        return f"{low} {unit}" if low == high else f"{low} to {high} {unit}"

    animal = {**CAT, "name": None, "species": species, "weight_kg": weight_kg}
    facts, said, touched = known(animal), 0, []
    for drug in clinic.records.drugs:
        for row in told(clinic, "dose", {"drug": drug}, facts).get("doses", []):
            if row.get("advised") and row.get("per_kg") and row.get("amount") and row["per"] == "dose":
                how = f"{written(row['per_kg'])} {row['route']} {row.get('frequency', '')}"
                sentence = f"Give {drug} {how}, that is {written(row['amount'])} for this {species}."
                guard = clinic.guard(facts)
                said += 1
                if guard.feed(sentence) + guard.finish() != sentence:
                    touched.append(sentence)

    assert said > 150
    assert len(touched) <= said / 100, touched
