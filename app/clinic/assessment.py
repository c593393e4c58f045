"""A conversation assessed before any model speaks: the patient, what was computed, what is urgent, what to ask."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from app.base.errors import Invalid
from app.base.messages import Audience, Facts, Message, Picture, PictureUrl, Text, Triage, Written
from app.clinic import differentials, safety, sums
from app.clinic.check import check, unique_needs
from app.clinic.dosing import read_strength, volume_step
from app.clinic.exposure import Exposed, assess
from app.clinic.findings import VitalSaid
from app.clinic.formulas import Formulas
from app.clinic.heard import Heard, hear
from app.clinic.labs import Measured, judge, may_be_sheet
from app.clinic.lexicon import VERBS, VITALS, folded, vocabulary
from app.clinic.patient import (
    FIGURE_MAX,
    LINES_MAX,
    AgeSaid,
    Patient,
    PatientSaid,
    PatientShape,
    WeightSaid,
    need,
    normalise,
)
from app.clinic.prescribing import DoseQuestion, prescribe
from app.clinic.questions import body
from app.clinic.reading import AGE_MONTHS_MAX, Animal, Exposure, Measurement, Medication, Reading, Sign, read
from app.clinic.records import Records, Trigger
from app.clinic.rules import RANKS
from app.clinic.triage import judged, of_illness, triage
from app.clinic.units import convert, fold, number, spelt
from app.clinic.written import read_line

if TYPE_CHECKING:
    from app.clinic.labsheets import Printed

Json = dict[str, Any]

DOSES_MAX = 4
_SAME_WEIGHT = Decimal("0.03")
EXPOSURES_MAX = 12
NOTICE = {
    "clinician": "Written by an AI from sourced records; it informs a veterinarian and does not replace one.",
    "owner": "You are talking to an AI. It informs and does not replace a veterinarian; in an emergency call one now.",
}
_FARM_ROUTES = ("FEED", "WATER", "IMM", "EPI", "LOCAL", "IA", "VAG")
"""Routes that a line of medication knows no word for."""
_MEMBERS_MAX = 6
_NO_FORMULAS = Formulas()
_LANGUAGE_WORDS = {
    "en": vocabulary("the my is and he she it his her has ate of can i with for to in was not dog cat horse rabbit"),
    "es": vocabulary(
        "el la los las mi un una que es su con se no esta hace tiene ha desde comio perro perra gato gata caballo "
        "conejo puede puedo dar veneno y pero sin muy ayer hoy"
    ),
    "fr": vocabulary(
        "le la les mon ma un une des est je ne pas il elle depuis puis donner avale mange chien chienne chat chatte "
        "lapin cheval plus"
    ),
    "de": vocabulary(
        "der die das mein meine hat ist ein eine und nicht kann ich seit mehr gefressen hund hundin katze kater "
        "kaninchen pferd geben"
    ),
    "pt": vocabulary(
        "o os meu minha um uma que esta nao com desde comeu cachorro cachorra cao gato gata coelho cavalo posso dar "
        "ele ela consegue foi sem tem muito seu sua dele dela ontem hoje dia quilos engoliu"
    ),
}
_ALL_LANGUAGE_WORDS = frozenset().union(*_LANGUAGE_WORDS.values())
_EATING = frozenset(word for word, kind in VERBS.items() if kind == "ate")
_UNCOVERED = vocabulary(
    "parrot parrots bird birds finch finches quail quails chameleon chameleons lizard lizards reptile reptiles fish "
    "conure conures lovebird lovebirds peacock peafowl emu ostrich monkey camel squirrel skunk raccoon fox hare "
    "tarantula crab newt salamander terrapin gecko geckos rodent tegu skink"
)
"""Animals that no record covers, and words for many kinds of which only some have a record."""
_KINDS = {
    "parrot": "parrot", "parrots": "parrot", "bird": "bird", "birds": "bird", "lizard": "lizard", "lizards": "lizard",
    "reptile": "reptile", "reptiles": "reptile", "fish": "fish", "gecko": "gecko", "geckos": "gecko",
    "rodent": "rodent", "finch": "bird", "finches": "bird",
}  # fmt: skip
_TOPIC = vocabulary(
    "animal animals pet pets vet vets veterinary veterinarian clinic species breed patient patients owner canine "
    "feline equine bovine livestock herd flock paw paws fur tail mdr1 zoonosis vaccine vaccination spay neuter "
    "deworm dewormer parvo parvovirus distemper rabies heartworm lungworm fleas ticks worms mange ringworm "
    "giardia laminitis colic strangles mastitis bloat kennel"
)
_FACTS = ("species", "breed", "name", "sex", "neutered", "age", "weight", "pregnant", "lactating", "production_class")


def facts_for(
    messages: Sequence[Message],
    patients: Sequence[Mapping[str, Any]],
    audience: Audience,
    jurisdiction: str | None,
    language: str | None,
    records: Records,
    today: date | None = None,
    formulas: Formulas | None = None,
    written: Sequence[Written] = (),
) -> Facts:
    """The assessment of a conversation.

    Args:
        messages: only those of role `user` say anything about the animal; later facts win.
        patients: as the caller gave them; what they say wins over the words.
        today: for ages from a date of birth; None leaves such an age unknown.
        written: what stands in the pictures.

    Raises:
        Invalid: a given patient contradicts itself; names the field as `patients[0].weight_kg`.
    """
    given = [_given(place, one, records, today) for place, one in enumerate(patients)]
    names = {str(one.shape["name"]): one.species_name for one in given if one.shape.get("name")}
    heard: list[Heard] = []
    said: list[Reading] = []
    sheets = [sheet for row in written if (sheet := _sheet(row.picture, row.words or row.text, records)) is not None]
    for text in _user_texts(messages):
        heard.append(hear(text, records, names))
        said.append(heard[-1].reading)
        if may_be_sheet(text) and (typed := _sheet(None, text, records)) is not None:
            sheets.append(typed)
            told = {row.analyte for row in typed.sheet.rows}
            said[-1] = replace(said[-1], analytes=tuple(one for one in said[-1].analytes if one.name not in told))
        names |= {one.name: one.species for one in said[-1].animals if one.name and one.name not in names}
    animals, readings = _merged(said)
    unknown = [name for message in heard for name in message.unknown_drugs]
    uncovered = next((word for reading in said for word in _those(_UNCOVERED, reading)), None)
    if uncovered is not None and not given and all(animal.species is None for animal in animals):
        given = [_given(0, {"species": uncovered}, records, today)]
    else:
        uncovered = None
    kinds = {row.sheet.species for row in sheets} - {None}
    if len(kinds) == 1 and not given and all(animal.species is None for animal in animals):
        given = [_given(0, {"species": kinds.pop()}, records, today)]
    known, places = _together(given, animals, readings, records, today)
    shapes = tuple(one.shape for one in known)
    not_checked: list[Json] = [
        {"text": name, "why": "unknown_drug", "nearest": records.near_drugs(name)} for name in dict.fromkeys(unknown)
    ]
    needs: list[Json] = [row for reading in readings for row in reading.needs]
    medications = [
        replace(one, animal=_placed(one.animal, places, known))
        for reading in readings
        for one in reading.medications
        if one.in_play
    ]
    met = [
        replace(one, animal=_placed(one.animal, places, known))
        for reading in readings
        for one in reading.exposures
        if one.status not in ("denied", "past")
    ]
    medications = [_the_only_one(one, known, records) for one in medications]
    for message in heard if unknown else ():
        if not _EATING.isdisjoint(message.reading.words):
            alone = _placed(None, [], known)
            met += [Exposure(name, name, (0, 0), status="happened", animal=alone) for name in message.unknown_drugs]
    if _asks_harm(readings):
        met += _as_poisons(medications, met, records)
    unplaced = len(known) > 1 and None in {*(one.animal for one in medications), *(one.animal for one in met)}
    if unplaced:
        needs.insert(0, _which(known))
    findings = _findings(medications, known, records, jurisdiction, audience, needs, not_checked)
    too_much = any(_is_too_much(reading.words) for reading in readings)
    met += _poisoned(medications, met, findings, records, too_much)
    exposures = _exposures(_worth_telling(met, readings, records), known, records, jurisdiction, audience)
    findings += _of_classes(medications, known, findings, records, jurisdiction, audience, needs)
    asks = any(reading.asks_dose for reading in readings) or _wants_dose(readings)
    doses = _doses(medications, known, asks, records, jurisdiction, audience)
    for answer in (*exposures, *doses):
        needs += answer["needs"]
        not_checked += answer["not_checked"]
    generics = [name for one in medications for name in one.drugs]
    generics += [drug for one in known for line in one.medications for drug in _generics(line, records)]
    about = bool(medications or met or generics or unknown)
    for one in known if about else ():
        needs += one.needs
    if about and uncovered is not None and not known[0].species and (kind := _KINDS.get(uncovered)):
        needs.append(need("species", "doses and poisons differ by species", f"What kind of {kind} is it?"))
    swallowed = any(not _EATING.isdisjoint(reading.words) for reading in readings)
    if swallowed and not (met or known or medications or any(reading.signs for reading in readings)):
        ask = "What did it eat or drink, how much and when, and what kind of animal is it?"
        needs.append(need("substance", "only what is known by name can be judged", ask))
    if about and not known:
        needs.append(need("species", "doses and poisons differ by species", "What kind of animal is it?"))
    if doses and jurisdiction is None:
        needs.append(need("jurisdiction", "labels and law differ by country", "Which country: US, EU, UK, CA or AU?"))
    values = [one for reading in readings for one in sums.own_values(reading)]
    analytes, derived, patterns = _laboratory(values, places, known, records, formulas or _NO_FORMULAS, needs)
    tables = []
    for sheet in sheets:
        table, answer = _table(sheet, known, records, formulas or _NO_FORMULAS, needs, not_checked)
        tables.append(table)
        analytes += answer["results"]
        derived += answer["derived"]
        patterns += answer["patterns"]
    vitals = _vitals([one for reading in readings for one in reading.vitals], places, known, records)
    calculations = [row["calculation"] for row in (*exposures, *doses) if row["calculation"]]
    if audience != "owner":
        calculations += _own_doses(medications, known, findings, records)
        calculations += derived
    level = _triage(heard, readings, known, exposures, records, jurisdiction, _pressing(patterns, vitals))
    level = _given_banned(level, medications, findings, records)
    wanted, question = _asked_sums(heard, readings, known, records)
    if wanted:
        if audience == "owner":
            wanted = [one for one in wanted if one.calculator in sums.OWNERS_TOO]
        if any(row["severity"] == "absolute" and row["action"] == "forbid" for row in findings):
            wanted = [one for one in wanted if one.calculator not in sums.OF_DRUGS]
        whose = _whose_sums(question, readings, places, known)
        done = [str(row["formula"]) for row in derived]
        calculations += sums.computed(wanted, question, whose, records, formulas or _NO_FORMULAS, done, needs)
    if readings and not vitals:
        calculations += _usual(readings[-1], known)
    weighed: list[differentials.Weighed] = []
    if not wanted and not unknown and _is_about_signs(said, medications, met):
        weighed = _weighed(heard, known, analytes, vitals, met, records, needs)
        level = _pressed(level, weighed, audience)
    return Facts(
        audience=audience,
        jurisdiction=jurisdiction,
        language=language or (_language(said[-1]) if said else "en"),
        patients=shapes,
        needs=tuple(unique_needs(needs if not unplaced else [row for row in needs if not _answered(row, known)])),
        triage=level,
        rules=safety.rules_for(known, generics, records, jurisdiction, audience, findings),
        calculations=tuple(calculations),
        doses=tuple(doses),
        exposures=tuple(exposures),
        findings=tuple(findings),
        not_checked=tuple(_unique(not_checked)),
        signs=tuple(
            dict.fromkeys(sign.sign for reading in readings for sign in reading.signs if _can_show(sign, records))
        ),
        analytes=tuple(analytes),
        vitals=tuple(vitals),
        patterns=tuple(patterns),
        differentials=tuple(weighed),
        sheets=tuple(tables),
        on_topic=bool(known or level or about or needs or tables or _pictures(messages)) or _on_topic(readings),
        notice=NOTICE[audience],
    )


def _those(words: frozenset[str], reading: Reading) -> list[str]:
    """The words of a reading that are among these, in its order."""
    return [] if words.isdisjoint(reading.words) else [word for word in reading.words if word in words]


def _language(reading: Reading) -> str:
    """The language of a text, where its little words tell; else English."""
    if not reading.text.isascii() and any("\u3400" <= letter <= "\u9fff" for letter in reading.text):
        return "zh"
    words = _ALL_LANGUAGE_WORDS.intersection(reading.words)
    if len(words - _LANGUAGE_WORDS["en"]) < 2:
        return "en"
    counts = {name: len(words & marks) for name, marks in _LANGUAGE_WORDS.items()}
    best = max(counts, key=lambda name: counts[name])
    return best if counts[best] >= 2 and counts[best] > counts["en"] else "en"


def _wants_dose(readings: Sequence[Reading]) -> bool:
    """A drug and an animal and nothing else, `meloxicam for a 12 kg dog`, asks for the dose."""
    last = readings[-1] if readings else Reading("")
    return (
        not any(one.status != "past" for one in last.exposures)
        and any(animal.weight is not None or animal.species is not None for animal in last.animals)
        and any(
            one.status == "mentioned"
            and one.tablets is None
            and (one.amount is None or one.per[:1] in (("kg",), ("lb",)))
            for one in last.medications
        )
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
        reading.analytes or reading.asks_dose or not (_TOPIC | _EATING).isdisjoint(reading.words)
        for reading in readings
    )


def _merged(said: list[Reading]) -> tuple[list[Animal], list[Reading]]:
    """The animals of all messages, and the readings with their indexes pointing at those."""
    if len(said) == 1:
        return list(said[0].animals), said
    animals: list[Animal] = []
    moved: list[Reading] = []
    for reading in said:
        places: list[int | None] = []
        for animal in reading.animals:
            candidates = _places_of(animal, animals)
            places.append(candidates[0] if len(candidates) == 1 else None)
            if not candidates:
                places[-1] = len(animals)
                animals.append(animal)
            elif len(candidates) == 1:
                animals[candidates[0]] = _newer(animals[candidates[0]], animal)
        default = len(animals) - 1 if len(animals) == 1 else None
        moved.append(
            replace(
                reading,
                medications=tuple(
                    replace(one, animal=_moved(one.animal, places, default)) for one in reading.medications
                ),
                exposures=tuple(replace(one, animal=_moved(one.animal, places, default)) for one in reading.exposures),
                analytes=tuple(replace(one, animal=_moved(one.animal, places, default)) for one in reading.analytes),
                vitals=tuple(replace(one, animal=_moved(one.animal, places, default)) for one in reading.vitals),
            )
        )
    return animals, moved


def _moved(index: int | None, places: list[int | None], default: int | None) -> int | None:
    return default if index is None else places[index]


def _places_of(animal: Animal, animals: list[Animal]) -> list[int]:
    """Which animals of earlier messages this may be: the one of its name, else those of its species and breed.

    The only one where no species is named; none where it is a new animal.
    """
    called = [place for place, known in enumerate(animals) if animal.name is not None and known.name == animal.name]
    if called:
        return called
    same = [
        place for place, known in enumerate(animals)
        if animal.species is not None and known.species == animal.species
        and (animal.breed is None or known.breed is None or animal.breed == known.breed)
        and (animal.name is None or known.name is None)
    ]  # fmt: skip
    if same:
        return same
    if animal.species is None:
        return list(range(len(animals)))
    return [place for place, known in enumerate(animals) if known.species is None][:1]


def _newer(known: Animal, said: Animal) -> Animal:
    """Later words win."""
    changes: dict[str, Any] = {name: value for name in _FACTS if (value := getattr(said, name)) is not None}
    changes["juvenile"] = known.juvenile or said.juvenile
    changes["conditions"] = tuple(dict.fromkeys((*known.conditions, *said.conditions)))
    changes["spans"] = {**known.spans, **said.spans}
    return replace(known, **changes)


def _given(place: int, one: Mapping[str, Any], records: Records, today: date | None) -> Patient:
    """The caller's patient at that place."""
    try:
        return normalise(body(PatientShape, one), records, today)
    except Invalid as refused:
        refused.param = f"patients[{place}].{(refused.param or '').removeprefix('patient.')}".rstrip(".")
        raise


