"""From the clinic's assessment to sentences: urgency first, then what was read, computed, warned of and not checked.

Nothing is added to what the assessment says but the words around it. Figures keep their formula and their source.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Iterable, Mapping
from functools import lru_cache
from itertools import filterfalse
from pathlib import Path
from typing import Any, Final

from app.base.messages import Facts, Json, Picture, Prompt, Triage

CONTACTS_MAX = 6
ASKS_MAX = 8
RULES_MAX = 3
DOSES_MAX = 12
CITED_MAX = 2
DIFFERENTIALS_MAX = 8
OWNER_DIFFERENTIALS_MAX = 4
_OWNER_GRAVE_MAX: Final = 2
_OWNER_SINGLE_MAX: Final = 3
_DIFFUSE: Final = 10
"""More conditions than this that fit tell an owner nothing."""
_SERVING_MAX: Final = 5
_SPLITTING_MAX: Final = 4
_SEVERITY: Final = {"absolute": 0, "high": 1, "moderate": 2, "info": 3}
_LABEL: Final = {"absolute": "CONTRAINDICATED", "high": "Major", "moderate": "Moderate", "info": "Note"}
_WHY: Final = {
    "unknown_drug": "no drug of this name is on record",
    "unknown_species": "no animal of this kind is on record",
    "unknown_substance": "nothing of this name is on record",
    "no_record": "nothing is on record",
    "no_record_for_species": "nothing is on record for this species",
    "no_record_for_route": "no dose by this route is on record",
    "no_record_for_indication": "no dose for this use is on record",
    "indication_needed": "only for that use",
    "no_toxin_record": "it is on record as a drug, not as a poison",
    "not_understood": "these words were not understood",
    "not_comparable": "the unit can't be compared with the record",
    "unsure_reading": "its line of the laboratory sheet wasn't read surely",
}
_ASIDE: Final = re.compile(r" ?\([^()]*\)")
_REMARK: Final = re.compile(r"low(er|est)? (end|reported|dose)|any amount|tiny amounts|.*\bpossible with any|smallest ")
_NO_CONDITION: Final = ("cpr", "vaccine", "vaccines", "vaccination", "vaccinated", "class 4", "class iv")
"""What rules look for among the conditions, but an animal doesn't have."""
_NAMED_MAX: Final = 8
_UNWEIGHED: Final = "Without the weight the dose can't be worked out: the lightest animal of its kind is assumed."
_BY_SHEET: Final = ("flagged by the range you gave",)
_NOT_QUOTED: Final = re.compile(r"[^\w\s.,:%<>()\[\]/^+*-]|\s+")
_QUOTED_MAX: Final = 60
_FLAGS: Final = {"LL": "FAR TOO LOW", "L": "LOW", "N": "within it", "H": "HIGH", "HH": "FAR TOO HIGH"}
_UNKNOWN: Final = ("unknown_drug",)
_TECHNICAL: Final = re.compile(
    r"/kg|\bLD50\b|quoted|reported (dose|lethal)|lowest|smallest|no toxic dose|any amount|margin|possible from less|"
    r"a little too much|\bgive[ns]? as\b|in the study|fall in"
)
_PIECES: Final = frozenset(("piece", "tablet", "capsule", "bar", "square", "slice", "clove", "bite", "unit", "pack"))
_COVERED: Final = re.compile(r"\b(cats?|dogs?|cattle|cows?|calves|horses?|rabbits?|nsaids?)\b", re.IGNORECASE)
_CAN: Final = (
    "What I can do without a language model: work out doses (“meloxicam for a 12 kg dog, 1.5 mg/mL”), judge what an "
    "animal swallowed (“12 kg dog, 200 g dark chocolate, an hour ago”), check drugs against each other and against the "
    "animal, spot warning signs in what you describe, name what signs may mean (“9 year old cat drinks a lot and loses "
    "weight”), and work out fluids, energy, infusions and laboratory sums (“RER of a 4.5 kg cat”)."
)
_OWNER_TESTS: Final = {
    "a blood test": re.compile(
        r"blood(?! pressure)|cbc|pcv|serum|glucose|creatinine|\bt4\b|calcium|potassium|sodium|lactate|electrolyte|"
        r"albumin|bilirubin|ha?emat|biochem|lipase|\bpli\b|\bacth\b|cortisol|antibod|antigen|pcr|(liver|kidney) values",
        re.IGNORECASE,
    ),
    "a urine test": re.compile(r"urin"),
    "X-rays": re.compile(r"radiograph|x-ray"),
    "an ultrasound": re.compile(r"ultraso|echocardio"),
    "a test of the droppings": re.compile(r"faec|fecal|stool|dropping"),
    "a blood pressure reading": re.compile(r"blood pressure"),
    "a heart trace": re.compile(r"\becg\b", re.IGNORECASE),
    "a look at cells or skin under the microscope": re.compile(r"scrap|cytolog|biops|swab|tape|needle|culture"),
}
"""What owners call the tests of records, by the words in them."""
_ASKS_LESION: Final = (
    "Where on the body is it, on which side, and is it one spot or several?",
    "How large is it? A coin or a ruler beside it tells; so does a second photo from further away.",
    "Since when, and has it grown, spread or changed colour?",
    "Does it bleed, ooze or smell, is it warm, swollen or painful, does the animal lick or scratch it?",
    "How is the animal otherwise: eating, drinking, lively, passing urine and stool?",
)
_ASKS_EYE: Final = (
    "Which eye, and since when? Was there a scratch, a fight, a plant or a chemical?",
    "Is it held shut, does it water, is there pus, is the eye cloudy, red, blue, larger or bulging?",
    "Does the animal see, and are both pupils of the same size?",
)
_ASKS_STOMACH: Final = (
    "How often and since when, and what does it look like: food, foam, bile, blood, coffee grounds, worms, black tar?",
    "What may it have eaten: a toy, a bone, a plant, a medicine, bait? Bring the packet.",
    "Does it keep water down, is the belly swollen or painful, is it lively?",
)
_ASKS_LIMB: Final = (
    "Which leg, since when, and does it bear weight?",
    "Was there a fall, a car or a fight? Is there a wound, a swelling or an odd angle?",
    "Is the paw warm and does it feel touch?",
)
_ASKS_ABOUT: Final = (
    (("eye", "pupil", "blind", "squint"), _ASKS_EYE),
    (("vomit", "threw up", "diarr", "stool", "faeces", "poop", "blood in", "belly", "abdomen"), _ASKS_STOMACH),
    (("lame", "limp", "fracture", "leg", "broken"), _ASKS_LIMB),
)
_ASKS_IMAGING: Final = (
    "Which part and which views, and which side is marked left or right on the film itself?",
    "Is there a scale or a marker of known length on it? Without one nothing on it can be measured.",
    "What is the question: trauma, cough, vomiting, a limp, a control of something known?",
    "What does the examination say: breathing, heart sounds, belly, pain, gait?",
)
_OWNER_WATCH: Final = (
    "Go to a vet at once, whatever was said above, if you see any of this: hard or noisy breathing, collapse, fits, "
    "gums that are white, blue or brick red, a swollen hard belly, straining without passing urine, bleeding that "
    "doesn't stop, vomiting again and again, or anything that gets worse quickly."
)


