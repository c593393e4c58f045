"""A conversation assessed before any model speaks: the patient, what was computed, what is urgent, what to ask."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from app.base.errors import Invalid
from app.base.messages import Audience, Facts, Message, Picture, PictureUrl, Text, Triage
from app.clinic import safety
from app.clinic.check import check, unique_needs
from app.clinic.exposure import Exposed, assess
from app.clinic.lexicon import folded, vocabulary
from app.clinic.patient import Patient, PatientShape, need, normalise
from app.clinic.prescribing import DoseQuestion, prescribe
from app.clinic.questions import body
from app.clinic.reading import Animal, Exposure, Medication, Reading, read
from app.clinic.records import Records
from app.clinic.triage import triage
from app.clinic.written import read_line

Json = dict[str, Any]

DOSES_MAX = 4
EXPOSURES_MAX = 12
NOTICE = {
    "clinician": "Written by an AI from sourced records; it informs a veterinarian and does not replace one.",
    "owner": "You are talking to an AI. It informs and does not replace a veterinarian; in an emergency call one now.",
}
_TOPIC = vocabulary(
    "animal animals pet pets vet vets veterinary veterinarian clinic species breed patient patients owner canine "
    "feline equine bovine livestock herd flock paw paws fur tail mdr1 zoonosis vaccine vaccination spay neuter "
    "deworm dewormer"
)
_FACTS = ("species", "breed", "name", "sex", "neutered", "age", "weight", "pregnant", "lactating", "production_class")


def facts_for(
    messages: Sequence[Message],
    patients: Sequence[Mapping[str, Any]],
    audience: Audience,
    jurisdiction: str | None,
    language: str | None,
    records: Records,
) -> Facts:
    """The assessment of a conversation.

    Args:
        messages: only those of role `user` say anything about the animal; later facts win.
        patients: as the caller gave them; what they say wins over the words.

    Raises:
        Invalid: a given patient contradicts itself; names the field as `patients[0].weight_kg`.
    """
    said = [read(text, records) for text in _user_texts(messages)]
    animals, readings = _merged(said)
    given = [_given(place, one, records) for place, one in enumerate(patients)]
    known = _together(given, animals, readings, records)
    shapes = tuple(one.shape for one in known)
    not_checked: list[Json] = []
    needs: list[Json] = [row for reading in readings for row in reading.needs]
    medications = [one for reading in readings for one in reading.medications if one.in_play]
    met = [one for reading in readings for one in reading.exposures if one.status != "denied"]
    exposures = _exposures(met, known, records, jurisdiction, audience)
    findings = _findings(medications, known, records, jurisdiction, audience, needs, not_checked)
    asks = any(reading.asks_dose for reading in readings)
    doses = _doses(medications, known, asks, records, jurisdiction, audience)
    for answer in (*exposures, *doses):
        needs += answer["needs"]
        not_checked += answer["not_checked"]
    generics = [name for one in medications for name in one.drugs]
    generics += [drug for one in known for line in one.medications for drug in _generics(line, records)]
    about = bool(medications or met or generics)
    for one in known if about else ():
        needs += one.needs
    if about and not known:
        needs.append(need("species", "doses and poisons differ by species", "What kind of animal is it?"))
    if doses and jurisdiction is None:
        needs.append(need("jurisdiction", "labels and law differ by country", "Which country: US, EU, UK, CA or AU?"))
    level = _triage(readings, known, exposures, records, jurisdiction)
    return Facts(
        audience=audience,
        jurisdiction=jurisdiction,
        language=language or "en",
        patients=shapes,
        needs=tuple(unique_needs(needs)),
        triage=level,
        rules=safety.rules_for(known, generics, records, jurisdiction, audience, findings),
        calculations=tuple(row["calculation"] for row in (*exposures, *doses) if row["calculation"]),
        doses=tuple(doses),
        exposures=tuple(exposures),
        findings=tuple(findings),
        not_checked=tuple(_unique(not_checked)),
        signs=tuple(dict.fromkeys(sign.sign for reading in readings for sign in reading.signs)),
        on_topic=bool(known or level or about or _pictures(messages)) or _on_topic(readings),
        notice=NOTICE[audience],
    )


def _user_texts(messages: Sequence[Message]) -> list[str]:
    texts: list[str] = []
    for message in messages:
        if message.role == "user":
            parts = message.parts
            first = parts[0] if len(parts) == 1 else None
            texts.append(first.text if isinstance(first, Text) else message.text)
    return texts


def _pictures(messages: Sequence[Message]) -> bool:
    return any(isinstance(part, Picture | PictureUrl) for message in messages for part in message.parts)


def _on_topic(readings: Sequence[Reading]) -> bool:
    return any(
        reading.analytes or reading.asks_dose or not _TOPIC.isdisjoint(folded(reading.text).split())
        for reading in readings
    )


def _merged(said: list[Reading]) -> tuple[list[Animal], list[Reading]]:
    """The animals of all messages, and the readings with their indexes pointing at those."""
    if len(said) == 1:
        return list(said[0].animals), said
    animals: list[Animal] = []
    moved: list[Reading] = []
    for reading in said:
        places: list[int] = []
        for animal in reading.animals:
            place = _place_of(animal, animals)
            if place is None:
                places.append(len(animals))
                animals.append(animal)
            else:
                places.append(place)
                animals[place] = _newer(animals[place], animal)
        default = len(animals) - 1 if len(animals) == 1 else None
        moved.append(
            replace(
                reading,
                medications=tuple(
                    replace(one, animal=_moved(one.animal, places, default)) for one in reading.medications
                ),
                exposures=tuple(replace(one, animal=_moved(one.animal, places, default)) for one in reading.exposures),
            )
        )
    return animals, moved


def _moved(index: int | None, places: list[int], default: int | None) -> int | None:
    return default if index is None else places[index]


def _place_of(animal: Animal, animals: list[Animal]) -> int | None:
    """Which animal of earlier messages this is: the one of its species, or the only one where none is named."""
    for place, known in enumerate(animals):
        same_breed = animal.breed is None or known.breed is None or animal.breed == known.breed
        if animal.species is not None and known.species == animal.species and same_breed:
            return place
    if animal.species is None and len(animals) == 1:
        return 0
    nameless = [place for place, known in enumerate(animals) if known.species is None]
    return nameless[0] if nameless else None


def _newer(known: Animal, said: Animal) -> Animal:
    """Later words win."""
    changes: dict[str, Any] = {name: value for name in _FACTS if (value := getattr(said, name)) is not None}
    changes["juvenile"] = known.juvenile or said.juvenile
    changes["conditions"] = tuple(dict.fromkeys((*known.conditions, *said.conditions)))
    changes["spans"] = {**known.spans, **said.spans}
    return replace(known, **changes)


def _given(place: int, one: Mapping[str, Any], records: Records) -> Patient:
    """The caller's patient at that place."""
    try:
        return normalise(body(PatientShape, one), records)
    except Invalid as refused:
        refused.param = f"patients[{place}].{(refused.param or '').removeprefix('patient.')}".rstrip(".")
        raise