def _together(
    given: list[Patient], animals: list[Animal], readings: Sequence[Reading], records: Records, today: date | None
) -> tuple[list[Patient], list[int | None]]:
    """The caller's patients with what the words add, and for each animal of the words its place among them.

    Where nothing was given the animals of the words are the patients, in their order. A place is None where several
    patients may be meant.
    """
    if not given:
        heard = [_spoken(animal, place, readings, len(animals), records) for place, animal in enumerate(animals)]
        return heard, list(range(len(animals)))
    shapes = [_shape(animal, place, readings, len(animals), records) for place, animal in enumerate(animals)]
    places = _matched(given, animals)
    result = list(given)
    for place, index in enumerate(places):
        if index is not None:
            result[index] = _filled(given[index], shapes[place], records, today)
    spoken_of = {one.animal for reading in readings for one in reading.medications}
    spoken_of |= {one.animal for reading in readings for one in reading.exposures}
    for place, animal in enumerate(animals):
        alone = not any(_may_be(animal, patient) for index, patient in enumerate(given) if index not in places)
        told = animal.weight or animal.age or animal.breed or place in spoken_of
        if places[place] is None and alone and told and not animal.several:
            places[place] = len(result)
            result.append(_plausible(shapes[place], records))
    return result, places


def _matched(given: list[Patient], animals: list[Animal]) -> list[int | None]:
    """Which given patient each animal is: by name, else by breed and weight, else the only one that it can be."""
    places: list[int | None] = [None] * len(animals)
    for told in (_is_called, _is_told, _may_be):
        for place, animal in enumerate(animals):
            if places[place] is not None:
                continue
            left = [
                index for index, patient in enumerate(given)
                if index not in places and _may_be(animal, patient) and told(animal, patient)
            ]  # fmt: skip
            if len(left) == 1:
                places[place] = left[0]
    return places