def in_words(prompt: Prompt) -> str:
    """The built-in engine's answer; the same text for the same prompt."""
    facts = prompt.facts
    pictures = [part for message in prompt.messages for part in message.parts if isinstance(part, Picture)]
    page = _Page()
    if facts is None:
        page.say("I am vetx's built-in engine and speak only of animals' health; this model needs an upstream server.")
        page.say(_CAN)
    elif not facts.on_topic and not pictures and not _has_something(facts):
        page.say("This doesn't read like a question about an animal's health, which is all I know something about.")
        page.say(_CAN)
        page.say(_about_us(owner=facts.audience == "owner"))
    else:
        told = " ".join(message.text for message in prompt.messages if message.role == "user")
        _assessment(page, facts, pictures, told)
    return page.text()


def _has_something(facts: Facts) -> bool:
    return bool(
        facts.exposures
        or facts.doses
        or facts.findings
        or facts.signs
        or facts.analytes
        or facts.vitals
        or facts.calculations
        or facts.differentials
        or any(str(row.get("field")).startswith("inputs.") for row in facts.needs)
        or (facts.triage and facts.triage.level in ("emergency", "urgent"))
    )


def _is_a_sum(facts: Facts, triage: Triage) -> bool:
    """Whether a clinician only asks for doses or checks, or gives figures: then `routine` says nothing."""
    asked = facts.doses or facts.findings or facts.calculations or facts.vitals or facts.analytes
    return bool(
        facts.audience != "owner" and asked and not (facts.signs or facts.exposures) and triage.level == "routine"
    )


def _assessment(page: _Page, facts: Facts, pictures: list[Picture], told: str) -> None:
    owner = facts.audience == "owner"
    pressing = facts.triage is not None and facts.triage.level in ("emergency", "urgent")
    if not pressing:
        _forbidden(page, facts)
    if facts.triage is not None and not _is_a_sum(facts, facts.triage):
        _urgency(page, facts, facts.triage, owner)
    if facts.triage is not None and facts.triage.level == "urgent":
        _forbidden(page, facts)
    _understood(page, facts)
    _pictures(page, facts, pictures, told)
    for answer in filter(_happened, facts.exposures):
        _exposure(page, facts, answer, owner)
    _findings(page, facts, owner)
    _doses(page, facts, owner)
    for answer in filterfalse(_happened, facts.exposures):
        _exposure(page, facts, answer, owner)
    for answer in _weighed(facts):
        _differentials_for_owners(page, facts, answer) if owner else _differentials(page, answer)
    _calculations(page, facts)
    _rules(page, facts)
    if not _has_something(facts) and not pictures:
        if not facts.rules and not facts.not_checked:
            page.say("I found no drug, poison or warning sign in this that I have a record of.")
        page.say(_CAN)
    _not_checked(page, facts)
    _asks(page, facts)
    if owner:
        page.say(
            "Even if it looks better on the way, go."
            if facts.triage is not None and facts.triage.level == "emergency"
            else _OWNER_WATCH
        )
    page.say(_about_us(owner=owner))
    page.list_sources()


def _about_us(*, owner: bool) -> str:
    limits = "I can't reason about a diagnosis, follow a conversation or look at a picture"
    if owner:
        return f"I am a program that reads records and does sums, not a language model and not a vet: {limits}."
    return (
        f"I am vetx's built-in engine: records and arithmetic, no language model. {limits}; for that, the operator "
        "connects an OpenAI-compatible server with VETX_UPSTREAM_URL."
    )


class _Page:
    """Paragraphs, and the sources that they cite by number."""

    def __init__(self) -> None:
        self._blocks: list[str] = []
        self._sources: dict[tuple[str, str], tuple[int, Json]] = {}

    def say(self, text: str) -> None:
        """A paragraph."""
        if text:
            self._blocks.append(text)

    def list(self, heading: str, rows: Iterable[str]) -> None:
        """A heading and its rows; nothing without rows."""
        lines = [f"- {row}" for row in dict.fromkeys(rows) if row]
        if lines:
            self._blocks.append("\n".join([f"{heading}:", *lines]))

    def cite(self, sources: Any) -> str:
        """` [1][2]` of a source or the first of several; "" where there is none."""
        marks: dict[str, None] = {}
        for source in (sources if isinstance(sources, list | tuple) else [sources])[:CITED_MAX]:
            if isinstance(source, Mapping) and source.get("title"):
                key = (str(source["title"]), str(source.get("url") or ""))
                number, _ = self._sources.setdefault(key, (len(self._sources) + 1, dict(source)))
                marks[f"[{number}]"] = None
        return " " + "".join(marks) if marks else ""

    def list_sources(self) -> None:
        """Everything cited, with its address and the day it was read."""
        lines = []
        for number, source in self._sources.values():
            parts = [str(source[name]) for name in ("title", "publisher", "url") if source.get(name)]
            read_on = f" (read {source['read_on']})" if source.get("read_on") else ""
            lines.append(f"[{number}] “{', '.join(parts)}”{read_on}")
        if lines:
            self._blocks.append("\n".join(["Sources:", *lines]))

    def text(self) -> str:
        """The page."""
        return "\n\n".join(self._blocks)


@lru_cache(maxsize=1)
def _phrases() -> Mapping[str, Mapping[str, str]]:
    return tomllib.loads(Path(__file__).with_name("phrases.toml").read_text(encoding="utf-8"))


# The parts, in their order.


def _forbidden(page: _Page, facts: Facts) -> None:
    """What must not be given, before anything calmer is said."""
    rows = [row for row in _warnings(facts) if row.get("severity") == "absolute" and row.get("drugs")]
    rows = [row for row in rows if row.get("action") != "limit"]
    named = dict.fromkeys(" with ".join(sorted(map(str, _list(row, "drugs")))) for row in rows)
    if named:
        page.say(f"CONTRAINDICATED, see the findings: {'; '.join(named)}.")


def _urgency(page: _Page, facts: Facts, triage: Triage, owner: bool) -> None:
    phrases = _phrases()
    language = facts.language.partition("-")[0].lower()
    own = phrases.get(language, phrases["en"])
    lines = [own[triage.level]]
    if own is not phrases["en"]:
        lines += [phrases["en"][triage.level], own["english"]]
    if triage.see_within_min:
        lines.append(f"See a vet within {_minutes(triage.see_within_min)}.")
    if triage.reason and not (triage.level == "home_care" and not triage.red_flags and not facts.exposures):
        lines.append(triage.reason)
    if not owner and triage.vtl_colour and triage.level in ("emergency", "urgent"):
        lines.append(f"Veterinary Triage List colour: {triage.vtl_colour}.")
    page.say("\n".join(lines))
    page.list("Warning signs in what you wrote", [_flag(page, flag, triage) for flag in triage.red_flags])
    met = [answer for answer in facts.exposures if _happened(answer)]
    harmed = [row for answer in met for row in _agents(answer) if row.get("severity") != "minimal"]
    actions = [str(action) for row in harmed for action in _list(row, "actions")]
    if triage.level == "emergency" and owner:
        actions.append("Call the nearest open vet and go; say on the phone what happened and when.")
    page.list("What to do now", (_sentence(_capital(action)) for action in actions))
    contacts = list(triage.contacts) or [row for answer in met for row in _rows(answer, "contacts")]
    page.list("Who to call", [_contact(row) for row in contacts[:CONTACTS_MAX]])


