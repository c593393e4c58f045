"""Poisonings worked out by hand; where a fact is missing the worst case stands, and nothing is cleared."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.base.errors import Invalid
from app.base.messages import Ask, Caller, Message, Text
from app.clinic import Clinic, open_clinic
from app.clinic.exposure import RANK
from app.clinic.words import describe_exposure, describe_extract
from tests.clinic.made import ANTI, BITTER, FLOWER, SOUR, write

DOG = {"species": "dog", "weight_kg": 10}


def ate(substance: str, value: float | None = None, unit: str | None = "g", **fields: Any) -> dict[str, Any]:
    """The body of a dog of 10 kg that ate something."""
    amount = None if value is None else {"value": value, "unit": unit}
    return {"patient": DOG, "substance": substance, "amount": amount, **fields}


def test_two_hundred_grams_of_dark_chocolate_in_a_12_kg_dog(clinic: Clinic) -> None:
    """200 g x 5.6 mg/g (Merck's table) / 12 kg = 93.3 mg/kg: past the 60 mg/kg of seizures."""
    answer = clinic.exposure({"text": "My 12 kg dog ate 200 g of dark chocolate an hour ago"})

    assert answer["dose"] == {"value": 93.33, "unit": "mg/kg"}
    assert (answer["severity"], answer["urgency"], answer["urgent"]) == ("severe", "emergency", True)
    assert answer["exposures"][0]["hours_ago"] == 1
    assert answer["calculation"]["formula"] == "mass_g x 5.6 mg/g / weight_kg"
    assert "msdvetmanual" in answer["sources"][0]["url"]
    assert [row["reached"] for row in answer["thresholds"]] == [True, True, True, False]


@pytest.mark.parametrize(
    ("species", "kg", "substance", "value", "unit", "least"),
    [
        ("dog", 12, "milk chocolate", 50, "g", "minimal"),
        ("dog", 12, "white chocolate", 100, "g", "minimal"),
        ("dog", 30, "70 % dark chocolate", 100, "g", "mild"),
        ("dog", 5, "baking chocolate", 100, "g", "life_threatening"),
        ("cat", 4, "lily", None, None, "life_threatening"),
        ("dog", 10, "raisins", 5, "raisins", "severe"),
        ("dog", 10, "grapes", None, None, "severe"),
        ("cat", 4, "tylenol", 1, "tablet", "severe"),
        ("cat", 4, "antifreeze", 5, "mL", "severe"),
        ("dog", 10, "ibuprofen", 3, "tablets", "mild"),
        ("dog", 10, "xylitol", 2, "g", "mild"),
    ],
)
def test_shipped_poisons_are_graded(
    clinic: Clinic, species: str, kg: float, substance: str, value: float | None, unit: str | None, least: str
) -> None:
    amount = None if value is None else {"value": value, "unit": unit}
    answer = clinic.exposure(
        {"patient": {"species": species, "weight_kg": kg}, "substance": substance, "amount": amount}
    )

    assert answer["covered"]
    assert RANK[answer["severity"]] >= RANK[least]
    assert answer["sources"]
    assert answer["contacts"]


def test_coffee_by_the_cup_is_no_cup_of_grounds(clinic: Clinic) -> None:
    answer = clinic.exposure(
        {"patient": {"species": "dog", "weight_kg": 10}, "substance": "coffee", "amount": {"value": 1, "unit": "cup"}}
    )

    assert answer["dose"]["value"] == 20
    assert clinic.exposure({"patient": DOG, "substance": "coffee", "unit": "cup"})["dose"] is None


@pytest.mark.parametrize(
    ("text", "mg_per_kg", "urgency"),
    [  # 1 IU of vitamin D is 0.025 mcg
        ("my 10 kg dog ate 50,000 IU of vitamin D", 0.125, "urgent"),
        ("10 kg dog ate 5 tablets of vitamin D3 5000 IU", 0.0625, "home_care"),
        ("10 kg dog ate 5 vitamin d3 50000 iu tablets", 0.625, "emergency"),
    ],
)
def test_units_of_vitamin_d_are_a_dose(clinic: Clinic, text: str, mg_per_kg: float, urgency: str) -> None:
    answer = clinic.exposure({"text": text})

    assert answer["dose"] == {"value": mg_per_kg, "unit": "mg/kg"}
    assert answer["urgency"] == urgency
    assert answer["exposures"][0]["product"] == "vitamin D3 in international units"


@pytest.mark.parametrize(
    ("species", "said"), [("cattle", "A cow can't"), ("alpaca", "An alpaca can't"), ("rabbit", "A rabbit can't")]
)
def test_what_cannot_vomit_is_called_by_its_noun(clinic: Clinic, species: str, said: str) -> None:
    answer = clinic.exposure({"patient": {"species": species, "weight_kg": 2}, "substance": "rhododendron"})

    assert answer["emesis"]["why"].startswith(said)


@pytest.mark.parametrize(
    ("text", "product", "unit", "amounts"),
    [
        # 10 kg x 20, 40, 60, 100 mg/kg over 2.3 mg/g of milk chocolate, rounded down
        ("how much milk chocolate is toxic for a 10 kg dog", "milk chocolate", "g", [86, 170, 260, 430]),
        # what nobody eats at once is left out: a tenth of 10 kg is 1 kg
        ("how much white chocolate is toxic for a 10 kg dog", None, None, []),
        ("how much ibuprofen is toxic to a 20 kg dog", "ibuprofen 200 mg tablet", "unit", [0.8, 2.2, 11, 30]),
        ("how much salt is toxic for a 20 kg dog", "salt (sodium chloride)", "g", [40, 80]),
        ("how many grapes are toxic for a 10 kg dog", None, None, []),  # no amount is safe
        ("how much milk chocolate is toxic for a dog", None, None, []),  # no weight
    ],
)
def test_an_amount_nobody_named_is_said_for_each_threshold(
    clinic: Clinic, text: str, product: str | None, unit: str | None, amounts: list[float]
) -> None:
    ask = Ask(
        Caller(1, 1, "x", frozenset(), frozenset(), "u", "account", "x"), "vetx-23", (Message("user", (Text(text),)),)
    )
    (answer,) = clinic.facts_for(ask).exposures
    rows = [row for row in answer["amounts"] if row["product"] == product]

    assert [row["amount"]["value"] for row in rows] == amounts
    assert {row["amount"]["unit"] for row in rows} == ({unit} if unit else set())


def test_milligrams_are_of_the_agent_not_of_its_bait(clinic: Clinic) -> None:
    answer = clinic.exposure(ate("brodifacoum", 2, "mg"))

    assert answer["dose"]["value"] == 0.2


def test_words_that_only_hold_a_name_say_what_they_were_taken_as(clinic: Clinic) -> None:
    answer = clinic.exposure({"patient": {"species": "cat"}, "substance": "peace lily"})

    assert "peace lily is taken as lilies" in answer["assumptions"]


def test_lilies_in_cats_have_no_safe_amount(clinic: Clinic) -> None:
    answer = clinic.exposure({"patient": {"species": "cat", "weight_kg": 4}, "substance": "lilies"})

    assert answer["no_safe_amount"] is True
    assert answer["urgency"] == "emergency"
    assert any("does not predict" in text for text in answer["assumptions"])


def test_a_horse_is_never_made_to_vomit(clinic: Clinic, small: Clinic) -> None:
    for found in (clinic, small):
        substance = "chocolate" if found is clinic else "bitter"
        answer = found.exposure({"patient": {"species": "horse", "weight_kg": 500}, "substance": substance})
        assert answer["emesis"]["advised"] == "contraindicated"


@pytest.mark.parametrize(
    ("substance", "value", "unit", "dose", "severity"),
    [
        ("weak bitter", 50, "g", 5, "minimal"),
        ("weak bitter", 100, "g", 10, "mild"),
        ("strong bitter", 100, "g", 100, "severe"),
        ("bitter 50%", 100, "g", 100, "severe"),
        ("bitter 30 %", 100, "g", 100, "severe"),
        ("bitter 90%", 100, "g", 200, "severe"),
        ("bitter", 10, "g", 20, "mild"),
        ("weak bitter", 4, "squares", 2, "minimal"),
        ("weak bitter", 1, "oz", 2.835, "minimal"),
        ("bitter syrup", 10, "mL", 3, "minimal"),
        ("bitter syrup", 100, "g", 30, "mild"),
        ("weak bitter", 100, "mL", 10, "mild"),
        ("pillol", 500, "mg", 50, "life_threatening"),
        ("pillol", 2, "tablets", 40, "minimal"),
        ("pillol tablet", 2, None, 40, "minimal"),
        ("sour sweet", 6, "sweets", 6, "moderate"),
        ("sour sweet", 12, "g", 6, "moderate"),
        ("sourine", 60, "mg", 6, "moderate"),
        ("bitterine", 100, "mg", 10, "mild"),
    ],
)
def test_doses_worked_out_by_hand(
    tmp_path: Path, small: Clinic, substance: str, value: float, unit: str | None, dose: float, severity: str
) -> None:
    if substance in ("sourine", "bitterine"):
        names = BITTER.replace('"bitters"', '"bitterine"')
        small = open_clinic(
            write(
                tmp_path,
                toxins__bitter=names,
                toxins__sour=SOUR.replace('name = "sour"', 'name = "sour"\nnames = ["sourine"]'),
            )
        )
    answer = small.exposure(ate(substance, value, unit))

    assert answer["dose"] == {"value": dose, "unit": "mg/kg"}
    assert answer["severity"] == severity


@pytest.mark.parametrize(
    ("substance", "value", "unit", "dose", "severity"),
    [
        ("antifrost", 40, "mL", {"value": 4, "unit": "mL/kg"}, "life_threatening"),
        ("antifrost", 30, "g", {"value": 3, "unit": "mL/kg"}, "minimal"),
        ("death flower", 20, "g", {"value": 2, "unit": "g/kg"}, "moderate"),
        ("death flower", 19.7, "g", {"value": 1.97, "unit": "g/kg"}, "moderate"),
        ("death flower", 15, "mL", {"value": 1.5, "unit": "g/kg"}, "minimal"),
    ],
)
def test_some_are_counted_as_the_product_itself(
    small: Clinic, substance: str, value: float, unit: str, dose: dict[str, Any], severity: str
) -> None:
    answer = small.exposure(ate(substance, value, unit))

    assert (answer["dose"], answer["severity"]) == (dose, severity)


def test_nearly_a_threshold_counts_as_reached(small: Clinic) -> None:
    assert small.exposure(ate("weak bitter", 98.1, "g"))["severity"] == "mild"
    assert small.exposure(ate("weak bitter", 97, "g"))["severity"] == "minimal"


def test_a_named_strength_of_a_tablet_counts(small: Clinic) -> None:
    body = ate("pillol", 2, "tablets") | {"strength": {"value": 0.4, "unit": "g"}}

    assert small.exposure(body)["dose"]["value"] == 80


def test_a_shared_agent_adds_up(small: Clinic) -> None:
    """200 g of weak bitter: 20 mg/kg; 4 sour sweets: 4 mg/kg of an agent that strong bitter holds too."""
    answer = small.exposure(
        {
            "patient": DOG,
            "exposures": [
                {"substance": "weak bitter", "amount": {"value": 100, "unit": "g"}},
                {"substance": "weak bitter", "amount": 100, "unit": "g"},
                {"substance": "sour sweet", "amount": {"value": 4, "unit": "sweets"}},
                {"substance": "pillol", "amount": {"value": 100, "unit": "mg"}},
            ],
        }
    )
    doses = {row["substance"]: row["dose"]["value"] for row in answer["agents"]}

    assert doses == {"bitter": 24, "sour": 24, "pillol": 10}
    assert answer["severity"] == "moderate"
    assert any("they share it" in text for text in answer["assumptions"])
    assert len(answer["exposures"]) == 4


def test_no_amount_is_the_worst_case_and_says_so(small: Clinic) -> None:
    answer = small.exposure(ate("weak bitter"))

    assert (answer["severity"], answer["dose"], answer["urgent"]) == ("severe", None, True)
    assert any("worst case" in text for text in answer["assumptions"])
    assert "amount" in [row["field"] for row in answer["needs"]]
    assert answer["thresholds"][0]["reached"] is None


@pytest.mark.parametrize("unit", ["bag", "handful", "%"])
def test_an_amount_nobody_can_weigh_is_no_amount(small: Clinic, unit: str) -> None:
    assert small.exposure(ate("weak bitter", 1, unit))["severity"] == "severe"


def test_an_amount_in_activity_can_not_be_compared(small: Clinic) -> None:
    assert small.exposure(ate("weak bitter", 1, "IU"))["severity"] == "severe"


def test_no_weight_takes_the_lightest_the_animal_can_be(small: Clinic) -> None:
    def severity(patient: dict[str, Any]) -> tuple[str, float | None]:
        answer = small.exposure({"patient": patient, "substance": "weak bitter", "amount": {"value": 20, "unit": "g"}})
        return answer["severity"], answer["dose"] and answer["dose"]["value"]

    assert severity({"species": "dog"}) == ("mild", 13.33)
    assert severity({"species": "puppy"}) == ("mild", 40)
    assert severity({"species": "dog", "breed": "Collie"}) == ("minimal", 1.111)
    assert severity({}) == ("severe", None)


def test_no_species_takes_the_strictest(small: Clinic) -> None:
    answer = small.exposure(
        {"substance": "death flower", "amount": {"value": 1, "unit": "g"}, "patient": {"weight_kg": 5}}
    )

    assert (answer["severity"], answer["no_safe_amount"]) == ("life_threatening", True)
    assert "species" in [row["field"] for row in answer["needs"]]


def test_a_species_without_figures_borrows_them_and_says_so(small: Clinic) -> None:
    answer = small.exposure(
        {
            "patient": {"species": "cat", "weight_kg": 4},
            "substance": "weak bitter",
            "amount": {"value": 40, "unit": "g"},
        }
    )

    assert answer["severity"] == "mild"
    assert answer["not_checked"] == [{"text": "bitter", "why": "no_record_for_species"}]
    assert any("the figures of dog are taken" in text for text in answer["assumptions"])


def test_amounts_of_another_kind_than_the_threshold_count_as_reached(tmp_path: Path) -> None:
    small = open_clinic(write(tmp_path, toxins__antifrost=ANTI.replace("mL/kg", "[IU]/kg")))
    answer = small.exposure(ate("antifrost", 1, "mL"))

    assert answer["severity"] == "life_threatening"
    assert any("can't be compared" in text for text in answer["assumptions"])


def test_a_whole_amount_as_threshold_is_not_divided(tmp_path: Path) -> None:
    small = open_clinic(write(tmp_path, toxins__deathflower=FLOWER.replace('unit = "g/kg"', 'unit = "g"')))

    assert small.exposure(ate("death flower", 3, "g"))["dose"] == {"value": 3, "unit": "g"}


def test_a_stronger_thing_of_the_same_name_is_mentioned(small: Clinic) -> None:
    answer = small.exposure(ate("strong bitter", 80, "g"))

    assert answer["severity"] == "mild"
    assert "taken as strong bitter; extra strong bitter would be 160 mg/kg (severe)" in answer["assumptions"]


@pytest.mark.parametrize(
    ("substance", "fields", "advised", "why"),
    [
        ("bitter", {"hours_ago": 1}, "yes", "Early."),
        ("bitter", {}, "yes", "Early."),
        ("bitter", {"hours_ago": 3}, "no", "3 h ago is past the 2 h"),
        ("bitter", {"route": "skin"}, "no", "not swallowed"),
        ("death flower", {}, "contraindicated", "burns"),
        ("pillol", {}, "no", "Nothing is on record"),
    ],
)
def test_vomiting_only_where_it_helps(
    small: Clinic, substance: str, fields: dict[str, Any], advised: str, why: str
) -> None:
    answer = small.exposure(ate(substance, 10, "g", **fields))

    assert answer["emesis"]["advised"] == advised
    assert why in answer["emesis"]["why"]


def test_unknown_substances_are_not_cleared(small: Clinic) -> None:
    answer = small.exposure(ate("pilol"))
    drug = small.exposure(ate("alphadol", 50, "mg"))

    assert (answer["covered"], answer["severity"], answer["urgent"]) == (False, None, True)
    assert answer["nearest"] == ["pillol"]
    assert answer["not_checked"][0]["why"] == "unknown_substance"
    assert drug["not_checked"][0]["why"] == "no_toxin_record"
    assert answer["contacts"]


def test_a_known_one_beside_an_unknown_one_is_still_judged(small: Clinic) -> None:
    answer = small.exposure({"patient": DOG, "exposures": [{"substance": "gravel"}, {"substance": "Bitteres"}]})

    assert answer["covered"]
    assert answer["not_checked"][0]["text"] == "gravel"


def test_singulars_and_phrases_find_their_toxin(small: Clinic) -> None:
    for words in ("pillols", "two old pillols", "some bitter with nuts", "pillolin"):
        assert small.exposure(ate(words))["covered"], words


def test_nothing_eaten_is_minimal(small: Clinic) -> None:
    answer = small.exposure(ate("weak bitter", 0, "g"))

    assert (answer["dose"]["value"], answer["severity"]) == (0, "minimal")


def test_an_unknown_amount_beside_a_known_one_keeps_the_worst_case(small: Clinic) -> None:
    answer = small.exposure(
        {
            "patient": DOG,
            "exposures": [
                {"substance": "strong bitter"},
                {"substance": "sour sweet", "amount": {"value": 1, "unit": "g"}},
            ],
        }
    )

    assert answer["severity"] == "severe"
    assert {row["substance"]: row["severity"] for row in answer["agents"]} == {"bitter": "severe", "sour": "minimal"}


def test_contacts_are_those_of_the_jurisdiction(small: Clinic) -> None:
    def names(**fields: Any) -> list[str]:
        return [row["name"] for row in small.exposure(ate("bitter", **fields))["contacts"]]

    assert names(jurisdiction="EU") == ["Giftnotruf"]
    assert names() == names(jurisdiction="AU") == ["Poison Line", "Giftnotruf"]


def test_owners_get_owners_words(small: Clinic) -> None:
    assert small.exposure(ate("bitter", audience="owner"))["actions"] == ["call"]
    assert small.exposure(ate("bitter"))["actions"] == ["do"]


def test_a_product_named_apart_is_used(small: Clinic) -> None:
    assert small.exposure(ate("bitter", 100, "g", product="weak"))["dose"]["value"] == 10
    assert small.exposure(ate("bitter", 100, "g", product="nonsense"))["dose"]["value"] == 200


def test_something_has_to_be_named(small: Clinic) -> None:
    with pytest.raises(Invalid) as caught:
        small.exposure({"patient": DOG})

    assert caught.value.param == "substance"


def test_what_extract_gives_exposure_takes(clinic: Clinic) -> None:
    read = clinic.extract({"text": "My 12 kg dog ate 200 g of dark chocolate an hour ago"})
    whole = clinic.exposure({"patient": read["patient"], "exposures": read["exposures"]})

    assert whole["dose"]["value"] == 93.33
    assert clinic.exposure({"patient": whole["patient"], "exposures": read["exposures"]})["patient"] == whole["patient"]


def test_of_two_animals_the_one_that_ate_is_meant(clinic: Clinic) -> None:
    answer = clinic.exposure({"text": "My 4 kg cat is fine. My 12 kg dog ate 200 g of dark chocolate."})

    assert answer["patient"]["species"] in ("dog", None)


def test_the_bodys_own_facts_win_over_the_text(clinic: Clinic) -> None:
    answer = clinic.exposure({"text": "My 12 kg dog ate 200 g of dark chocolate", "patient": {"weight_kg": 24}})

    assert answer["patient"]["species"] == "dog"
    assert answer["dose"]["value"] == 46.67


@given(
    grams=st.decimals("0.1", "400", places=1),
    more=st.decimals("0", "200", places=1),
    kg=st.decimals("1", "80", places=1),
    name=st.sampled_from(
        ["weak bitter", "strong bitter", "bitter", "pillol", "sour sweet", "death flower", "antifrost"]
    ),
)
def test_more_is_never_milder(small: Clinic, grams: Decimal, more: Decimal, kg: Decimal, name: str) -> None:
    def severity(value: Decimal) -> int:
        body = {
            "patient": {"species": "dog", "weight_kg": kg},
            "substance": name,
            "amount": {"value": value, "unit": "g"},
        }
        return RANK[small.exposure(body)["severity"]]

    assert severity(grams) <= severity(grams + more)
    assert (
        severity(grams)
        <= RANK[small.exposure(ate(name) | {"patient": {"species": "dog", "weight_kg": kg}})["severity"]]
    )


@given(grams=st.decimals("1", "400", places=1), kg=st.decimals("1", "80", places=1))
def test_units_do_not_change_the_answer(small: Clinic, grams: Decimal, kg: Decimal) -> None:
    def dose(weight: dict[str, Any], amount: dict[str, Any]) -> float:
        body = {"patient": {"species": "dog", "weight": weight}, "substance": "strong bitter", "amount": amount}
        value: float = small.exposure(body)["dose"]["value"]
        return value

    metric = dose({"value": kg, "unit": "kg"}, {"value": grams, "unit": "g"})
    pounds = {"value": kg / Decimal("0.45359237"), "unit": "lb"}
    ounces = {"value": grams / Decimal("28.349523125"), "unit": "oz"}

    assert metric == pytest.approx(dose(pounds, ounces), rel=1e-3)


def test_every_shipped_toxin_answers_for_every_species(clinic: Clinic) -> None:
    """None falls over, none is silent, and none is called minimal without an amount."""
    for toxin in clinic.records.toxins.values():
        for species in ("dog", "cat", "rabbit", "horse", "cattle"):
            answer = clinic.exposure({"patient": {"species": species}, "substance": toxin.name})
            assert answer["covered"], toxin.name
            assert answer["sources"], toxin.name
            assert describe_exposure(answer)


def test_exposure_in_words_names_dose_severity_and_whom_to_call(small: Clinic) -> None:
    words = describe_exposure(small.exposure(ate("strong bitter", 100, "g")))
    lily = describe_exposure(small.exposure({"patient": {"species": "cat"}, "substance": "death flower"}))
    unknown = describe_exposure(small.exposure(ate("gravel")))

    assert "Dose: 100 mg/kg" in words
    assert "Severity: severe (emergency)" in words
    assert "from 100 mg/kg: severe: fits" in words
    assert "Call: Poison Line 1" in words
    assert "No amount is known to be safe." in lily
    assert "nothing is cleared" in unknown


def test_extract_in_words_lists_what_was_read(clinic: Clinic) -> None:
    text = "My 12 kg dog ate 200 g of dark chocolate, gets carprofen 50 mg BID, creatinine 2.1 mg/dL, and has a seizure"
    words = describe_extract(clinic.extract({"text": text}))

    assert "species dog" in words
    assert "Exposure: chocolate, 200 g" in words
    assert "Drug: carprofen 50 mg" in words
    assert "Value: creatinine 2.1 mg/dL" in words
    assert describe_extract(clinic.extract({"text": "Good morning."})) == "Nothing was read from this text.\n"