def _is_called(animal: Animal, patient: Patient) -> bool:
    name = patient.shape.get("name")
    return animal.name is not None and name is not None and folded(str(name)) == folded(animal.name)


def _is_told(animal: Animal, patient: Patient) -> bool:
    """Whether a breed or a weight tells that it is this one."""
    if animal.breed is not None and patient.breed is not None:
        return animal.breed == patient.breed.name
    weight = animal.weight_kg
    return weight is not None and patient.weight_kg is not None and abs(weight / patient.weight_kg - 1) < _SAME_WEIGHT


def _may_be(animal: Animal, patient: Patient) -> bool:
    """Whether nothing that was said of the two differs."""
    if _is_called(animal, patient):
        return animal.species in (None, patient.species_name) or patient.species_name is None
    return (
        (animal.species in (None, patient.species_name) or patient.species_name is None)
        and (animal.name is None or patient.shape.get("name") is None)
        and (animal.sex is None or patient.sex in (None, animal.sex))
    )


def _placed(animal: int | None, places: list[int | None], known: list[Patient]) -> int | None:
    """The patient that a fact of the words belongs to; None where that can't be told."""
    if animal is not None:
        return places[animal]
    return 0 if len(known) == 1 else None


def _answered(row: Json, known: list[Patient]) -> bool:
    """Whether it is known of every animal already, so that only the question which one is left."""
    facts = {"weight": "weight_kg", "species": "species", "age": "age_months"}
    return row["field"] in facts and all(getattr(one, facts[row["field"]]) is not None for one in known)


