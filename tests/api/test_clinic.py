"""The clinic over a real socket: shapes, scope, jurisdiction, refusals; and nothing is charged."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.conftest import Service

DOG = {"species": "dog", "weight_kg": 12}
FOLLOWING = [("dose", {"drug": "meloxicam"}), ("check", {"drugs": ["tylenol"]}), ("exposure", {"substance": "lily"})]
QUESTIONS: list[tuple[str, dict[str, Any], str]] = [
    ("extract", {"text": "12 kg dog"}, "patients"),
    ("dose", {"patient": DOG, "drug": "meloxicam"}, "doses"),
    ("exposure", {"patient": DOG, "substance": "raisins"}, "severity"),
    ("check", {"patient": DOG, "drugs": ["carprofen 25 mg PO BID"]}, "findings"),
    ("triage", {"patient": DOG, "text": "he is fitting", "vitals": [{"name": "temp", "value": 41}]}, "level"),
    (
        "differentials",
        {"patient": DOG, "signs": ["vomiting"], "analytes": [{"name": "K", "flag": "H"}]},
        "differentials",
    ),
    ("labs", {"patient": DOG, "analytes": [{"name": "K", "value": 7.9, "unit": "mmol/L"}]}, "results"),
    ("calculate", {"patient": DOG, "calculator": "shock_bolus"}, "result"),
    ("guard", {"patient": DOG, "text": "Rest him."}, "verdict"),
]
WRONG: list[tuple[str, dict[str, Any], str, str]] = [
    ("dose", {"patient": {"specie": "dog"}}, "patient.specie", "unknown_parameter"),
    ("dose", {"drug": 3}, "drug", "invalid_value"),
    ("dose", {}, "drug", "missing_required_parameter"),
    ("dose", {"drug": "meloxicam", "per_kg": "2"}, "per_kg", "invalid_value"),
    ("dose", {"drug": "meloxicam", "per_kg": {"value": 2}}, "per_kg.unit", "missing_required_parameter"),
    ("exposure", {"substance": "lily", "amount": {"value": -1, "unit": "g"}}, "amount.value", "invalid_value"),
    ("exposure", {"exposures": [{"amount": 1}]}, "exposures[0].substance", "missing_required_parameter"),
    ("check", {"drugs": [{"amount": 1}]}, "drugs[0].name", "missing_required_parameter"),
    ("check", {"patient": {"medications": ["x", 3]}}, "patient.medications[1]", "invalid_value"),
    ("triage", {}, "text", "missing_required_parameter"),
    ("triage", {"vitals": [{"name": "temp", "value": "41"}]}, "vitals[0].value", "invalid_value"),
    ("differentials", {"patient": DOG}, "signs", "missing_required_parameter"),
    ("differentials", {"signs": [7]}, "signs[0]", "invalid_value"),
    ("differentials", {"analytes": [{"name": "K", "flag": "odd"}]}, "analytes[0].flag", "invalid_value"),
    ("differentials", {"analytes": [{"flag": "H"}]}, "analytes", "missing_required_parameter"),
    ("labs", {}, "analytes", "missing_required_parameter"),
    ("labs", {"analytes": [{"name": "K", "value": "7"}]}, "analytes[0].value", "invalid_value"),
    ("calculate", {}, "calculator", "missing_required_parameter"),
    ("calculate", {"calculator": "nonsense"}, "calculator", "invalid_value"),
    ("calculate", {"calculator": "cpr", "inputs": {"colour": 1}}, "inputs.colour", "unknown_parameter"),
    ("calculate", {"calculator": "cpr", "inputs": {"weight_kg": {"value": []}}}, "inputs.weight_kg", "invalid_value"),
    ("guard", {}, "text", "missing_required_parameter"),
    ("guard", {"text": "x", "colour": 1}, "colour", "unknown_parameter"),
    ("guard", {"text": "x", "patient": {"weight_kg": -1}}, "patient.weight_kg", "invalid_value"),
    ("extract", {}, "text", "missing_required_parameter"),
    ("extract", {"text": "x", "colour": 1}, "colour", "unknown_parameter"),
]
LISTS = [
    ("species", "dog"),
    ("breeds?species=dog", "Collie"),
    ("drugs", "meloxicam"),
    ("toxins", "chocolate"),
    ("analytes", "creatinine"),
    ("conditions", "pyometra"),
    ("conditions?species=horse", "equine colic"),
    ("calculators", "iris_ckd"),
]


async def test_an_exposure_is_answered_with_sources_and_costs_nothing(service: Service) -> None:
    account = await service.account(nano=0)
    body = {"text": "My 12 kg dog ate 200 g of dark chocolate an hour ago"}
    response = await service.client.post("/v1/clinic/exposure", json=body, headers=account.headers)
    answer = response.json()

    assert response.status_code == 200
    assert answer["dose"] == {"value": 93.33, "unit": "mg/kg"}
    assert answer["sources"][0]["read_on"]
    assert (await service.house.wallet.balance(account.id)).balance_nano == 0


async def test_every_question_is_answered(service: Service) -> None:
    account = await service.account()
    for path, body, key in QUESTIONS:
        response = await service.client.post(f"/v1/clinic/{path}", json=body, headers=account.headers)

        assert response.status_code == 200, path
        assert key in response.json()
        assert response.json()["ruleset"] == service.house.ruleset


async def test_the_patient_of_one_answer_is_taken_by_the_others(service: Service) -> None:
    account = await service.account()
    read = await service.client.post(
        "/v1/clinic/extract", json={"text": "FS DSH, 3 yo, 4.2 kg"}, headers=account.headers
    )
    patient = read.json()["patient"]
    for path, rest in (
        ("dose", {"drug": "meloxicam"}),
        ("check", {"drugs": ["tylenol"]}),
        ("exposure", {"substance": "lily"}),
    ):
        response = await service.client.post(
            f"/v1/clinic/{path}", json={"patient": patient, **rest}, headers=account.headers
        )
        assert response.status_code == 200, response.text
        assert response.json()["patient"] == patient


async def test_a_wrong_body_names_its_field(service: Service) -> None:
    account = await service.account()
    for path, body, param, code in WRONG:
        response = await service.client.post(f"/v1/clinic/{path}", json=body, headers=account.headers)
        error = response.json()["error"]

        assert (response.status_code, error["param"], error["code"]) == (400, param, code)


async def test_a_key_without_the_scope_is_refused(service: Service) -> None:
    account = await service.account(scopes=("chat",))
    response = await service.client.get("/v1/clinic/species", headers=account.headers)

    assert (response.status_code, response.json()["error"]["code"]) == (403, "scope_missing")


async def test_the_lists_name_what_is_on_record(service: Service) -> None:
    account = await service.account()
    for path, name in LISTS:
        page = (await service.client.get(f"/v1/clinic/{path}", headers=account.headers)).json()

        assert (page["object"], page["has_more"], page["next_page"]) == ("list", False, None)
        assert any(name in row["name"] for row in page["data"]), path


async def test_a_drug_is_found_by_any_name_and_a_missing_one_is_404(service: Service) -> None:
    account = await service.account()
    found = await service.client.get("/v1/clinic/drugs/Rimadyl", headers=account.headers)
    missing = await service.client.get("/v1/clinic/drugs/nosuchdrug", headers=account.headers)
    odd = await service.client.get("/v1/clinic/drugs?colour=red", headers=account.headers)

    assert found.json()["name"] == "carprofen"
    assert found.json()["doses"][0]["sources"]
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "not_found")
    assert (odd.status_code, odd.json()["error"]["code"]) == (400, "unknown_parameter")


CAT = {"species": "cat", "weight_kg": 4}
WRITTEN: list[tuple[dict[str, Any], str | None, list[tuple[str, str, str]]]] = [
    ({"patient": CAT, "text": "Keep her warm."}, "safe", []),
    ({"patient": CAT, "text": "Never give paracetamol to a cat."}, "safe", []),
    ({"patient": CAT, "text": "Rest. Give paracetamol 50 mg. Call."}, "unsafe",
     [("acetaminophen-cat", "absolute", "replaced")]),
    ({"patient": DOG, "jurisdiction": "EU", "text": "Carprofen 10 mg/kg once."}, "unsafe",
     [("dose-high", "high", "annotated")]),
    ({"patient": DOG, "jurisdiction": "EU", "audience": "owner", "text": "Carprofen 10 mg/kg once."}, "unsafe",
     [("dose-high", "high", "replaced")]),
    ({"context": "My cat of 4 kg limps.", "text": "Give ibuprofen 50 mg."}, "unsafe",
     [("ibuprofen-cat", "absolute", "replaced")]),
    ({"text": "Give ibuprofen 50 mg."}, None, []),
    ({"patient": {"species": "dog"}, "text": "Give carprofen 40 mg."}, None, []),
    ({"patient": DOG, "text": "Zorblinumab 5 mg/kg once daily."}, None, []),
    ({"context": "Our dog ate rat bait", "audience": "owner", "text": "You can wait and see."}, "unsafe",
     [("emergency-delayed", "absolute", "replaced")]),
]  # fmt: skip


async def test_the_text_of_any_model_is_guarded_as_chats_own(service: Service) -> None:
    """Unsafe with what was found, safe where nothing was and all could be judged, else null with what could not."""
    account = await service.account(nano=0)
    for body, verdict, found in WRITTEN:
        response = await service.client.post("/v1/clinic/guard", json=body, headers=account.headers)
        answer = response.json()

        assert response.status_code == 200, response.text
        assert answer["verdict"] == verdict, body
        assert [(row["rule"], row["severity"], row["action"]) for row in answer["findings"]] == found
        assert (verdict is None) == bool(answer["not_checked"] and not found)
        assert (answer["corrected"] == body["text"]) == (verdict != "unsafe")
        for row in answer["findings"]:
            start, end = row["span"]
            words = body["text"][start:end]
            assert words and words.strip() == words
            assert (words in answer["corrected"]) == (row["action"] == "annotated")
            assert row["text"]
            assert "url" in row["source"] or row["rule"] == "emergency-delayed"
    assert (await service.house.wallet.balance(account.id)).balance_nano == 0


async def test_a_guard_that_fails_answers_with_an_error(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    account = await service.account()

    def broken(*_: object) -> str:
        raise RuntimeError("broken on purpose")

    monkeypatch.setattr("app.clinic.safety.SafetyGuard.feed", broken)
    response = await service.client.post("/v1/clinic/guard", json={"text": "Rest him."}, headers=account.headers)

    assert (response.status_code, response.json()["error"]["code"]) == (500, "internal_error")
    assert "Rest him" not in response.text
