"""How owners who write in Spanish, French, German, Portuguese and Chinese are understood: animal, poison and level."""

from __future__ import annotations

import pytest

from app.clinic import Clinic
from app.clinic.reading import read
from tests.clinic.sentences_abroad import LATER, SENTENCES

EVERY = [*((row[0], row[3], row[4]) for row in SENTENCES), *LATER]
KNOWN_LOW = frozenset(
    (
        "perro de 20 kg comio 5 pastillas de eutirox mias",  # urgent by its record
        "minha cachorra de 6 kg comeu 3 comprimidos de puran",  # urgent by its record
        "a mi gato le cayo aguarras y se lo lamio",  # urgent by its record
        "猫喝了洗洁精和84",  # `84` alone is only a number
    )
)
KNOWN_HIGH = frozenset(
    (
        "cuanto paracetamol tomo yo si me duele la cabeza",  # without its accent `tomó`
        "ele nao comeu chocolate nem uva, so racao",  # `nao comeu` is a sign itself
        "我感冒吃了感冒药，可以抱猫吗",  # the owner ate it
    )
)


@pytest.mark.parametrize(
    ("language", "text", "level"),
    [row for row in EVERY if row[2] == "emergency" and row[1] not in KNOWN_LOW],
    ids=[f"{row[0]} {row[1][:30]}" for row in EVERY if row[2] == "emergency" and row[1] not in KNOWN_LOW],
)
def test_no_emergency_abroad_is_put_off(language: str, text: str, level: str, clinic: Clinic) -> None:
    assert clinic.triage({"text": text})["level"] == level


def test_no_calm_sentence_abroad_is_called_an_emergency(clinic: Clinic) -> None:
    calm = [text for _, text, level in EVERY if level != "emergency"]

    over = {text for text in calm if clinic.triage({"text": text})["level"] == "emergency"}

    assert over == KNOWN_HIGH


@pytest.mark.parametrize(
    ("text", "species", "substance"),
    [(row[3], row[1], row[2]) for row in SENTENCES if row[1] or row[2]],
    ids=[f"{row[0]} {row[3][:30]}" for row in SENTENCES if row[1] or row[2]],
)
def test_animal_and_poison_are_read(text: str, species: str | None, substance: str | None, clinic: Clinic) -> None:
    reading = read(text, clinic.records)

    assert species is None or species in {animal.species for animal in reading.animals}
    named = {exposure.substance for exposure in reading.exposures}
    assert substance is None or substance.replace("_", " ") in {name.replace("-", " ") for name in named}


@pytest.mark.parametrize(
    ("text", "weight", "amount"),
    [
        ("我家狗8斤，吃了半片布洛芬", ("4", "kg"), ("0.5", "tablet")),
        ("猫三公斤，吃了两片半布洛芬", ("3", "kg"), ("2.5", "tablet")),
        ("狗二十公斤，吃了一个洋葱", ("20", "kg"), ("1", "unit")),
        ("狗十五斤，一直吐，吃了一个洋葱", ("7.5", "kg"), ("1", "unit")),
        ("mein hund 4 kg hat eine halbe zwiebel gefressen", ("4", "kg"), ("0.5", "unit")),
        ("mon chien de 3 kilos a mange une demi-tablette de chocolat", ("3", "kg"), ("0.5", "tablet")),
        ("minha cadela de 2 quilos comeu meia cebola", ("2", "kg"), ("0.5", "unit")),
        ("mi perro de 3 kilos se comio dos y media pastillas de ibuprofeno", ("3", "kg"), ("2.5", "tablet")),
        ("mi perro de 3 kilos se comio dos pastillas y media de ibuprofeno", ("3", "kg"), ("2.5", "tablet")),
    ],
)
def test_weights_and_amounts_abroad(
    text: str, weight: tuple[str, str], amount: tuple[str, str], clinic: Clinic
) -> None:
    reading = read(text, clinic.records)

    assert [(str(animal.weight[0]), animal.weight[1]) for animal in reading.animals if animal.weight] == [weight]
    assert [(str(one.amount), one.unit) for one in reading.exposures] == [amount]


@pytest.mark.parametrize(
    ("text", "substance"),
    [
        ("no quintal de casa meu cachorro comeu chumbinho", "organophosphate carbamate"),
        ("o chiclete sem açúcar minha cadela comeu inteiro", "xylitol"),
        ("狗把无糖口香糖吃了", "xylitol"),
    ],
)
def test_what_denies_nothing(text: str, substance: str, clinic: Clinic) -> None:
    assert [(one.substance, one.status) for one in read(text, clinic.records).exposures] == [(substance, "happened")]


@pytest.mark.parametrize(
    ("text", "substance"),
    [
        ("mi perro no comió raticida", "anticoagulant rodenticide"),
        ("meu cachorro não comeu uva", "grapes raisins"),
        ("mon chien n'a pas mangé de raisin", "grapes raisins"),
    ],
)
def test_what_is_denied(text: str, substance: str, clinic: Clinic) -> None:
    assert [(one.substance, one.status) for one in read(text, clinic.records).exposures] == [(substance, "denied")]