def _which(known: list[Patient]) -> Json:
    """The question which of several animals is meant."""
    names = [str(one.shape.get("name") or one.species_name or "the other one") for one in known]
    names = [name if names.count(name) == 1 else f"{name} {place + 1}" for place, name in enumerate(names)]
    return need(
        "patient",
        "several animals are known, and the words don't say which one this is about",
        f"Which of them is it: {', '.join(names)}?",
    )


def _plausible(shape: Json, records: Records) -> Patient:
    """The patient of words alone; a fact that no animal can have is left out."""
    try:
        return normalise(PatientShape.model_validate(shape), records)
    except Invalid as refused:
        name = (refused.param or "").removeprefix("patient.").split(".")[0]
        rest = {key: value for key, value in shape.items() if key != name and key != name.removesuffix("_months")}
        return _plausible(rest if len(rest) < len(shape) else {"species": shape.get("species")}, records)


def _spoken(animal: Animal, place: int, readings: Sequence[Reading], count: int, records: Records) -> Patient:
    """The patient of words alone, as `_plausible` gives it, without a body in between."""
    age, weight = animal.age, animal.weight
    if age is not None and (animal.age_months or 0) > AGE_MONTHS_MAX:
        age = None
    try:
        return normalise(
            PatientSaid(
                name=animal.name,
                species=animal.species,
                breed=animal.breed,
                sex=animal.sex,
                neutered=animal.neutered,
                age=None if age is None else AgeSaid(*age),
                weight=None if weight is None or weight[0] <= 0 or weight[0] > FIGURE_MAX else WeightSaid(*weight),
                pregnant=animal.pregnant,
                lactating=animal.lactating,
                production_class=animal.production_class,
                conditions=animal.conditions,
                medications=_current(place, readings, count, records),
                spans={name: list(span) for name, span in animal.spans.items()},
            ),
            records,
        )
    except Invalid:
        return _plausible(_shape(animal, place, readings, count, records), records)


def _shape(animal: Animal, place: int, readings: Sequence[Reading], count: int, records: Records) -> Json:
    shape = animal.to_json()
    if shape.get("weight") is not None and shape["weight"]["value"] <= 0:
        del shape["weight"], shape["weight_kg"]
    shape.pop("weight_kg", None)
    shape.pop("age_months", None)
    if current := _current(place, readings, count, records):
        shape["medications"] = current
    shape["spans"] = {name: list(span) for name, span in animal.spans.items()}
    return shape


def _counted(one: Medication, weight_kg: Decimal) -> Json | None:
    """Tablets or millilitres of a known strength as an amount and per kg: half a 250 mg tablet for 9.5 kg."""
    strength = None if one.strength is None else read_strength(*one.strength)
    pieces = one.volume_ml if strength is not None and strength.per_ml else one.tablets
    if strength is None or pieces is None:
        return None
    amount = pieces * strength.value
    at = f"{_plain(strength.value)} {spelt(strength.unit)}" + ("/mL" if strength.per_ml else "")
    dose = f"{_plain(pieces)} {'mL' if strength.per_ml else 'tablets' if pieces > 1 else 'tablet'} of {at}"
    return {
        "name": "your figure",
        "inputs": {"drug": one.drugs[0], "dose": dose, "weight_kg": number(round(weight_kg, 4))},
        "formula": "count x strength / weight_kg",
        "result": {
            "value": number(round(amount, 4)),
            "unit": strength.unit,
            "per_kg": number(round(amount / weight_kg, 4)),
        },
        "sources": [],
    }


def _current(place: int, readings: Sequence[Reading], count: int, records: Records) -> list[str]:
    """What an animal gets already, as lines."""
    current = [
        _line(one)
        for reading in readings
        for one in reading.medications
        if one.drugs
        and (one.animal == place or (one.animal is None and count == 1))
        and one.status in ("current", "given")
        and one.choice is None
        and not any(
            met.status == "happened" and (met.text == one.text or _is_toxin(one, met.substance, records))
            for met in reading.exposures
        )
    ]
    return list(dict.fromkeys(line for line in current if line))[:LINES_MAX]


def _is_toxin(one: Medication, substance: str, records: Records) -> bool:
    """Whether a drug that was read is what it was poisoned with."""
    toxin = records.toxins_by_name.get(fold(one.text))
    return toxin is not None and toxin.name == substance


def _filled(patient: Patient, shape: Json, records: Records, today: date | None) -> Patient:
    """A given patient with what only the words say; nothing it says itself is changed."""
    own = {name: value for name, value in patient.shape.items() if value not in (None, [], {})}
    lists = {
        name: [*own.get(name, []), *(line for line in shape.get(name, []) if line not in own.get(name, []))][:LINES_MAX]
        for name in ("conditions", "medications")
        if name in own or name in shape
    }
    rest = {name: value for name, value in shape.items() if name not in own and name not in lists}
    if "weight_kg" in own:
        rest.pop("weight", None)
    if "age_months" in own or "birth_date" in own:
        rest.pop("age", None)
    try:
        return normalise(PatientShape.model_validate({**own, **rest, **lists}), records, today)
    except Invalid:
        return patient


def _line(one: Medication) -> str:
    """A medication as a line that `check` reads."""
    name = one.drugs[0] if len(one.drugs) == 1 else one.text
    words = [name]
    if one.tablets is not None and one.strength is not None and "/" not in one.strength[1]:
        tablets = "tablet" if one.tablets == 1 else "tablets"
        words = [f"{_plain(one.tablets)} {tablets} of {name} {_plain(one.strength[0])} {one.strength[1]}"]
    elif one.amount is not None:
        unit = "/".join((one.unit, *one.per[:2])).replace("[IU]", "IU")
        words.append(f"{_plain(one.amount_max or one.amount)} {unit}")
    elif one.volume_ml is not None:
        words.append(f"{_plain(one.volume_ml)} mL")
        if one.strength is not None:
            words.append(f"{_plain(one.strength[0])} {one.strength[1]}")
    elif one.tablets is not None:
        words = [f"{_plain(one.tablets)} tablets of {name}"]
    words += [part for part in (one.route, one.frequency) if part and part not in _FARM_ROUTES]
    return " ".join(words)[:400]