def _flag(page: _Page, flag: Json, triage: Triage) -> str:
    if not flag.get("sign"):
        return ""
    reason = str(flag.get("reason") or "")
    because = f": {reason}" if reason and reason not in triage.reason else ""
    return f"{flag['sign']}{because}{page.cite(flag.get('source'))}"


def _minutes(minutes: int) -> str:
    if minutes >= 120 and minutes % 60 == 0:
        return f"{minutes // 60} hours"
    return "an hour" if minutes == 60 else f"{minutes} minutes"


def _contact(row: Json) -> str:
    where = f" ({row['country']})" if row.get("country") and str(row["country"]) not in str(row.get("name")) else ""
    fee = f", {row['fee']}" if row.get("fee") else ""
    return f"{row.get('name')}{where}: {row.get('phone')}{fee}" if row.get("phone") else ""


def _understood(page: _Page, facts: Facts) -> None:
    animals = [_animal(patient) for patient in facts.patients]
    known = [words for words in animals if words]
    if len(known) == 1:
        page.say(f"The animal, as I read it: {known[0]}.")
    else:
        page.list("The animals, as I read them", known)
    page.list("Vital signs, as I read them", [_vital(page, facts, row) for row in facts.vitals])
    typed = [row for row in facts.analytes if "picture" not in row]
    page.list("Laboratory values, as I read them", [_value(page, facts, row) for row in typed])
    for sheet in facts.sheets:
        _sheet(page, facts, sheet)
    page.list("What the values say together", [_pattern(page, facts, row) for row in facts.patterns])
    weighed = [row for answer in _weighed(facts) for row in _rows(answer, "findings")]
    if facts.sheets:
        weighed = [row for row in weighed if row.get("kind") == "sign"]
    signs = [_found(row) for row in weighed] or [*facts.signs]
    if signs:
        page.say(f"Signs I read: {', '.join(dict.fromkeys(signs))}.")


def _found(row: Json) -> str:
    """A finding as it was weighed: `no vomiting`, `potassium 8.1: high`."""
    if row.get("kind") == "sign":
        text, absent = str(row.get("text")), row.get("direction") == "absent"
        return text.removeprefix("not ") if absent and text.startswith("not ") else f"{'no ' if absent else ''}{text}"
    return f"{row.get('text')} ({row.get('direction')})"


def _vital(page: _Page, facts: Facts, row: Json) -> str:
    """A vital sign beside what is usual for the species."""
    name = _spaced(row.get("name") or "")
    said = (
        f"{_whose(facts, row)}{name} {row.get('comparator') or ''}{_figure(row.get('value'))} {_per(row.get('unit'))}"
    )
    interval = _dict(row, "interval")
    if interval.get("low") is None or interval.get("high") is None:
        return said
    usual = f"{_figure(interval['low'])} to {_figure(interval['high'])} {_per(row.get('unit'))}"
    return f"{said}: {_FLAGS.get(str(row.get('flag')), 'not judged')} (usual {usual}){page.cite(row.get('source'))}"


def _value(page: _Page, facts: Facts, row: Json) -> str:
    """A laboratory value with its flag and the interval it was held against, where there is one."""
    said = f"{_whose(facts, row)}{row.get('analyte')} {row.get('comparator') or ''}{_figure(row.get('value'))}"
    said += f" {_unit(row.get('unit'))}".rstrip()
    interval = _dict(row, "interval")
    if interval.get("low") is not None and interval.get("high") is not None:
        held = f"{_figure(interval['low'])} to {_figure(interval['high'])} {_unit(interval.get('unit'))}".strip()
        said += f": {_FLAGS.get(str(row.get('flag')), 'not judged')} ({held})"
    return (
        said
        + (f" ({_WHY.get(str(row['why']), _spaced(row['why']))})" if row.get("why") else "")
        + page.cite(interval.get("sources") or interval.get("source") or row.get("sources"))
    )


def _pattern(page: _Page, facts: Facts, row: Json) -> str:
    urgency = f"{str(row.get('urgency')).upper()}: " if row.get("urgency") in ("emergency", "urgent") else ""
    why = _sentence(str(row.get("why") or ""))
    return f"{_whose(facts, row)}{urgency}{row.get('name')}. {why}{page.cite(row.get('sources'))}"


def _sheet(page: _Page, facts: Facts, sheet: Json) -> None:
    """What was read from a photographed sheet as a table that a person can hold against the paper."""
    if sheet.get("picture") is None:
        return
    clinician = facts.audience != "owner"
    kind = _kind_of(facts, sheet)
    head = ["value", "read", "sheet's own range", "flag"]
    head += ["other unit", f"on record{f' for {kind}' if kind else ''}"] if clinician else []
    how = "from the document's own text" if sheet.get("read_by") == "text" else "by character recognition"
    lines = [
        f"{_whose(facts, sheet)}What I read from the laboratory sheet in picture {int(sheet['picture']) + 1}, {how}. "
        "Compare it with the sheet before you rely on it:",
        "",
        f"| {' | '.join(head)} |",
        f"|{' --- |' * len(head)}",
    ]
    for row in _rows(sheet, "rows"):
        cells = _read_cells(page, row, clinician) if row.get("sure") else _unsure_cells(row, len(head))
        lines.append(f"| {' | '.join(cells)} |")
    unsure = sum(not row.get("sure") for row in _rows(sheet, "rows"))
    if unsure:
        rows = "One line is" if unsure == 1 else f"{unsure} lines are"
        lines += ["", f"{rows} UNSURE: shown as read, judged by nobody, part of nothing above or below."]
    page.say("\n".join(lines))


def _kind_of(facts: Facts, sheet: Json) -> str:
    """The species whose intervals a sheet was held against."""
    place = sheet.get("patient")
    if isinstance(place, int) and 0 <= place < len(facts.patients):
        return str(facts.patients[place].get("species") or "")
    return str(sheet.get("species") or "")


def _read_cells(page: _Page, row: Json, clinician: bool) -> list[str]:
    result, own = _dict(row, "result"), _dict(row, "reference")
    ends = [None if own.get(end) is None else _figure(own[end]) for end in ("low", "high")]
    bounds = " to ".join(end for end in ends if end) if all(ends) else f"up to {ends[1]}" if ends[1] else ""
    if ends[0] and not ends[1]:
        bounds = f"from {ends[0]}"
    value = f"{row.get('comparator') or ''}{_figure(row.get('value'))} {_unit(row.get('unit'))}".strip()
    why = "; ".join(part for part in str(result.get("why") or "").split("; ") if part and part not in _BY_SHEET)
    flag = _FLAGS.get(str(result.get("flag")), "not judged") + (f" ({why})" if why else "")
    cells = [f"{row.get('analyte')}", value, bounds, flag]
    if not clinician:
        return cells
    said = {_unit(row.get("unit")).lower()}
    others = [_dict(result, name) for name in ("si", "conventional")]
    other = [f"{_figure(one['value'])} {_unit(one.get('unit'))}" for one in others
             if one.get("value") is not None and _unit(one.get("unit")).lower() not in said]  # fmt: skip
    record = _dict(result, "record_interval")
    usual = f"{_figure(record['low'])} to {_figure(record['high'])}" if record else "nothing"
    return [*cells, other[0] if other else "", usual + (page.cite(result.get("sources")) if record else "")]