def _together(
    given: list[Patient], animals: list[Animal], readings: Sequence[Reading], records: Records
) -> list[Patient]:
    """The caller's patients with what the words add; without any, the animals of the words.

    Where nothing was given the order is the animals' own, so their indexes hold; else the given ones come first.
    """
    shapes = [_shape(animal, place, readings) for place, animal in enumerate(animals)]
    if not given:
        return [_plausible(shape, records) for shape in shapes]
    result: list[Patient] = []
    used: set[int] = set()
    for patient in given:
        place = next(
            (
                place
                for place, animal in enumerate(animals)
                if place not in used
                and (animal.species in (None, patient.species_name) or patient.species_name is None)
            ),
            None,
        )
        if place is None:
            result.append(patient)
            continue
        used.add(place)
        result.append(_filled(patient, shapes[place], records))
    for place, animal in enumerate(animals):
        if place not in used and not animal.several and (animal.weight or animal.age or animal.breed):
            result.append(_plausible(shapes[place], records))
    return result


def _plausible(shape: Json, records: Records) -> Patient:
    """The patient of words alone; a fact that no animal can have is left out."""
    try:
        return normalise(PatientShape.model_validate(shape), records)
    except Invalid as refused:
        name = (refused.param or "").removeprefix("patient.").split(".")[0]
        rest = {key: value for key, value in shape.items() if key != name and key != name.removesuffix("_months")}
        return _plausible(rest if len(rest) < len(shape) else {"species": shape.get("species")}, records)