def _plain(value: Decimal) -> str:
    return format(value.normalize(), "f") if value == value.to_integral_value() else f"{float(value):.6g}"


def _of(animal: int | None, known: list[Patient]) -> Patient:
    """The patient that a fact belongs to; where that can't be told, one of whom only the common species is known."""
    if animal is not None:
        return known[animal]
    kinds = {one.species_name: one.species for one in known}
    return replace(_NOBODY, species=next(iter(kinds.values()))) if len(kinds) == 1 else _NOBODY


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
        if not answer["covered"]:
            answer["title"] = ", ".join(dict.fromkeys(one.text for one in listed))
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
        own = [one for one in medications if one.drugs and (one.animal in (place, None) or not known)]
        found: dict[str, Json] = {}
        for chosen in _choices(own):
            lines = [line for line in dict.fromkeys(map(_line, chosen)) if line not in patient.medications]
            if not lines and not patient.medications:
                continue
            answer = check(patient, lines, records, jurisdiction, audience)
            for row in answer["findings"]:
                seen = found.setdefault(row["text"], {**row, "patient": place if known else None})
                seen["drugs"] = list(dict.fromkeys([*seen["drugs"], *row["drugs"]]))
            needs += answer["needs"]
            not_checked += answer["not_checked"]
        findings += sorted(found.values(), key=lambda row: RANKS[row["severity"]])
    return findings


def _poisoned(
    medications: list[Medication], met: list[Exposure], findings: list[Json], records: Records, too_much: bool
) -> list[Exposure]:
    """Drugs that an animal got too much of, or must never get, being on record as poisons: permethrin on a cat."""
    barred = {row["rule"]: row for row in findings if row["severity"] == "absolute" and len(row["drugs"]) == 1}
    over = {name for row in findings if _is_overdose(row) for name in row["drugs"]}
    if not (barred or too_much or over):
        return []
    never = [rule for rule in records.rules if rule.id in barred and _is_only_animal(rule.trigger)]
    known = {(one.substance, one.animal) for one in met if one.status == "happened"}
    found: list[Exposure] = []
    for one in medications:
        name = fold(one.text) if fold(one.text) in records.toxins_by_name else " ".join(one.drugs)
        toxin = records.toxins_by_name.get(name)
        if one.status not in ("given", "current") or ((toxin.name if toxin else one.text), one.animal) in known:
            continue
        if one.status == "given" and (too_much or not over.isdisjoint(one.drugs)):
            given = Exposure(one.text, one.text, one.span, status="happened", animal=one.animal)
            found.append(given if too_much else _with_amount(given, one))
            continue
        if toxin is None:
            continue
        if any(barred[rule.id]["drugs"] == [*one.drugs] for rule in never):
            found.append(Exposure(toxin.name, one.text, one.span, status="happened", animal=one.animal))
    return found


def _is_overdose(row: Json) -> bool:
    """Whether a finding says of a dose that it is far above the record."""
    return str(row["rule"]).startswith("dose-") and row["severity"] in ("absolute", "high")


def _with_amount(met: Exposure, one: Medication) -> Exposure:
    """An exposure to a drug with the amount that was given of it."""
    if one.tablets is not None:
        return replace(met, amount=one.tablets, unit="tablet", strength=one.strength)
    return met if one.amount is None or one.per else replace(met, amount=one.amount, unit=one.unit)


_TOO_MUCH = frozenset(("double", "twice", "extra", "triple", "wrong"))
_DOSE_WORDS = frozenset(("dose", "doses", "dosed", "amount"))


def _is_too_much(words: Sequence[str]) -> bool:
    """Whether somebody tells of a double dose."""
    return "overdosed" in words or (
        not _TOO_MUCH.isdisjoint(words)
        and any(
            word in _TOO_MUCH and not _DOSE_WORDS.isdisjoint(words[place + 1 : place + 4])
            for place, word in enumerate(words)
        )
    )


_HARM = vocabulary("toxic poisonous dangerous lethal deadly fatal harmful kill kills overdose")


def _asks_harm(readings: Sequence[Reading]) -> bool:
    """`how much ibuprofen is toxic to a dog`."""
    return bool(readings) and not _HARM.isdisjoint(readings[-1].words)


def _as_poisons(medications: list[Medication], met: list[Exposure], records: Records) -> list[Exposure]:
    """Drugs that somebody asks about, as the poisons that they are on record as."""
    known = {(one.text, one.animal) for one in met}
    names = [(one, fold(one.text) if fold(one.text) in records.toxins_by_name else " ".join(one.drugs))
             for one in medications if one.status == "asked" and (one.text, one.animal) not in known]  # fmt: skip
    return [
        Exposure(records.toxins_by_name[name].name, one.text, one.span, status="asked", animal=one.animal)
        for one, name in names if name in records.toxins_by_name
    ]  # fmt: skip


def _worth_telling(met: list[Exposure], readings: Sequence[Reading], records: Records) -> list[Exposure]:
    """Without drugs that somebody only asks about, no amount being named: their findings and doses are the answer.

    Unless the question is how much of it harms.
    """
    if _asks_harm(readings):
        return met
    return [
        one for one in met
        if one.status == "happened" or one.amount is not None
        or not any(drug.has_record for drug in records.drugs_named(one.text))
    ]  # fmt: skip


def _of_classes(
    medications: list[Medication],
    known: list[Patient],
    findings: list[Json],
    records: Records,
    jurisdiction: str | None,
    audience: str,
    needs: list[Json],
) -> list[Json]:
    """What holds of every drug of a class that is named without a drug: penicillin for a hamster."""
    found: list[Json] = []
    for one in medications:
        if one.drugs or one.drug_class is None:
            continue
        patient = _of(one.animal, known)
        members = [drug for drug in records.drugs.values() if one.drug_class in drug.classes and drug.has_record]
        members.sort(key=lambda drug: all(row.species != patient.species_name for row in drug.doses))
        shared: dict[str, Json] | None = None
        for drug in members[:_MEMBERS_MAX]:
            answer = check(patient, [drug.generic], records, jurisdiction, audience)
            rows = {row["rule"]: row for row in answer["findings"]}
            shared = rows if shared is None else {rule: row for rule, row in shared.items() if rule in rows}
        for rule, row in (shared or {}).items():
            if all(rule != other["rule"] for other in (*findings, *found)):
                drugs = [one.text if name == members[0].generic else name for name in row["drugs"]]
                found.append({**row, "drugs": drugs, "patient": one.animal})
        fitting = [drug.generic for drug in members if any(row.species == patient.species_name for row in drug.doses)]
        alone = not any(other.drugs for other in medications)
        if members and alone and not any(row["severity"] == "absolute" for row in found):
            names = ", ".join((fitting or [drug.generic for drug in members])[:_MEMBERS_MAX])
            needs.append(need("drug", f"{one.text} is a group of drugs", f"Which one: {names}?"))
    return found