def _unsure_cells(row: Json, columns: int) -> list[str]:
    """A line that wasn't read surely, quoted without anything that a table or a reader would take for more."""
    quoted = _NOT_QUOTED.sub(" ", str(row.get("printed") or ""))[:_QUOTED_MAX].strip()
    return [f"{row.get('analyte')}", f"UNSURE “{quoted}”: {row.get('why')}", *["" for _ in range(columns - 2)]]


def _per(unit: Any) -> str:
    return {"/min": "a minute", "Cel": "°C"}.get(str(unit), _unit(unit))


def _animal(patient: Json) -> str:
    words: list[str] = []
    sex = patient.get("sex")
    neutered = ""
    if patient.get("neutered") is not None:
        neutered = "intact " if not patient["neutered"] else "spayed " if sex == "female" else "neutered "
    kind = patient.get("species") or ""
    if kind or sex:
        words.append(f"{neutered}{f'{sex} ' if sex else ''}{kind}".strip())
    if patient.get("breed"):
        words.append(str(patient["breed"]))
    age, months = _dict(patient, "age"), patient.get("age_months")
    if age.get("value") is not None:
        words.append(f"{_figure(age['value'])} {age.get('unit') or ''} old".replace("  ", " "))
    elif months is not None:
        words.append(f"{_figure(months)} months old")
    weight_kg, weight = patient.get("weight_kg"), _dict(patient, "weight")
    if weight_kg is not None:
        given = (
            f" (given as {_figure(weight.get('value'))} {weight.get('unit')})"
            if weight.get("unit") and str(weight["unit"]).lower() not in ("kg", "kgs", "kilograms")
            else ""
        )
        words.append(f"{_figure(weight_kg)} kg{given}")
    words += [name for name in ("pregnant", "lactating") if patient.get(name) is True]
    for name, lead in (("conditions", "with"), ("allergies", "allergic to"), ("medications", "already on")):
        rows = [_named(row) for row in _list(patient, name) if row not in _NO_CONDITION]
        if rows:
            quoted = [f"“{row}”" for row in rows] if name == "medications" else rows
            words.append(f"{lead} {', '.join(quoted)}")
    called = f"{patient['name']}: " if patient.get("name") and words else ""
    return called + ", ".join(words)


def _named(row: Any) -> str:
    if not isinstance(row, Mapping):
        return str(row)
    parts = [row.get("name"), _figure(row["amount"]) if row.get("amount") is not None else None]
    return " ".join(str(part) for part in [*parts, row.get("unit"), row.get("route"), row.get("frequency")] if part)


def _pictures(page: _Page, facts: Facts, pictures: list[Picture], told: str) -> None:
    """What is known of pictures without looking at them, what that leaves out, and what a vet would ask about them."""
    asks: list[str] = []
    for picture in pictures:
        index = int(picture.facts.get("index") or 0)
        kind = str(picture.facts.get("kind") or "picture")
        notes = " ".join(_sentence(str(note)) for note in _list(picture.facts, "notes"))
        size = f"{picture.width} x {picture.height} pixels"
        about = f"Picture {index + 1}: {_article(kind)} {_spaced(kind)} of {size}. {notes}".rstrip()
        if kind == "lab_sheet":
            page.say(f"{about} I read its table above and looked at nothing else on it.")
            continue
        page.say(
            f"{about} I can't look at pictures: nothing here is a finding from it, and nothing on it is ruled out."
        )
        asks += _picture_asks(facts, kind, told)
    page.list(f"What a vet would ask about {'these pictures' if len(pictures) > 1 else 'this picture'}", asks)


def _article(word: str) -> str:
    return "an" if word[:1] in "aeiou" else "a"


def _picture_asks(facts: Facts, kind: str, told: str) -> list[str]:
    """Questions by what the words and signs are about; those of any lesion where nothing tells."""
    if kind not in ("photo", "picture", "document"):
        return list(_ASKS_IMAGING)
    told = f"{told} {' '.join(facts.signs)}".lower()
    return [*next((asks for words, asks in _ASKS_ABOUT if any(word in told for word in words)), _ASKS_LESION)]


def _happened(answer: Json) -> bool:
    """Whether the animal met it, or somebody only asks what would be if."""
    return answer.get("status") != "asked"


def _whose(facts: Facts, row: Json) -> str:
    """Which animal a row is about, where there are several."""
    place = row.get("patient")
    if not isinstance(place, int) or not 0 <= place < len(facts.patients) or len(facts.patients) < 2:
        return ""
    patient = facts.patients[place]
    return f"{patient.get('name') or patient.get('species') or f'animal {place + 1}'}: "


def _agents(answer: Json) -> list[Json]:
    """The rows of an exposure's answer, one an agent."""
    return _rows(answer, "agents") or [answer]


def _exposure(page: _Page, facts: Facts, answer: Json, owner: bool) -> None:
    if answer.get("covered") is False:
        names = [str(row.get("text")) for row in _rows(answer, "not_checked") if row.get("text")]
        near = [str(name) for name in _list(answer, "nearest")]
        page.say(
            f"About {', '.join(names) or 'what it met'} I have no record, so I claim nothing about its danger."
            + (f" The nearest names I know: {', '.join(near)}." if near else "")
        )
        return
    for row in _agents(answer):
        sums = _arithmetic(page, row) if _is_weighed(facts, answer) or not row.get("dose") else [_UNWEIGHED]
        lines = [_whose(facts, answer) + _heading(row), *sums]
        if not _happened(answer) and _list(row, "actions"):
            lines.insert(0, "You ask what would be if; nothing says that it happened. If it does:")
            lines += [f"Then: {' '.join(_sentence(_capital(str(one))) for one in _list(row, 'actions'))}"]
        if row.get("no_safe_amount"):
            lines.append(
                "No amount of it is known to be safe for this animal: the amount does not predict the outcome."
            )
        lines += _at_this_amount(page, row) if owner else _thresholds(page, row)
        lines += _emesis(page, _dict(row, "emesis"), owner)
        if not owner and (antidotes := _list(row, "antidotes")):
            lines.append(f"Antidote and treatment on record: {'; '.join(map(str, antidotes))}.")
        if not (owner and _happened(answer)):
            lines += _enough(row, owner)
        if effects := _once(_list(row, "effects")):
            onset = _dict(row, "onset_h")
            when = f", from {_span(onset)} h after" if onset.get("min") is not None else ""
            lines.append(f"Watch for{when}: {', '.join(effects)}.{page.cite(onset.get('sources'))}")
        if assumed := _list(row, "assumptions"):
            lines.append(f"Assumed: {'; '.join(_spaced(text) for text in assumed)}.")
        page.say("\n".join(lines))


def _weighed(facts: Facts) -> list[Json]:
    """What the signs may be, in words."""
    return [weighed.answer() for weighed in facts.differentials]