def _shape(animal: Animal, place: int, readings: Sequence[Reading]) -> Json:
    shape = animal.to_json()
    if shape.get("weight") is not None and shape["weight"]["value"] <= 0:
        del shape["weight"], shape["weight_kg"]
    shape.pop("weight_kg", None)
    shape.pop("age_months", None)
    current = [
        _line(one)
        for reading in readings
        for one in reading.medications
        if one.drugs and one.animal in (place, None) and one.status in ("current", "given")
    ]
    if current:
        shape["medications"] = list(dict.fromkeys(line for line in current if line))
    shape["spans"] = {name: list(span) for name, span in animal.spans.items()}
    return shape


def _filled(patient: Patient, shape: Json, records: Records) -> Patient:
    """A given patient with what only the words say; nothing it says itself is changed."""
    own = {name: value for name, value in patient.shape.items() if value not in (None, [], {})}
    lists = {
        name: [*own.get(name, []), *(line for line in shape.get(name, []) if line not in own.get(name, []))]
        for name in ("conditions", "medications")
        if name in own or name in shape
    }
    rest = {name: value for name, value in shape.items() if name not in own and name not in lists}
    if "weight_kg" in own:
        rest.pop("weight", None)
    if "age_months" in own or "birth_date" in own:
        rest.pop("age", None)
    try:
        return normalise(PatientShape.model_validate({**own, **rest, **lists}), records)
    except Invalid:
        return patient


def _line(one: Medication) -> str:
    """A medication as a line that `check` reads."""
    name = one.drugs[0] if len(one.drugs) == 1 else one.text
    words = [name]
    if one.tablets is not None and one.strength is not None and "/" not in one.strength[1]:
        words = [f"{_plain(one.tablets)} tablets of {name} {_plain(one.strength[0])} {one.strength[1]}"]
    elif one.amount is not None:
        unit = "/".join((one.unit, *one.per[:2])).replace("[IU]", "IU")
        words.append(f"{_plain(one.amount_max or one.amount)} {unit}")
    elif one.volume_ml is not None:
        words.append(f"{_plain(one.volume_ml)} mL")
        if one.strength is not None:
            words.append(f"{_plain(one.strength[0])} {one.strength[1]}")
    elif one.tablets is not None:
        words = [f"{_plain(one.tablets)} tablets of {name}"]
    words += [part for part in (one.route, one.frequency) if part]
    return " ".join(words)[:400]


def _plain(value: Decimal) -> str:
    return format(value.normalize(), "f") if value == value.to_integral_value() else f"{float(value):.6g}"


def _of(animal: int | None, known: list[Patient]) -> Patient:
    """The patient that a fact belongs to; a nameless one where there is none."""
    if animal is not None and animal < len(known):
        return known[animal]
    return known[0] if known else _NOBODY


_NOBODY = Patient(
    species=None, species_words="", breed=None, breed_words="", sex=None, neutered=None, age_months=None, juvenile=None,
    weight_kg=None, ideal_weight_kg=None, pregnant=None, lactating=None, genes={}, food_producing=None,
    production_class="", conditions=(), allergies=(), medications=(), needs=(), shape={},
)  # fmt: skip