def _the_only_one(one: Medication, known: list[Patient], records: Records) -> Medication:
    """A group of drugs as the only one of it that has doses for this animal: iron for a piglet is iron dextran."""
    if one.drugs or one.drug_class is None or one.animal is None:
        return one
    species = known[one.animal].species_name
    fitting = [
        drug.generic for drug in records.drugs.values()
        if one.drug_class in drug.classes and any(row.species == species for row in drug.doses)
    ]  # fmt: skip
    return replace(one, drugs=(fitting[0],)) if len(fitting) == 1 else one


def _is_only_animal(trigger: Trigger) -> bool:
    """Whether a rule asks for nothing but the kind of animal: whoever gives it the drug poisons it."""
    return not (
        trigger.jurisdiction or trigger.co_drug or trigger.co_class or trigger.condition or trigger.route
        or trigger.production_class or trigger.food_producing or trigger.breed or trigger.gene or trigger.pregnant
    )  # fmt: skip


def _choices(medications: list[Medication]) -> list[list[Medication]]:
    """What would be given together: all of them, or once for each drug of which only one is to be chosen."""
    options = [one for one in medications if one.choice is not None]
    if not options:
        return [medications]
    rest = [one for one in medications if one.choice is None]
    return [[*rest, one] for one in options[:DOSES_MAX]]


def _laboratory(
    values: Sequence[Measurement],
    places: list[int | None],
    known: list[Patient],
    records: Records,
    formulas: Formulas,
    needs: list[Json],
) -> tuple[list[Json], list[Json], list[Json]]:
    """Laboratory values against the intervals of each animal: results, derived figures, and what they say together."""
    by_animal: dict[int | None, list[Measurement]] = {}
    for one in values:
        by_animal.setdefault(_placed(one.animal, places, known), []).append(one)
    results: list[Json] = []
    derived: list[Json] = []
    patterns: list[Json] = []
    for place, rows in by_animal.items():
        measured = [Measured(one.name, one.value, one.unit, one.comparator or "") for one in rows]
        answer = judge(_of(place, known), measured, records, formulas)
        spans = {one.name: list(one.span) for one in rows}
        results += [{**row, "patient": place, "span": spans.get(row["analyte"])} for row in answer["results"]]
        derived += [{**row, "inputs": {}, "patient": place} for row in answer["derived"]]
        patterns += [{**row, "patient": place} for row in answer["patterns"]]
        patterns += [_critical(row, place) for row in _beyond(answer, results, patterns)]
        needs += [row for row in answer["needs"] if row["field"].startswith("analytes")]
    return results, derived, patterns


def _beyond(answer: Json, results: list[Json], patterns: list[Json]) -> list[Json]:
    """Results beyond their critical limits that are part of no pattern."""
    named = {name for row in patterns for name in row["analytes"]}
    return [row for row in results if row["analyte"] in answer["critical"] and row["analyte"] not in named]


def _critical(result: Json, place: int | None) -> Json:
    """A value beyond its critical limit as a pattern."""
    name = result["analyte"]
    why = f"{name} is beyond the limit that is on record as critical: confirm the sample and treat."
    row: Json = {"id": f"critical-{name}", "name": f"critical {name}", "why": why, "urgency": "emergency"}
    return {**row, "analytes": [name], "sources": result["sources"], "patient": place}


def _sheet(picture: int | None, source: Sequence[Json] | str, records: Records) -> Printed | None:
    """The laboratory sheet in a picture or a text."""
    from app.clinic import labsheets  # 10 ms that a service without sheets never needs

    return labsheets.printed(picture, source, records)


def _table(
    printed: Printed,
    known: list[Patient],
    records: Records,
    formulas: Formulas,
    needs: list[Json],
    not_checked: list[Json],
) -> tuple[Json, Json]:
    """A sheet as it was read, and what `labs` says of the rows that are sure."""
    kind = printed.sheet.species
    fitting = [at for at, one in enumerate(known) if kind is None or one.species_name in (kind, None)]
    place = fitting[0] if len(fitting) == 1 else None
    patient = _of(place, known)
    if place is None and kind is not None:
        patient = replace(_NOBODY, species=records.species[kind])
    if place is None and known:
        which = f"it says {kind}" if kind else "several animals are known"
        needs.insert(0, need("sheet.patient", which, f"Whose is the laboratory sheet ({kind or 'no species on it'})?"))
    sheet = printed.read_for(patient.species_name, records)
    answer = judge(patient, sheet.measured, records, formulas)
    where = {"patient": place} if printed.picture is None else {"patient": place, "picture": printed.picture}
    answer["results"] = [{**row, **where, "span": None} for row in answer["results"]]
    answer["derived"] = [{**row, "inputs": {}, "patient": place} for row in answer["derived"]]
    answer["patterns"] = [{**row, "patient": place} for row in answer["patterns"]]
    answer["patterns"] += [_critical(row, place) for row in _beyond(answer, answer["results"], answer["patterns"])]
    needs += [row for row in answer["needs"] if row["field"].startswith("analytes")]
    if sheet.unsure:
        names = ", ".join(dict.fromkeys(row.analyte for row in sheet.unsure))
        needs.append(need("sheet.rows", "they weren't read surely", f"What does the sheet say of {names}?"))
        not_checked += [{"text": row.analyte, "why": "unsure_reading"} for row in sheet.unsure]
    if patient.species is None:
        needs.append(need("species", "the intervals on record differ by species", "What kind of animal is it?"))
    by_name = {row["analyte"]: row for row in answer["results"]}
    rows = [{**row.to_json(), "result": by_name.get(row.analyte) if row.sure else None} for row in sheet.rows]
    told = {"picture": printed.picture, "read_by": printed.how, "patient": place}
    return {**sheet.to_json(), **told, "rows": rows}, answer