def _differentials(page: _Page, answer: Json) -> None:
    """Conditions that fit, in clinicians' words: what must not be missed first."""
    rows = _rows(answer, "differentials")
    lines = []
    for row in rows[:DIFFERENTIALS_MAX]:
        urgency = str(row.get("urgency") or "")
        marks = [urgency.upper()] if urgency in ("emergency", "urgent") else []
        marks += ["must not be missed"] if row.get("cant_miss") else []
        against = ", ".join(str(part["text"]) for part in _rows(row, "against"))
        said = [
            f"for: {', '.join(str(part['text']) for part in _rows(row, 'for'))}",
            f"against: {against or 'nothing named'}",
            f"first tests: {', '.join(map(str, _list(row, 'next_tests')))}",
        ]
        mark = f" ({', '.join(marks)})" if marks else ""
        lines.append(f"{row.get('condition')}{mark}: {'; '.join(said)}.{page.cite(row.get('sources'))}")
    page.list("Differentials on record, those that must not be missed first (an order, not a chance)", lines)
    more = [str(row.get("condition")) for row in rows[DIFFERENTIALS_MAX:]]
    more += [name for name in map(str, _list(_dict(answer, "left_out"), "cant_miss")) if name not in more]
    if more:
        page.say(f"Further down, or explaining less but not to be missed: {', '.join(more)}.")
    ruled_out = [f"{row.get('condition')} ({row.get('why')})" for row in _rows(answer, "ruled_out")]
    if ruled_out:
        page.say(f"Ruled out by the animal: {', '.join(ruled_out)}.")
    serving = [
        f"{row.get('test')} (for {len(_list(row, 'for'))} of {len(rows)})"
        for row in _rows(answer, "next_tests")
        if len(_list(row, "for")) > 1
    ]
    if serving:
        page.say(f"Tests that serve most of the list: {', '.join(serving[:_SERVING_MAX])}.")
    splitting = [
        f"{row.get('direction') or ''} {row.get('finding')}".strip().replace("-", " ")
        for row in _rows(answer, "ask_next")
        if row.get("kind") != "exposure"
    ]
    if splitting:
        page.say(f"What would sort the list best, present or absent: {', '.join(splitting[:_SPLITTING_MAX])}.")


def _differentials_for_owners(page: _Page, facts: Facts, answer: Json) -> None:
    """The same in plain words and shorter; nothing where the animal has to go now anyway."""
    if _unwell(facts):
        return
    rows = _rows(answer, "differentials")
    present = [row for row in _rows(answer, "findings") if row.get("direction") not in ("absent", "normal")]
    if len(rows) > _DIFFUSE or (len(present) < 2 and len(rows) > _OWNER_SINGLE_MAX):
        page.say(f"These signs alone fit many illnesses ({len(rows)} that I know of). The more you tell, the fewer.")
        return
    grave = [row for row in rows if row.get("cant_miss")]
    others = [row for row in rows if not row.get("cant_miss")]
    first = grave[: max(_OWNER_GRAVE_MAX, OWNER_DIFFERENTIALS_MAX - len(others))]
    shown = [*first, *others][:OWNER_DIFFERENTIALS_MAX]
    lines = [
        f"{row.get('plain') or row.get('condition')}{': has to be ruled out first' if row.get('cant_miss') else ''}"
        for row in shown
    ]
    page.list("What a vet will think of with these signs; only a vet can tell which it is", dict.fromkeys(lines))
    tests = [str(test) for row in shown for test in _list(row, "next_tests")]
    named = [name for name, words in _OWNER_TESTS.items() if any(words.search(test) for test in tests)]
    if named:
        page.say(f"To find out, a vet examines the animal and usually does {_and(named)}.")