def _exposures(
    met: list[Exposure], known: list[Patient], records: Records, jurisdiction: str | None, audience: str
) -> list[Json]:
    """One answer an animal for what happened, and one for what is only asked about."""
    answers: list[Json] = []
    groups: dict[tuple[bool, int | None], list[Exposure]] = {}
    for one in met[:EXPOSURES_MAX]:
        groups.setdefault((one.status == "happened", one.animal), []).append(one)
    for (happened, animal), listed in groups.items():
        answer = assess(
            _of(animal, known),
            [
                Exposed(
                    substance=one.substance,
                    amount=one.amount,
                    unit=one.unit or "",
                    product=one.product,
                    hours_ago=one.hours_ago,
                    strength=one.strength,
                )
                for one in listed
            ],
            records,
            jurisdiction,
            audience,
        )
        answer["status"] = "happened" if happened else "asked"
        answer["patient"] = animal
        answer["span"] = list(listed[0].span)
        answers.append(answer)
    return answers


def _findings(
    medications: list[Medication],
    known: list[Patient],
    records: Records,
    jurisdiction: str | None,
    audience: str,
    needs: list[Json],
    not_checked: list[Json],
) -> list[Json]:
    """What `check` finds for every animal that gets or may get a drug."""
    findings: list[Json] = []
    for place, patient in enumerate(known or [_NOBODY]):
        lines = [_line(one) for one in medications if one.drugs and (one.animal in (place, None) or not known)]
        lines = [line for line in dict.fromkeys(lines) if line not in patient.medications]
        if not lines and not patient.medications:
            continue
        answer = check(patient, lines, records, jurisdiction, audience)
        findings += [{**row, "patient": place if known else None} for row in answer["findings"]]
        needs += answer["needs"]
        not_checked += answer["not_checked"]
    return findings


def _doses(
    medications: list[Medication],
    known: list[Patient],
    asks: bool,
    records: Records,
    jurisdiction: str | None,
    audience: str,
) -> list[Json]:
    """Doses of the drugs that somebody asks about."""
    answers: list[Json] = []
    asked = [one for one in medications if one.drugs and one.status in ("asked", "intended")]
    if asks and not asked:
        asked = [one for one in medications if one.drugs and one.status == "mentioned"]
    if asks and not asked:
        asked = [one for one in medications if one.drugs and one.status == "current"]
    seen: set[tuple[str, int | None]] = set()
    for one in asked:
        key = (one.drugs[0], one.animal)
        if key in seen or len(answers) == DOSES_MAX:
            continue
        seen.add(key)
        strength = one.strength if one.strength is not None and one.tablets is None else None
        question = DoseQuestion(
            drug=one.drugs[0] if len(one.drugs) == 1 else one.text, route=one.route, strength=strength
        )
        answer = prescribe(_of(one.animal, known), question, records, jurisdiction, audience)
        answer["patient"] = one.animal
        answers.append(answer)
    return answers


def _triage(
    readings: Sequence[Reading],
    known: list[Patient],
    exposures: list[Json],
    records: Records,
    jurisdiction: str | None,
) -> Triage | None:
    """The worst of all messages; None where nothing says that an animal is ill."""
    signs = tuple(sign for reading in readings for sign in reading.signs)
    met = [row for row in exposures if row["status"] == "happened"]
    if not (signs or met or known):
        return None
    animals = tuple(animal for reading in readings for animal in reading.animals)
    shape = known[0].shape if len(known) == 1 else None
    return triage(Reading("", animals=animals, signs=signs), shape, records, met, jurisdiction)


def _generics(line: Any, records: Records) -> Iterable[str]:
    return (drug.generic for written in read_line(line, records) for drug in written.drugs)


def _unique(rows: Iterable[Json]) -> list[Json]:
    kept: list[Json] = []
    for row in rows:
        if row not in kept:
            kept.append(row)
    return kept
