"""A phrase counts in the sense in which it stands there."""

from __future__ import annotations

import time
from decimal import Decimal

import pytest

from app.clinic.findings import flags_in, labs_in, nearest_signs, signs_in, vital, vitals_said
from app.clinic.reading import read
from app.clinic.records import Records

SIGNS: list[tuple[str, dict[str, str]]] = [
    ("vomiting since morning", {"vomiting": "stated"}),
    ("no vomiting", {"vomiting": "denied"}),
    ("no vomiting, diarrhea or fever", {"vomiting": "denied", "diarrhoea": "denied", "fever": "denied"}),
    ("not eating and vomiting", {"not-eating": "stated", "vomiting": "stated"}),
    ("no appetite, vomiting", {"not-eating": "stated", "vomiting": "stated"}),
    ("he isn't vomiting but has diarrhea", {"vomiting": "denied", "diarrhoea": "stated"}),
    ("can't walk screaming", {"vocalising": "stated"}),
    ("not only vomiting", {"vomiting": "stated"}),
    ("no fever. vomiting", {"vomiting": "stated", "fever": "denied"}),
    ("isn't a big old cat with vomiting", {"vomiting": "stated"}),
    ("can't stop vomiting", {"vomiting": "stated"}),
    ("not vomiting yesterday, vomiting today", {"vomiting": "stated"}),
    ("vomiting: no", {"vomiting": "denied"}),
    ("vomiting absent", {"vomiting": "denied"}),
    ("seizures ruled out", {"seizures": "denied"}),
    ("he is eating well", {"not-eating": "denied"}),
    ("never eating well", {"not-eating": "denied"}),
    ("had a seizure last year", {"seizures": "past"}),
    ("had a seizure in 2019", {"seizures": "past"}),
    ("used to have seizures", {"seizures": "past"}),
    ("had a seizure last year and has seizures again", {"seizures": "stated"}),
    ("seizures since last year", {"seizures": "stated"}),
    ("had a seizure last month, and a seizure an hour ago", {"seizures": "stated"}),
    ("vor zwei Jahren Erbrechen", {"vomiting": "past"}),
    ("il y a deux ans vomissements", {"vomiting": "past"}),
    ("il a des vomissements", {"vomiting": "stated"}),
    ("il vomit pas", {"vomiting": "denied"}),
    ("how to prevent vomiting", {"vomiting": "asked"}),
    ("what are the signs of vomiting in dogs", {"vomiting": "asked"}),
    ("what if he ever starts vomiting, ever, if", {"vomiting": "asked"}),
    ("can dogs die of vomiting?", {"vomiting": "asked"}),
    ("can my dog die of vomiting?", {"vomiting": "stated"}),
    ("My neighbour's dog is vomiting. My dog needs a booster.", {"vomiting": "another_animal"}),
    ("My neighbour's dog is vomiting.", {"vomiting": "stated"}),
    ("My neighbour says my dog is vomiting. My dog is old.", {"vomiting": "stated"}),
    ("呕吐", {"vomiting": "stated"}),
    ("没有呕吐", {"vomiting": "denied"}),
    ("all is well", {}),
    ("", {}),
]  # fmt: skip


@pytest.mark.parametrize(("text", "found"), SIGNS, ids=[text[:40] for text, _ in SIGNS])
def test_a_sign_counts_in_its_sense(text: str, found: dict[str, str], records: Records) -> None:
    said = {one.sign: one.state for one in signs_in(text, records)}

    assert {name: said.get(name) for name in found} == found
    assert bool(said) == bool(found)


def test_the_place_of_a_sign_is_where_it_is_written(records: Records) -> None:
    text = "My dog has Diarrhoea, and vomits"

    assert [text[slice(*one.span)] for one in signs_in(text, records)] == ["Diarrhoea", "vomits"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("no seizures", "denied"),
        ("my dog had a seizure last year", "past"),
        ("what are the signs of bloat?", "asked"),
        ("My friend's dog has a seizure. My dog is fine.", "another_animal"),
        ("no blood in her urine", "denied"),
        ("a vaccine against snake bite", "asked"),
        ("my dog was collapsed last week but is fine now", "past"),
        ("my dog is twitching in his sleep", "asleep"),
        ("my cat keeps twitching while she is asleep", "asleep"),
    ],
)
def test_a_flag_named_in_another_sense_is_told_and_not_raised(text: str, why: str, records: Records) -> None:
    raised, left = flags_in(read(text, records), records)

    assert raised == ()
    assert {row["why"] for row in left} == {why}
    assert all(text[slice(*row["span"])] for row in left)