def _vitals(
    values: Sequence[Measurement], places: list[int | None], known: list[Patient], records: Records
) -> list[Json]:
    """Vital signs against the figures of the species."""
    rows: list[Json] = []
    for one in values:
        place = _placed(one.animal, places, known)
        said = VitalSaid(one.name, one.value, one.unit or "", one.span)
        judged_rows, _ = judged([said], _of(place, known).shape, records)
        rows += [{**row, "comparator": one.comparator, "patient": place} for row in judged_rows]
    return rows


def _pressing(patterns: list[Json], vitals: list[Json]) -> list[Json]:
    """What figures say of urgency, in the shape that triage takes."""
    rows = [row for row in vitals if row["level"] and not row["comparator"]]
    for row in patterns:
        if row["urgency"] in ("emergency", "urgent"):
            source = row["sources"][0] if row["sources"] else None
            level: Json = {"name": row["id"], "text": row["name"], "level": row["urgency"], "span": None}
            rows.append({**level, "reason": f"{row['name']}.", "source": source})
    return rows


def _own_doses(
    medications: list[Medication], known: list[Patient], findings: list[Json], records: Records
) -> list[Json]:
    """The asker's own mg/kg worked out: amount, and volume where a strength stands there.

    Nothing is worked out for a drug that must not be given, or that has no record.
    """
    banned = [row for row in findings if row["severity"] == "absolute" and row["action"] == "forbid"]
    barred = {drug for row in banned for drug in row["drugs"]}
    rows: list[Json] = []
    for one in medications:
        weight_kg = None if one.animal is None else known[one.animal].weight_kg
        if weight_kg is None or len(one.drugs) != 1:
            continue
        if (counted := _counted(one, weight_kg)) is not None and one.drugs[0] not in barred:
            rows.append(counted)
        if one.amount is None or one.per not in (("kg",), ("lb",)):
            continue
        per_kg = convert(one.amount, f"{one.unit}/{one.per[0]}", f"{one.unit}/kg")
        if per_kg is None or one.drugs[0] in barred or not records.drugs[one.drugs[0]].has_record:
            continue
        amount = per_kg * weight_kg
        inputs: Json = {"drug": one.drugs[0], "dose": f"{_plain(one.amount)} {spelt(f'{one.unit}/{one.per[0]}')}"}
        inputs["weight_kg"] = number(round(weight_kg, 4))
        result: Json = {"value": number(round(amount, 4)), "unit": one.unit}
        formula = "weight_kg x dose per kg"
        strength = None if one.strength is None else read_strength(*one.strength)
        times = convert(Decimal(1), one.unit, strength.unit) if strength is not None and strength.per_ml else None
        if strength is not None and times is not None:
            inputs["strength"] = f"{_plain(strength.value)} {spelt(strength.unit)}/mL"
            result["volume_ml"] = number(volume_step(amount * times / strength.value))
            formula += " / strength"
        elif strength is not None and not strength.per_ml and (times := convert(Decimal(1), one.unit, strength.unit)):
            inputs["strength"] = f"{_plain(strength.value)} {spelt(strength.unit)}"
            result["tablets"] = number(round(amount * times / strength.value, 2))
            formula += " / strength"
        rows.append({"name": "your figure", "inputs": inputs, "formula": formula, "result": result, "sources": []})
    return rows


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
        strength = one.strength
        only = _only_strength(one, records) if strength is None else None
        strength = strength or only
        question = DoseQuestion(
            drug=one.drugs[0] if len(one.drugs) == 1 else one.text, route=one.route, strength=strength
        )
        patient = _of(one.animal, known)
        beside = [
            _line(other) for other in medications
            if other.drugs and other.drugs != one.drugs and other.animal == one.animal
            and (one.choice is None or other.choice != one.choice)
        ]  # fmt: skip
        patient = replace(patient, medications=tuple(dict.fromkeys((*patient.medications, *beside))))
        answer = prescribe(patient, question, records, jurisdiction, audience)
        if question.route is not None and not answer["doses"]:
            others = prescribe(patient, replace(question, route=None), records, jurisdiction, audience)
            answer = _by_other_routes(answer, others)
        if only is not None and answer["doses"]:
            said = f"{_plain(only[0])} {spelt(only[1])}"
            ask = need("strength", f"the volume is of {said}, the only strength on record", f"Is it {said}?")
            answer["needs"].append(ask)
        answer["patient"] = one.animal
        answers.append(answer)
    return answers


def _only_strength(one: Medication, records: Records) -> tuple[Decimal, str] | None:
    """The strength of a drug that is on record in a single one, a liquid."""
    drug = records.drugs.get(one.drugs[0]) if len(one.drugs) == 1 else None
    sold = {(row.strength, row.unit) for row in drug.formulations} if drug is not None else set()
    return next(iter(sold)) if len(sold) == 1 and all(unit.endswith("/mL") for _, unit in sold) else None


def _by_other_routes(asked: Json, others: Json) -> Json:
    """The doses by other routes, where none by the one that was asked for is on record."""
    if not others["doses"] or all(row["why"] != "no_record_for_route" for row in asked["not_checked"]):
        return asked
    return {**others, "not_checked": asked["not_checked"]}


_USUAL = frozenset(("normal", "usual", "average"))
_VITAL_STARTS = frozenset(name.split()[0] for name in VITALS if len(name) > 1)


def _usual(reading: Reading, known: list[Patient]) -> list[Json]:
    """The usual vital signs of a species that somebody asks for: `normal heart rate of a cat`."""
    if _USUAL.isdisjoint(reading.words) or _VITAL_STARTS.isdisjoint(reading.words):
        return []
    joined = f" {' '.join(reading.words)} "
    asked = {kind for name, kind in VITALS.items() if len(name) > 1 and f" {name} " in joined}
    return [
        {
            "name": f"usual {vital.name.replace('_', ' ')} of the {patient.species.name}",
            "inputs": {},
            "formula": "from the record",
            "result": {"min": number(vital.low), "max": number(vital.high), "unit": vital.unit},
            "steps": [f"{_plain(vital.low)} to {_plain(vital.high)} {spelt(vital.unit)}"],
            "notes": [],
            "sources": [source.json for source in vital.sources],
            "patient": place,
        }
        for place, patient in enumerate(known) if patient.species is not None
        for vital in patient.species.vitals if vital.name in asked
    ]  # fmt: skip