def _and(words: list[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _enough(row: Json, owner: bool) -> list[str]:
    """How much of it reaches which threshold, where nobody said how much it was."""
    by_product: dict[str, list[str]] = {}
    for part in _rows(row, "amounts"):
        value, unit = _number(_dict(part, "amount"), "value"), _unit(_dict(part, "amount").get("unit"))
        if value is None:
            continue
        said = f"{_figure(value)} {('piece' if value == 1 else 'pieces') if unit == 'unit' else unit}"
        by_product.setdefault(str(part.get("product")), []).append(
            said if owner else f"{said} {_spaced(part.get('band'))}"
        )
    if not by_product:
        return []
    if owner:
        least = ", ".join(f"{amounts[0]} of {product}" for product, amounts in by_product.items())
        return [f"Harm is on record for this weight from {least}. Less than that is not known to be safe."]
    lines = (f"{product} {', '.join(amounts)}" for product, amounts in by_product.items())
    return [f"At this weight the thresholds are reached by: {'; '.join(lines)}."]


def _is_weighed(facts: Facts, answer: Json) -> bool:
    """Whether the weight of the animal that met it is known; else the answer took the lightest of its kind."""
    place = answer.get("patient")
    if not isinstance(place, int) or not 0 <= place < len(facts.patients):
        place = 0
    return not facts.patients or facts.patients[place].get("weight_kg") is not None


def _once(effects: list[Any]) -> list[str]:
    """Effects without those that an earlier one already names."""
    said: list[str] = []
    for effect in (_ASIDE.sub("", str(effect)).partition(";")[0] for effect in effects):
        if (
            not _REMARK.match(effect)
            and not _TECHNICAL.search(effect)
            and not any(effect in earlier for earlier in said)
        ):
            said.append(effect)
    return said


def _heading(row: Json) -> str:
    substance = str(row.get("title") or row.get("substance") or row.get("agent") or "the substance")
    severity = f": {_spaced(row['severity'])}" if row.get("severity") else ""
    return f"{_capital(substance)}{severity}."


def _arithmetic(page: _Page, row: Json) -> list[str]:
    """The sum, step by step, as far as the answer shows its parts."""
    calculation = _dict(row, "calculation")
    inputs = _dict(calculation, "inputs")
    weight_kg = _number(inputs, "weight_kg")
    dose = _dict(row, "dose")
    value = _number(dose, "value")
    cited = page.cite(calculation.get("sources") or row.get("sources"))
    if value is None:
        return [f"The dose can't be worked out yet.{cited}"] if row.get("severity") else []
    parts = _rows(inputs, "exposures") or _rows(row, "exposures")
    steps = [step for step in map(_step, parts) if step]
    unit = _unit(dose.get("unit"))
    for name, top in (("agent_mg", "mg/kg"), ("mass_g", "g/kg")):
        figures = [_number(part, name) for part in parts]
        numbers = [figure for figure in figures if figure is not None]
        total = sum(numbers)
        if (
            unit == top
            and numbers
            and len(numbers) == len(figures)
            and weight_kg is not None
            and weight_kg > 0
            and abs(total / weight_kg - value) <= abs(value) * 0.01
        ):
            steps.append(f"{_figure(total)} {top[:-3]} / {_figure(weight_kg)} kg = {_figure(value)} {unit}")
            break
    else:
        if weight_kg is not None:
            steps.append(f"at {_figure(weight_kg)} kg: {_figure(value)} {unit}")
    formula = f" (formula: {calculation['formula']})" if calculation.get("formula") else ""
    agent = f" of {row['agent']}" if row.get("agent") else ""
    return [f"Dose{agent}: {_figure(value)} {unit}. {'; '.join(steps)}{formula}.{cited}"]


def _step(part: Json) -> str:
    amount, content = _dict(part, "amount"), _dict(part, "content")
    what = str(part.get("product") or part.get("substance") or part.get("toxin") or "it")
    if amount.get("value") is None:
        return f"{what}: amount not known"
    step = f"{_figure(amount['value'])} {_counted(amount)} of {what}"
    if content.get("value") is not None:
        step += f" x {_figure(content['value'])} {_unit(content.get('unit'))}"
    if part.get("agent_mg") is not None:
        step += f" = {_figure(part['agent_mg'])} mg"
    elif part.get("mass_g") is not None and _unit(amount.get("unit")) != "g":
        step += f" = {_figure(part['mass_g'])} g"
    return step


def _thresholds(page: _Page, row: Json) -> list[str]:
    said = []
    for bound in _rows(row, "thresholds"):
        value = f"{_figure(bound['value'])} {_unit(bound.get('unit'))} " if bound.get("value") is not None else ""
        band = _spaced(bound.get("band") or bound.get("severity") or "")
        reached = "" if bound.get("reached") is None else ", reached" if bound["reached"] else ", not reached"
        effect = f" ({bound['effect']})" if bound.get("effect") else ""
        said.append(f"{value}{band}{effect}{reached}{page.cite(bound.get('sources'))}")
    return [f"Thresholds on record: {'; '.join(said)}."] if said else []


def _at_this_amount(page: _Page, row: Json) -> list[str]:
    """For an owner: the gravest thing on record for the amount, without the ladder of figures."""
    reached = [bound for bound in _rows(row, "thresholds") if bound.get("reached") and bound.get("effect")]
    with_figure = [bound for bound in reached if bound.get("value") is not None]
    if not reached:
        return []
    worst = (with_figure or reached)[-1]
    effect = _ASIDE.sub("", str(worst["effect"])).partition(";")[0]
    start = f"from {_figure(worst['value'])} {_unit(worst.get('unit'))} " if worst.get("value") is not None else ""
    return [
        f"What is on record {start or 'at any amount'}: {effect}.{page.cite(worst.get('sources'))}".replace(" :", ":")
    ]


def _emesis(page: _Page, row: Json, owner: bool) -> list[str]:
    advised, why = row.get("advised"), _sentence(str(row.get("why") or ""))
    if advised is None:
        return []
    if owner and advised == "yes":
        return ["Whether to make it vomit is for a vet to decide; do not try it at home."]
    cited = page.cite(row.get("sources"))
    if owner:
        return [f"Do not make it vomit. {why}{cited}"]
    window = f" Window on record: {_figure(row['window_h'])} h." if row.get("window_h") is not None else ""
    said = {"yes": "advised", "no": "not advised", "contraindicated": "CONTRAINDICATED"}.get(str(advised), str(advised))
    return [f"Emesis: {said}. {why}{window}{cited}"]


def _warnings(facts: Facts) -> list[Json]:
    """What was found of drugs: by `check`, and beside the doses."""
    rows = list(facts.findings)
    known = {(str(row.get("rule")), str(row.get("text"))) for row in rows}
    beside = [row for answer in facts.doses for row in _rows(answer, "warnings")]
    pairs = {(frozenset(map(str, _list(row, "drugs"))), str(row.get("severity"))) for row in rows}
    for row in beside:
        drugs = frozenset(map(str, _list(row, "drugs")))
        mirrored = len(drugs) > 1 and (drugs, str(row.get("severity"))) in pairs
        if (str(row.get("rule")), str(row.get("text"))) not in known and not mirrored:
            rows.append(row)
    return rows


def _is_about_range(row: Json) -> bool:
    """A note on a figure below the range says nothing to an owner, who gets no figures."""
    return row.get("severity") == "info" and str(row.get("rule")).startswith("dose-")


def _for_owners(row: Json) -> str:
    """What a finding on a dose says to an owner, who gets no figures."""
    rule = str(row.get("rule"))
    if rule == "dose-tenfold":
        return (
            "The amount you name is ten times what is on record for this animal, or more: do not give it. If it was "
            "given, call a vet or an animal poison line now."
        )
    if rule.startswith("daily-dose"):
        return "That is more in a day than is on record for this animal: ask your vet before you give the next one."
    if rule.startswith("dose-above"):
        return (
            "The amount you name is more than is on record for this animal: do not give it. If it was given, call your "
            "vet or an animal poison line."
        )
    if rule == "dose-tenth":
        return "The amount you name is far from what is on record for this animal: ask your vet which it is."
    return str(row["text"])


def _findings(page: _Page, facts: Facts, owner: bool) -> None:
    rows = [row for row in _warnings(facts) if row.get("text") and not (owner and _is_about_range(row))]
    rows.sort(key=lambda row: _SEVERITY.get(str(row.get("severity")), 2))
    lines = []
    for row in rows:
        label = _LABEL.get(str(row.get("severity")), "Note")
        if row.get("severity") == "absolute" and row.get("action") == "limit":
            label = "Only within its limit"
        drugs = f" ({', '.join(map(str, _list(row, 'drugs')))})" if row.get("drugs") else ""
        instead = _list(row, "alternatives")
        ask = "Ask a vet about" if owner else "Instead"
        alternatives = f" {ask}: {', '.join(map(str, instead))}." if instead else ""
        mechanism = "" if owner or not row.get("mechanism") else f" {_sentence(str(row['mechanism']))}"
        unless = f" Except: {_sentence(str(row['except']))}" if row.get("except") else ""
        assumed = _list(row, "assumed")
        taken = f" Assumed: {'; '.join(map(str, assumed))}." if assumed else ""
        cited = page.cite(row.get("sources") or row.get("source"))
        text = _for_owners(row) if owner else str(row["text"])
        said = f"{_sentence(text)}{mechanism}{unless}{alternatives}{taken}"
        lines.append(f"{_whose(facts, row)}{label}{drugs}: {said}{cited}")
    page.list("Findings, the gravest first", lines)


def _doses(page: _Page, facts: Facts, owner: bool) -> None:
    group = owner and any(row.get("field") == "drug" for row in facts.needs)
    if not facts.doses and not group:
        return
    if owner:
        drugs = ", ".join(dict.fromkeys(str(row["drug"]) for row in facts.doses if row.get("drug")))
        page.say(
            f"I give no doses of medicines{f' ({drugs})' if drugs else ''} to owners: your vet sets them after seeing "
            "the animal. Give nothing from your own cupboard in the meantime."
        )
        return
    for answer in facts.doses:
        drug = str(answer.get("drug") or "the drug")
        rows = _rows(answer, "doses")
        weight_kg = _dict(_dict(answer, "calculation"), "inputs").get("weight_kg")
        if rows:
            at = f" at {_figure(weight_kg)} kg" if weight_kg is not None else ", per kg until the weight is known"
            page.list(
                f"{_whose(facts, answer)}Doses of {drug} on record{at}",
                [_dose(page, row, weight_kg) for row in rows[:DOSES_MAX]],
            )
            if len(rows) > DOSES_MAX:
                page.say(f"{len(rows) - DOSES_MAX} more are at /v1/clinic/dose.")
        else:
            page.say(_whose(facts, answer) + _no_dose(answer, drug))
        if answer.get("narrow"):
            page.say(_sentence(str(answer["narrow"])))


def _no_dose(answer: Json, drug: str) -> str:
    near = [str(name) for name in _list(answer, "nearest")]
    species = [str(name) for name in _list(answer, "recorded_species")]
    if any(row.get("why") == "unknown_species" for row in _rows(answer, "not_checked")):
        return f"No dose of {drug}: no animal of this kind is on record."
    if near:
        return f"No dose: I don't know {drug if answer.get('drug') else 'this name'}. Nearest names: {', '.join(near)}."
    if answer.get("covered"):
        return f"No dose of {drug} that I may show fits this animal; see the findings."
    on_record = f" On record for: {_some(species)}." if species else ""
    return f"No dose of {drug} is on record for this animal.{on_record}"


def _some(names: list[str]) -> str:
    """A list of names, cut where nobody would read on."""
    more = f" and {len(names) - _NAMED_MAX} more kinds of animals" if len(names) > _NAMED_MAX else ""
    return ", ".join(names[:_NAMED_MAX]) + more


def _dose(page: _Page, row: Json, weight_kg: Any) -> str:
    per = next((_dict(row, name) for name in ("per_kg", "per_m2") if row.get(name)), {})
    each, amount = _dict(row, "per_administration"), _dict(row, "amount")
    sum_up = []
    if per:
        of_a_day = " a day" if row.get("per") == "day" else ""
        sum_up.append(f"{_span(per)} {_unit(per.get('unit'))}{of_a_day}")
    if amount:
        times = f" x {_figure(weight_kg)} kg" if row.get("per_kg") and weight_kg is not None else ""
        limit = f" (held at {row['capped']})" if row.get("capped") else ""
        equals = f"{times} = " if per else ""
        sum_up.append(f"{equals}{_amount(amount)}{limit}")
        if each and each != amount:
            sum_up.append(f", each time {_amount(each)}")
    text = "".join(sum_up) or "see the record"
    volume = _dict(row, "volume")
    if volume.get("min") is not None and not str(amount.get("unit")).startswith("mL"):
        strength = _dict(volume, "strength")
        of = f" of {_figure(strength['value'])} {_unit(strength.get('unit'))}" if strength.get("value") else ""
        note = f" ({volume['note']})" if volume.get("note") else ""
        text += f" = {_span(volume)} {_unit(volume.get('unit'))}{of}{note}"
    tablets = [
        f"{_figure(tablet.get('count'))} x {_figure(tablet.get('strength_mg'))} mg"
        + ("" if tablet.get("in_range", True) else f" ({_figure(tablet.get('amount_mg'))} mg, less than the figure)")
        for tablet in sorted(_rows(row, "tablets"), key=_handiest)[:3]
    ]
    if tablets:
        text += f"; tablets: {' or '.join(tablets)}"
    details = [str(row.get("frequency") or "")]
    for name, lead in (("max_single", "at most"), ("max_daily", "a day at most")):
        bound = _dict(row, name)
        if bound.get("value") is not None:
            details.append(f"{lead} {_figure(bound['value'])} {_unit(bound.get('unit'))}")
    if row.get("duration_days") is not None:
        details.append(f"up to {_figure(row['duration_days'])} days")
    status = _spaced(row.get("status") or "")
    country = f", {row['jurisdiction']}" if row.get("jurisdiction") else ""
    elsewhere = ", not labelled here" if row.get("labelled_here") is False else ""
    details.append(f"{status}{country}{elsewhere}")
    not_advised = "" if row.get("advised", True) else "NOT ADVISED, see the findings: "
    use = ", ".join(str(part) for part in (row.get("indication"), row.get("life_stage"), row.get("route")) if part)
    notes = f" {_sentence(str(row['notes']))}" if row.get("notes") else ""
    said = f"{not_advised}{use}: {text}; {', '.join(part for part in details if part)}."
    return said + notes + _withdrawal(row) + page.cite(row.get("sources"))


def _handiest(tablet: Json) -> tuple[bool, float, float]:
    """Tablets in the range first, the fewest of them first; among those below it the fullest dose."""
    fits = bool(tablet.get("in_range", True))
    count, amount = _number(tablet, "count") or 0, _number(tablet, "amount_mg") or 0
    return not fits, float(count) if fits else -float(amount), abs(float(count) - 1)


def _withdrawal(row: Json) -> str:
    periods = row.get("withdrawal")
    if not isinstance(periods, Mapping):
        return ""
    names = (("meat_d", "meat", "days"), ("milk_h", "milk", "hours"), ("eggs_d", "eggs", "days"))
    known = [f"{what} {_figure(periods[name])} {unit}" for name, what, unit in names if periods.get(name) is not None]
    why = str(periods.get("why") or "")
    return f" Withdrawal: {', '.join(known) or 'none can be stated'}{f' ({why})' if why else ''}."


def _calculations(page: _Page, facts: Facts) -> None:
    shown = [_dict(answer, "calculation") for answer in (*facts.exposures, *facts.doses)]
    lines = []
    for row in facts.calculations:
        result = row.get("result")
        if row.get("calculator"):
            lines += [_calculated(page, facts, row), *map(_arrest_drug, _rows(row, "rows"))]
            continue
        if row in shown or row.get("name") in ("dose", "exposure") or not isinstance(result, Mapping):
            continue
        inputs = _dict(row, "inputs")
        if row.get("name") == "your figure":
            volume = f" = {_figure(result['volume_ml'])} mL of {inputs['strength']}" if "volume_ml" in result else ""
            if "tablets" in result:
                volume = f" = {_figure(result['tablets'])} of a {inputs['strength']} tablet or capsule"
            amount = _amount({"min": result.get("value"), "max": result.get("value"), "unit": result.get("unit")})
            if result.get("per_kg") is not None:
                each = f"{_figure(result['per_kg'])} {_unit(result.get('unit'))}/kg"
                lines.append(
                    f"{inputs.get('drug')}, by your own figure: {inputs.get('dose')} = {amount}; "
                    f"at {_figure(inputs.get('weight_kg'))} kg that is {each}"
                )
                continue
            lines.append(
                f"{inputs.get('drug')}, by your own figure: {inputs.get('dose')} x "
                f"{_figure(inputs.get('weight_kg'))} kg = {amount}{volume} (formula: {row.get('formula')}); "
                "that it is right rests on you, not on a record"
            )
            continue
        if row.get("steps"):
            steps = "; ".join(map(str, _list(row, "steps")))
            notes = "" if facts.patterns else " ".join(_sentence(str(note)) for note in _list(row, "notes"))
            lines.append(
                f"{_spaced(row.get('name') or 'result')}: {steps}. {notes}".strip() + page.cite(row.get("sources"))
            )
            continue
        given = ", ".join(
            f"{_spaced(name)} {_figure(value)}"
            for name, value in inputs.items()
            if isinstance(value, int | float | str)
        )
        value = _amount({"min": result.get("value"), "max": result.get("value"), "unit": result.get("unit")}).strip()
        formula = f" = {row['formula']}" if row.get("formula") else ""
        lines.append(
            f"{_spaced(row.get('name') or 'result')}{formula} = {value} ({given}){page.cite(row.get('sources'))}"
        )
    page.list("Computed", lines)


def _calculated(page: _Page, facts: Facts, row: Json) -> str:
    """A calculator that was asked for: its result, then how it came."""
    result = _dict(row, "result")
    value = f" = {_figure(result['value'])} {_unit(result.get('unit'))}".rstrip() if result else ""
    value = value.removesuffix(" ratio")
    label = f" ({result['label']})" if result.get("label") else ""
    rows = _rows(row, "rows")
    steps = "; ".join(str(step) for step in _list(row, "steps") if not (rows and " volume = " in str(step)))
    said = [f"Formula: {row.get('formula')}.", f"{steps}." if steps else ""]
    said += [_sentence(str(note)) for note in _list(row, "notes")]
    cited = page.cite(row.get("sources"))
    return f"{_whose(facts, row)}{row.get('name')}{value}{label}. {' '.join(filter(None, said))}{cited}"


def _arrest_drug(row: Json) -> str:
    """`epinephrine, IV: 0.01 mg/kg = 0.2 mg = 0.2 mL of 1 mg/mL, every 3 to 5 minutes`."""
    per_kg, amount = _dict(row, "per_kg"), _dict(row, "amount")
    text = f"{row.get('drug')}, {row.get('route')}: {_span(per_kg)} {_unit(per_kg.get('unit'))}"
    if amount:
        text += f" = {_amount(amount)}"
    for form in _rows(row, "volumes")[:2]:
        strength, volume = _dict(form, "strength"), _dict(form, "volume")
        of = f"{_figure(strength.get('value'))} {_unit(strength.get('unit'))}"
        text += f" = {_figure(volume.get('value'))} mL of {of}"
    return f"{text}, {row.get('frequency')}"


def _rules(page: _Page, facts: Facts) -> None:
    """Standing rules of the animal, where a drug is spoken of that could not be checked itself."""
    unknown = [*facts.not_checked, *(row for one in facts.doses for row in _rows(one, "not_checked"))]
    if all(row.get("why") not in _UNKNOWN for row in unknown) or _unwell(facts):
        return
    found = {str(row.get("rule")) for row in facts.findings}
    found |= {str(row.get("rule")) for answer in facts.doses for row in _rows(answer, "warnings")}
    mirrored = {frozenset(rule.split("-")) for rule in found}
    others = any(row.get("why") == "unknown_species" for row in facts.not_checked) and not facts.findings
    rules = [
        rule
        for rule in facts.rules
        if not (others and _COVERED.search(rule.text))
        and rule.severity in ("absolute", "high")
        and frozenset(rule.id.split("-")) not in mirrored
    ]
    lines = [f"{_sentence(rule.text)}{page.cite(rule.source)}" for rule in rules[:RULES_MAX]]
    if len(rules) > RULES_MAX:
        lines.append(f"More rules hold for this animal ({len(rules) - RULES_MAX}); vetx.safety.rules lists them.")
    page.list("Mind for this animal", lines)


def _not_checked(page: _Page, facts: Facts) -> None:
    rows = [*facts.not_checked]
    if facts.audience == "owner":
        rows = [row for row in rows if not str(row.get("why")).startswith("missing_")]
    rows += [row for answer in (*facts.exposures, *facts.doses) for row in _rows(answer, "not_checked")]
    lines = []
    missing: dict[str, dict[str, None]] = {}
    for row in rows:
        why = str(row.get("why") or "")
        if why.startswith("missing_") and why not in _WHY and (row.get("drug") or row.get("text")):
            missing.setdefault(str(row.get("drug") or row["text"]), {})[_spaced(why[8:])] = None
            continue
        near = [str(name) for name in _list(row, "nearest")]
        nearest = f"; nearest: {', '.join(near)}" if near else ""
        if row.get("text"):
            lines.append(f"{row['text']}: {_WHY.get(why) or _spaced(why)}{nearest}")
    lines += [f"{name}: what depends on {', '.join(facts)}, not being told" for name, facts in missing.items()]
    page.list("Not checked, so nothing above clears it", lines)


_NOT_NOW: Final = ("pregnant", "lactating", "pregnancy", "lactation", "jurisdiction", "age", "breed")


def _unwell(facts: Facts) -> bool:
    """Whether the animal must go to a vet at once, so that questions about the small print can wait."""
    return facts.audience == "owner" and facts.triage is not None and facts.triage.level == "emergency"


def _asks(page: _Page, facts: Facts) -> None:
    rows = [*facts.needs]
    rows += [row for answer in (*facts.exposures, *facts.doses) for row in _rows(answer, "needs")]
    asks: dict[str, str] = {}
    for row in rows:
        if facts.audience == "owner" and row.get("field") in ("drug", "jurisdiction"):
            continue
        if row.get("field") in _NOT_NOW and (_unwell(facts) or (facts.audience == "owner" and not facts.findings)):
            continue
        if row.get("ask") and not (facts.audience == "owner" and row.get("field") == "strength"):
            asks.setdefault(str(row["ask"]), f"{row['ask']} ({row['why']})" if row.get("why") else str(row["ask"]))
    splitting = [
        str(row.get("ask")).removeprefix("Has it this: ").rstrip("?")
        for answer in _weighed(facts)
        for row in _rows(answer, "ask_next")
        if row.get("kind") == "sign"
    ]
    if splitting and facts.audience == "owner" and not _unwell(facts):
        asks[f"Is there any of this as well: {', '.join(splitting[:_SPLITTING_MAX])}?"] = ""
        asks = {question: said or question for question, said in asks.items()}
    weighed = bool(facts.patients) and all(patient.get("weight_kg") is not None for patient in facts.patients)
    for question in facts.triage.ask_next if facts.triage else ():
        if not (weighed and "weight" in question.lower()):
            asks.setdefault(question, question)
    page.list("Tell me, and I can be more exact", list(asks.values())[:ASKS_MAX])


# Reading JSON that somebody else made.


def _dict(row: Mapping[str, Any], name: str) -> Json:
    value = row.get(name)
    return dict(value) if isinstance(value, Mapping) else {}


def _list(row: Mapping[str, Any], name: str) -> list[Any]:
    value = row.get(name)
    return list(value) if isinstance(value, list | tuple) else []


def _rows(row: Mapping[str, Any], name: str) -> list[Json]:
    return [dict(part) for part in _list(row, name) if isinstance(part, Mapping)]


def _figure(value: Any) -> str:
    """A number as a person writes it: four significant digits, no trailing zeros, no exponent."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if value == int(value):
        return str(int(value))
    places = max(0, 3 - math.floor(math.log10(abs(value))))
    return f"{value:.{places}f}".rstrip("0").rstrip(".")


def _number(row: Mapping[str, Any], name: str) -> int | float | None:
    value = row.get(name)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _span(row: Mapping[str, Any]) -> str:
    low, high = row.get("min"), row.get("max")
    return _figure(low) if low == high or high is None else f"{_figure(low)} to {_figure(high)}"


def _amount(row: Mapping[str, Any]) -> str:
    """From and to with their unit; a thousand micrograms are milligrams, a thousandth of a milligram micrograms."""
    low, high, unit = row.get("min"), row.get("max"), str(row.get("unit") or "")
    top, _, per = unit.partition("/")
    if isinstance(low, int | float) and isinstance(high, int | float) and top in ("ug", "mg"):
        if top == "ug" and low >= 1000:
            low, high, top = low / 1000, high / 1000, "mg"
        elif top == "mg" and 0 < high < 0.1:
            low, high, top = low * 1000, high * 1000, "ug"
    return f"{_span({'min': low, 'max': high})} {_unit(f'{top}/{per}' if per else top)}"


def _unit(unit: Any) -> str:
    said = str(unit or "").replace("[IU]", "IU").replace("[", "").replace("]", "").replace("ug", "mcg")
    return said.replace("10*", "10^")


def _counted(amount: Json) -> str:
    """The unit of an amount, in the plural where it is one of pieces: `3 pieces`."""
    unit = _unit(amount.get("unit"))
    return f"{unit}s" if unit in _PIECES and amount["value"] != 1 else unit


def _spaced(words: Any) -> str:
    return (
        str(words)
        .replace("life_threatening", "life-threatening")
        .replace("extra_label", "extra-label")
        .replace("_", " ")
    )


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _sentence(text: str) -> str:
    text = text.strip()
    return text if not text or text[-1] in ".!?\u3002\uff01\uff1f" else f"{text}."