@pytest.mark.parametrize(
    "text",
    [
        "he is twitching in his sleep and i can't wake him",
        "she was sleeping and started twitching all over",
        "he has a seizure in his sleep",
        "he is twitching. He breathes well in his sleep.",
        "he was collapsed and is not well now",
        "he was fine until now, collapsed",
    ],
)
def test_only_what_is_dreamt_is_left_asleep(text: str, records: Records) -> None:
    assert flags_in(read(text, records), records)[0]


def test_words_of_one_sentence_join_to_a_flag_and_those_far_apart_do_not(records: Records) -> None:
    near = flags_in(read("The belly is hard and he keeps retching", records), records)[0]
    far = flags_in(read("The belly is hard. " + "We walked a lot. " * 5 + "Then he was retching", records), records)[0]
    apart = flags_in(read("belly " + "walk " * 20 + "hard retching foam", records), records)[0]

    assert "swollen or hard belly with retching or froth" in {one.sign for one in near}
    assert "swollen or hard belly with retching or froth" not in {one.sign for one in far}
    assert "swollen or hard belly with retching or froth" not in {one.sign for one in apart}


def test_a_flag_belongs_to_the_animal_named_last(records: Records) -> None:
    raised = flags_in(read("My cat is fine. My beagle has a seizure.", records), records)[0]

    assert {one.species for one in raised} == {"dog"}
    assert flags_in(read("a seizure", records), records)[0][0].species is None
    assert flags_in(read("", records), records) == ((), ())


VITALS = [
    ("temp 40.2", {"temperature": "40.2"}),
    ("T 104 F, HR 180", {"temperature": "40.0", "heart_rate": "180"}),
    ("fiebre de 40,5", {"temperature": "40.5"}),
    ("Fieber 104 F", {"temperature": "40.0"}),
    ("Puls ist 120", {"heart_rate": "120"}),
    ("体温 40.5", {"temperature": "40.5"}),
    ("fever of 400", {}),
    ("fever of 12345678", {}),
    ("Puls", {}),
    ("Puls normal, 2 Tage", {}),
    ("temperature over 40", {}),
]


@pytest.mark.parametrize(("text", "found"), VITALS, ids=[text for text, _ in VITALS])
def test_vital_signs_are_read_with_their_figures(text: str, found: dict[str, str], records: Records) -> None:
    assert {one.name: str(one.value) for one in vitals_said(read(text, records))} == found


def test_a_vital_sign_a_caller_names_is_known_by_its_usual_names() -> None:
    said = vital("Heart Rate", Decimal(180), "bpm")

    assert said is not None
    assert (said.name, said.value, said.unit) == ("heart_rate", 180, "/min")
    fever = vital("temp", Decimal(104), "°F")
    assert fever is not None
    assert fever.value == Decimal("40.0")
    assert vital("mood", Decimal(1), "") is None
    assert vital("temperature", Decimal(5), "C") is None


LABS = [
    ("high potassium", {("potassium", "high"): "stated"}),
    ("ALT is elevated", {("alt", "high"): "stated"}),
    ("creatinine slightly up", {("creatinine", "high"): "stated"}),
    ("glucose low, sodium fine", {("glucose", "low"): "stated"}),
    ("azotaemic", {("creatinine", "high"): "stated", ("urea nitrogen", "high"): "stated"}),
    ("no hyperkalaemia", {("potassium", "high"): "denied"}),
    ("potassium and a raised leg", {}),
    ("a high fence", {}),
    ("nothing here", {}),
]


@pytest.mark.parametrize(("text", "found"), LABS, ids=[text for text, _ in LABS])
def test_a_direction_without_a_figure_is_read(text: str, found: dict[tuple[str, str], str], records: Records) -> None:
    assert {(one.analyte, one.direction): one.state for one in labs_in(text, records)} == found


def test_the_nearest_signs_share_a_word_or_a_beginning(records: Records) -> None:
    assert "vomiting" in nearest_signs("vomitus everywhere", records)
    assert "cough" in nearest_signs("weird cough thing", records)
    assert nearest_signs("zzz", records) == []


@pytest.mark.usefixtures("no_collections")
@pytest.mark.parametrize(
    "piece",
    ["straining ", "last year seizure ", "my neighbor seizure. ", "no ", "high potassium ", "呕吐", "ever if seizure? ",
     "belly hard retching ", "Puls 40 "],
)  # fmt: skip
def test_findings_take_time_in_proportion_to_the_text(piece: str, records: Records) -> None:
    def spent(text: str) -> float:
        said = read(text, records)
        began = time.thread_time()
        signs_in(text, records)
        flags_in(said, records)
        labs_in(text, records)
        vitals_said(said)
        return time.thread_time() - began

    spent(piece * 20)
    small = min(spent(piece * (1_000 // len(piece))) for _ in range(3))

    assert spent(piece * (20_000 // len(piece))) < max(small * 20 * 8, 1)