def _asked_sums(
    heard: Sequence[Heard], readings: Sequence[Reading], known: list[Patient], records: Records
) -> tuple[list[sums.Ask], Reading]:
    """The calculators that the last message asks for, else those of an earlier one that the later ones answer.

    Args:
        readings: of the messages heard, each with its animals placed.

    Returns:
        The calculators, and the text to read their inputs from: `over 12 hours` belongs to the question before it.
    """
    for back, (message, reading) in enumerate(zip(reversed(heard), reversed(readings), strict=True)):
        wanted = message.sums
        if wanted and (back == 0 or len(known) < 2):
            text = "\n".join(one.text for one in readings[len(readings) - 1 - back :])
            return wanted, read(text, records) if back else reading
        if wanted or reading.medications or reading.exposures or reading.signs:
            break
    return [], readings[-1] if readings else Reading("")


def _whose_sums(
    question: Reading, readings: Sequence[Reading], places: list[int | None], known: list[Patient]
) -> list[sums.Whose]:
    """The animals that a question is computed for."""
    own = {place: index for index, place in reversed([*enumerate(places)]) if place is not None}
    if question is readings[-1] and own:
        return [sums.Whose(index, place, known[place]) for place, index in sorted(own.items())]
    alone = 0 if len(known) == 1 else None
    return [sums.Whose(0 if question.animals else None, alone, _of(alone, known))]


_DIFFERENTIALS = vocabulary("ddx ddxs ddxes differential differentials diagnosis diagnoses dx ruleouts")


def _is_about_signs(said: Sequence[Reading], medications: list[Medication], met: list[Exposure]) -> bool:
    """Whether somebody tells of signs to learn what they may be, and not of a drug or a poison."""
    if said and not _DIFFERENTIALS.isdisjoint(said[-1].words):
        return True
    return not met and all(one.status in ("current", "given") for one in medications)


def _weighed(
    heard: Sequence[Heard],
    known: list[Patient],
    analytes: list[Json],
    vitals: list[Json],
    met: list[Exposure],
    records: Records,
    needs: list[Json],
) -> list[differentials.Weighed]:
    """What the signs of the only animal may be; nothing without a sign, or where nobody knows what it is.

    Of a sign that several messages name the latest counts.
    """
    evidence = differentials.Evidence()
    for message in reversed(heard):
        differentials.signs_said(message.signs, records, evidence)
    if len(known) > 1 or all(one.direction == "absent" for one in evidence.given.values()):
        return []
    patient = known[0] if known else _NOBODY
    if patient.species is None:
        kind = _KINDS.get(patient.species_words)
        if kind is not None or not patient.species_words:
            ask = f"What kind of {kind or 'animal'} is it?"
            needs.append(need("species", "what signs may mean differs by species", ask))
        return []
    for row in analytes:
        if row["flag"] is not None and (row["patient"] is not None or not known):
            words = f"{row['analyte']} {row['value']}"
            fields = {"flag": row["flag"], "span": row["span"]}
            differentials.value_given(records.analytes.get(row["analyte"]), words, fields, patient, evidence)
    differentials.vitals_given(vitals, records, evidence)
    poisons = [one.substance for one in met if one.status == "happened"]
    weighed = differentials.weigh(patient, list(evidence.given.values()), poisons, records)
    return [weighed] if weighed else []


def _given_banned(
    level: Triage | None, medications: list[Medication], findings: list[Json], records: Records
) -> Triage | None:
    """Today instead of some day, where an animal was given what its kind must never have."""
    given = {name for one in medications if one.status == "given" for name in one.drugs}
    if level is None or level.level not in ("routine", "home_care") or not given:
        return level
    banned = [row for row in findings if row["severity"] == "absolute" and row["action"] == "forbid"]
    never = {rule.id for rule in records.rules if banned and _is_only_animal(rule.trigger)}
    for row in banned:
        if row["rule"] in never and not given.isdisjoint(row["drugs"]):
            reason = f"It was given {' and '.join(row['drugs'])}, which an animal of its kind must not have."
            return replace(level, level="urgent", see_within_min=None, vtl_colour="yellow", reason=reason)
    return level


_TELLING = 10
"""More conditions than this that fit tell nothing."""
_NARROW = 3
"""So few conditions fit that even a single sign tells something."""


def _pressed(level: Triage | None, weighed: list[differentials.Weighed], audience: str) -> Triage | None:
    """Today instead of some day, where an emergency that must not be missed explains every sign that is told."""
    if level is None or level.level not in ("routine", "home_care"):
        return level
    for one in weighed:
        narrow = len(one) <= _NARROW
        if not narrow and (one.present < 2 or len(one) > _TELLING):
            continue
        grave = [
            row for row in one.answer()["differentials"]
            if row["cant_miss"] and (row["urgency"] == "emergency" or (narrow and row["urgency"] == "urgent"))
            and len([part for part in row["for"] if part["direction"] is not None]) == one.present
        ]  # fmt: skip
        if grave:
            named = " or ".join(str((audience == "owner" and row["plain"]) or row["condition"]) for row in grave[:2])
            reason = f"What is told may be {named}, which can't wait: a vet has to rule it out today."
            return replace(level, level="urgent", see_within_min=None, vtl_colour="yellow", reason=reason)
    return level


def _can_show(sign: Sign, records: Records) -> bool:
    """Whether the animal that a sign was said of can have it."""
    species = records.flags[sign.flag].species
    return sign.species is None or "any" in species or sign.species in species


def _triage(
    heard: Sequence[Heard],
    readings: Sequence[Reading],
    known: list[Patient],
    exposures: list[Json],
    records: Records,
    jurisdiction: str | None,
    figures: list[Json],
) -> Triage | None:
    """The worst of all messages; None where nothing says that an animal is ill."""
    signs = tuple(sign for reading in readings for sign in reading.signs)
    met = [row for row in exposures if row["status"] == "happened"]
    if not (signs or met or known or figures):
        return None
    animals = tuple(animal for reading in readings for animal in reading.animals)
    shape = known[0].shape if len(known) == 1 else None
    if shape is not None and shape.get("conditions"):
        signs += of_illness(shape, (sign for message in heard for sign in message.signs), records)
    return triage(Reading("", animals=animals, signs=signs), shape, records, met, jurisdiction, figures)


def _generics(line: Any, records: Records) -> Iterable[str]:
    return (drug.generic for written in read_line(line, records) for drug in written.drugs)


def _unique(rows: Iterable[Json]) -> list[Json]:
    kept: list[Json] = []
    for row in rows:
        if row not in kept:
            kept.append(row)
    return kept
