"""Rules that go into the prompt, the words of that prompt, and the guard that reads what a model writes.

The guard holds back only what it must judge: from the first drug, poison or dose of a sentence to that sentence's
end. Everything else passes at once, byte for byte.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, NamedTuple

from app.base.errors import BadData
from app.base.messages import Facts, Intervention, Rule
from app.clinic import dosing, rules, units
from app.clinic.check import PerKg, within_limit
from app.clinic.lexicon import (
    COMMON_BREED_WORDS,
    SAME,
    TOKEN,
    Lexicon,
    Node,
    Term,
    folded,
    lexicon,
    meant,
    misspelt,
    plain,
    scan,
    tokens,
    vocabulary,
)
from app.clinic.patient import Patient, PatientShape, normalise
from app.clinic.reading import Medication, doses_in, read
from app.clinic.records import Drug, Records, RuleRecord, Source, Threshold, Toxin
from app.clinic.triage import stated
from app.clinic.written import read_line

Json = dict[str, Any]

# -- rules and prompt --

RULES_MAX = 24
_NAMED_MAX = 4
_FITTING_MAX = 8
NEEDS_MAX = 6
PROMPT_FILES = ("vetx", "vision", "owner", "clinician")
_RANKS = rules.RANKS


def as_rule(record: RuleRecord, audience: str) -> Rule:
    """A record's rule, as it travels with a request."""
    text = record.owner_text if audience == "owner" else record.text
    return Rule(record.id, record.severity, text, record.sources[0].json)


def rules_for(
    patients: Sequence[Patient],
    drugs: Sequence[str],
    records: Records,
    jurisdiction: str | None,
    audience: str,
    findings: Sequence[Mapping[str, Any]] = (),
) -> tuple[Rule, ...]:
    """The rules this conversation needs, gravest first: on the drugs in play, then absolute ones of these animals.

    Args:
        drugs: generics that the conversation or the patients' lists name.
        findings: of `check`; their rules come first.
    """
    if not drugs and not findings:
        return _standing_rules(tuple(dict.fromkeys(one.species_name or "" for one in patients)), records, audience)
    wanted: dict[str, RuleRecord] = {}
    by_id = _index(records).by_id
    named = [by_id[str(row["rule"])] for row in findings if row.get("rule") in by_id]
    in_play = [records.drugs[name] for name in dict.fromkeys(drugs) if name in records.drugs]
    about = [record for drug in in_play for record in rules.of_drug(drug, records) if _concerns(record, patients)
             and (record.severity == "absolute" or (record.severity == "high" and _only_species(record)))]  # fmt: skip
    for record in (*named, *sorted(about, key=lambda one: _RANKS[one.severity])):
        law = record.trigger.jurisdiction
        if not law or jurisdiction is None or jurisdiction in law:
            wanted.setdefault(record.id, record)
    for one in patients:
        for record in _index(records).standing.get(one.species_name or "", ()):
            wanted.setdefault(record.id, record)
    return tuple(_whose_rule(record, patients, audience) for record in list(wanted.values())[:RULES_MAX])


def _whose_rule(record: RuleRecord, patients: Sequence[Patient], audience: str) -> Rule:
    """A rule; one of certain species says of which, where none of these animals is known to be of them."""
    rule, species = as_rule(record, audience), record.trigger.species
    if not species or "any" in species or any(one.species_name in species for one in patients):
        return rule
    more = f" and {len(species) - _NAMED_MAX} more kinds" if len(species) > _NAMED_MAX else ""
    return replace(rule, text=f"If it is {' or '.join(species[:_NAMED_MAX])}{more}: {rule.text}")


def _concerns(record: RuleRecord, patients: Sequence[Patient]) -> bool:
    """Whether a rule can be about one of these animals; an unknown species rules nothing out."""
    species = record.trigger.species
    return (
        not species
        or "any" in species
        or any(one.species_name is None or one.species_name in species for one in patients)
    )


@dataclass(slots=True)
class _Index:
    """What is looked up often, per set of records."""

    by_id: dict[str, RuleRecord]
    standing: dict[str, tuple[RuleRecord, ...]]
    rendered: dict[tuple[tuple[str, ...], str], tuple[Rule, ...]]


_INDEXES: list[tuple[Records, _Index]] = []


def _index(records: Records) -> _Index:
    """The index of these records: rules by id, and per species the absolute ones that hold whatever else is known."""
    for known, index in _INDEXES:
        if known is records:
            return index
    alone = [record for record in records.rules if record.severity == "absolute" and _only_species(record)]
    standing = {name: tuple(record for record in alone if name in record.trigger.species) for name in records.species}
    made = _Index({record.id: record for record in records.rules}, standing, {})
    _INDEXES.append((records, made))
    del _INDEXES[:-4]
    return made


def _standing_rules(species: tuple[str, ...], records: Records, audience: str) -> tuple[Rule, ...]:
    """The rules of a conversation that names no drug."""
    index = _index(records)
    key = (species, audience)
    if key not in index.rendered:
        every = dict.fromkeys(record.id for name in species for record in index.standing.get(name, ()))
        index.rendered[key] = tuple(as_rule(index.by_id[name], audience) for name in list(every)[:RULES_MAX])
    return index.rendered[key]


def _only_species(record: RuleRecord) -> bool:
    trigger = record.trigger
    return not any(
        (trigger.breed, trigger.gene, trigger.condition, trigger.co_drug, trigger.co_class, trigger.production_class,
         trigger.jurisdiction, trigger.route, trigger.sex)
    ) and all(
        part is None
        for part in (trigger.age_months_max, trigger.age_months_min, trigger.pregnant, trigger.lactating,
                     trigger.food_producing, trigger.weight_kg_max, trigger.weight_kg_min)
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Prompts:
    """The fixed words of our system message, and the hash that names their version."""

    vetx: str
    vision: str
    owner: str
    clinician: str
    version: str


def load_prompts(root: Path) -> Prompts:
    """The prompts under `root/prompts`.

    Raises:
        BadData: one is missing or empty.
    """
    found: dict[str, str] = {}
    for name in PROMPT_FILES:
        file = root / "prompts" / f"{name}.md"
        if not file.is_file() or not (text := file.read_text(encoding="utf-8").strip()):
            raise BadData(f"prompts/{name}.md", "(file)", "is missing or empty")
        found[name] = text
    version = hashlib.sha256("\0".join(found[name] for name in PROMPT_FILES).encode()).hexdigest()[:12]
    return Prompts(**found, version=version)


def render_prompt(facts: Facts, prompts: Prompts, has_pictures: bool = False) -> str:
    """Our system message: fixed rules, the rules of these animals and drugs, then what was read and computed.

    The order keeps the longest unchanging part in front, so that an engine's prefix cache hits.
    """
    parts = [prompts.vetx, prompts.owner if facts.audience == "owner" else prompts.clinician]
    if has_pictures:
        parts.append(prompts.vision)
    if facts.language and facts.language != "en":
        parts.append(f"Answer in this language: {facts.language}.")
    if facts.jurisdiction:
        parts.append(f"Drug law and labels: {facts.jurisdiction}.")
    if facts.rules:
        parts.append(
            _section("Safety rules for this conversation", (f"[{one.severity}] {one.text}" for one in facts.rules))
        )
    parts += [section for section in _facts_sections(facts) if section]
    return "\n\n".join(parts)


def _section(title: str, lines: Iterable[str]) -> str:
    body = "\n".join(f"- {line}" for line in lines)
    return f"## {title}\n{body}" if body else ""


def _facts_sections(facts: Facts) -> Iterable[str]:
    if facts.triage is not None and facts.triage.level in ("emergency", "urgent"):
        yield _section(f"Triage: {facts.triage.level}. Say this first", [facts.triage.reason])
    yield _section("Patients, as read", (_patient_line(one) for one in facts.patients))
    yield _section(
        "Vital signs, against the species' range", (str(row["reason"] or row["text"]) for row in facts.vitals)
    )
    yield _section("Laboratory values, against the species' interval", (_value_line(row) for row in facts.analytes))
    yield _section("What the values say together", (f"{row['name']}: {row['why']}" for row in facts.patterns))
    fitting = [row for answer in facts.differentials for row in answer["differentials"][:_FITTING_MAX]]
    yield _section(
        "Conditions on record that fit the signs, those that must not be missed first; no diagnosis",
        (f"{row['condition']}: {'; '.join(str(part['text']) for part in row['for'])}" for row in fitting),
    )
    yield _section("Findings on the drugs named", (f"[{row['severity']}] {row['text']}" for row in facts.findings))
    yield _section("Exposures, computed", (_exposure_line(row) for row in facts.exposures))
    if facts.audience != "owner":
        yield _section("Doses, computed from records", (line for row in facts.doses for line in _dose_lines(row)))
    yield _section("Ask for", (str(row["ask"]) for row in facts.needs[:NEEDS_MAX]))
    unknown = [row for row in facts.not_checked if not str(row.get("why")).startswith("missing")]
    yield _section("Not checked", (f"{row.get('text')}: {row.get('why')}" for row in unknown))


def _patient_line(patient: Mapping[str, Any]) -> str:
    shown = ("species", "breed", "sex", "neutered", "age_months", "weight_kg", "pregnant", "lactating", "conditions",
             "medications", "allergies", "food_producing", "production_class")  # fmt: skip
    known = [f"{name}: {_said(patient[name])}" for name in shown if patient.get(name) not in (None, [], "")]
    return "; ".join(known) or "nothing is known of the animal"


def _said(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(str(one.get("name", one)) if isinstance(one, dict) else str(one) for one in value)
    return str(value)


_FLAGS = {"LL": "critically low", "L": "low", "N": "normal", "H": "high", "HH": "critically high"}


def _value_line(row: Mapping[str, Any]) -> str:
    """`glucose 45 mg/dL: critically low (68 to 104 mg/dL)`."""
    interval = row.get("interval")
    usual = f" ({interval['low']} to {interval['high']} {interval['unit']})" if interval else ""
    unit = f" {row['unit']}" if row.get("unit") else ""
    return f"{row['name']} {row['value']}{unit}: {_FLAGS.get(str(row['flag']), 'not judged')}{usual}"


def _exposure_line(row: Mapping[str, Any]) -> str:
    dose = row.get("dose") or {}
    amount = f"{dose['value']} {dose['unit']}" if dose.get("value") is not None else "amount not known"
    words = [f"{row.get('substance') or row.get('agent')}: {amount}, severity {row.get('severity')}"]
    emesis = row.get("emesis") or {}
    if emesis.get("advised"):
        words.append(f"making it vomit: {emesis['advised']}")
    words += [str(action) for action in (row.get("actions") or [])[:4]]
    return "; ".join(words)


def _dose_lines(answer: Mapping[str, Any]) -> Iterable[str]:
    for row in (answer.get("doses") or [])[:8]:
        per_kg, amount = row.get("per_kg") or {}, row.get("amount") or {}
        words = [
            str(row.get("drug") or answer.get("drug") or ""),
            str(row.get("route") or ""),
            str(row.get("indication")),
        ]
        if per_kg:
            words.append(f"{_range(per_kg)} {row.get('frequency') or ''}".strip())
        if amount:
            words.append(f"for this animal {_range(amount)}")
        yield ", ".join(word for word in words if word)


def _range(row: Mapping[str, Any]) -> str:
    low, high = row.get("min"), row.get("max")
    return f"{low} {row.get('unit')}" if low == high else f"{low} to {high} {row.get('unit')}"


# -- the guard --

HELD_BYTES_MAX = 4_000
_TOPIC_SENTENCES = 2
_CONTEXT_MAX = 1_500
_SLICE = 4_096
_CACHED_MAX = 8_192
_CACHED_CHARACTERS_MAX = 24
_LOOK_AHEAD = 6
_RUN = re.compile("[^0-9\u00bc\u00bd\u00be\u2153\u2154.!?\n\u3002\uff01\uff1f]+")
_FIGURE = re.compile("[0-9\u00bc\u00bd\u00be\u2153\u2154]")
_MARKS = frozenset('%#/.!?;:,()\n<>=\u2264\u2265~+"|\u3002\uff01\uff1f\uff0c\uff1b\u3001\u2026-')
_CACHED_WORDS_MAX = 50_000
_AFTER_FIGURE = frozenset(" \t\n\r\u00a0\u202f-\u2013\u2014.,/%()[]*_`~+|:\u00b5\u00d7")
"""What may stand between a figure and its unit; behind anything else no dose is written."""
_WORD_ON = re.compile("[a-z\u00df-\u00f6\u00f8-\u024f\u0370-\u03ff\u0400-\u04ff']*")
_END = re.compile("[.!?\n\u3002\uff01\uff1f]")
_LAST_WORD = re.compile(r"[\w.]+$")
_LIST_ITEM = re.compile(r"\s*(?:[-*+\u2022|]|\d{1,2}[.)]\s)")
_STOPS = frozenset((".", "!", "?"))
_AFTER_STOP = frozenset(" \t\n\r\"')]*_\u00a0")
_ABBREVIATIONS = frozenset(
    ("e.g", "i.e", "approx", "vs", "dr", "mr", "mrs", "ms", "st", "eg", "ie", "esp", "resp",
     "prof", "ca", "cf", "q.i.d", "b.i.d", "t.i.d", "s.i.d", "p.o", "i.v", "i.m", "s.c")
)  # fmt: skip
_DOSE_UNITS = vocabulary(
    "mg mgs mcg ug g gram grams milligram milligrams microgram micrograms gm ml mls cc milliliter milliliters "
    "millilitre millilitres tablet tablets tab tabs pill pills capsule capsules caplet caplets drops iu units u "
    "meq mmol teaspoon teaspoons tsp tablespoon tabletas tabletten comprimidos gramm gramos grammes"
)
_COUNTS = vocabulary("1 a an one two three four half quarter whole couple few another extra both each per single")
_MEASURES = vocabulary(
    "teaspoon teaspoons tablespoon tablespoons drop drops pipette pipettes pump pumps spray sprays spoonful capful "
    "squirt squirts ampoule ampoules vial vials syringe syringes dab"
)
_OFTEN = vocabulary("once twice daily every morning evening night bid tid qid sid times hours")
_BETWEEN = frozenset(("-", "\u2013", "\u2014", "to", "/", "\u00bd", "\u00bc", "\u00be", "x", "and", "or", "of", "a"))
_PIECES = vocabulary("tablet tablets tab tabs pill pills capsule capsules caplet caplets")

_NEGATORS = vocabulary(
    "never not no don't doesn't shouldn't mustn't can't isn't aren't won't wasn't didn't couldn't wouldn't nor "
    "neither without none nothing nunca nicht niemals kein keine nichts jamais pas nao"
)
_PROHIBITIONS = vocabulary(
    "avoid avoided avoiding avoids contraindicate contraindicates contraindicated contraindication contraindications "
    "unsafe forbidden prohibited "
    "banned illegal stop discontinue withhold withdraw refrain overdose overdosed overdoses overdosage antidote "
    "poisoned poisoning poisonings toxicosis toxicity intoxication exposure exposures exposed ingested ingestion "
    "swallowed ate eaten eats licked chewed accidentally accidental warning beware destroys kills kill killed die "
    "dies died death evitar vermeiden eviter verboten giftig toxico toxique venenoso unsuitable inappropriate "
    "cause causes caused causing wrong myth false untrue"
)
_HAZARDS = vocabulary(
    "toxic poisonous dangerous dangerously fatal deadly lethal harmful harm hazardous poison danger risk risks risky "
    "toxica toxicas toxicos toxiques giftig gefahrlich lebensgefahrlich todlich peligroso peligrosa peligrosas mortal "
    "mortales dangereux mortel venenosa venenosas"
)
_HARMLESS_NOUNS = frozenset(
    ("hurt", "problem", "problems", "trouble", "contraindicated", "contraindication", "damage", "bother", "issue",
     "issues", "emergency", "relevant", "concern", "worrying", "adjustment")
)  # fmt: skip
_RECOMMENDATIONS = vocabulary(
    "give giving gives administer administering use using try start starting offer prescribe dosing take takes "
    "taking safe safely ok okay fine recommend recommended recommends suggest suggested advise suitable "
    "appropriate effective option options choice works helps helpful relief relieves tolerated acceptable repeat "
    "enjoy harmless apply inject continue consider ideal best gib geben geeignet sicher puede dar seguro "
    "administrar donner donnez sur peut alright benefit typical typically combine add crush mix put dissolve hide "
    "spray dele dale administre verabreichen verabreiche work good rub dab smear massage squirt clears cures soothes "
    "eases enough help buena opcion vertraglich angewendet verwendet dosis gabe"
)
_WITH = frozenset(("treat", "treated", "treating", "managed", "ahead", "go", "continue", "proceed", "helped", "sedate"))
_BEFORE_FEED = frozenset(("to", "and", "then", "can", "may", "you", "should"))
_INJECTED = frozenset(
    ("inject", "injected", "injecting", "injection", "injections", "injectable", "parenteral", "parenterally")
)
_PASSIVE = vocabulary("given administered used prescribed dosed taken offered applied")
_PASSIVE_LEADS = frozenset(("be", "is", "are", "being", "usually", "commonly", "often"))
_MODALS = frozenset(("can", "may", "could", "should", "might"))
_AFTER_MODAL = frozenset(("have", "get", "receive", "eat", "take"))
_PLANS = vocabulary(
    "plan treatment therapy medication medications drugs rx protocol analgesia painkillers prescription options relief"
)
_LIMITS = vocabulary(
    "exceed exceeding more over above worry hesitate afraid panic concerned forget skip miss hesitation"
)
_BREAKS = vocabulary(
    "unlike but however although though yet whereas while if when because since unless whether before after until"
)
_CONDITIONS = vocabulary("unlike instead rather if when whether before after unless until")
_IMPERATIVES = vocabulary("give use try administer start offer apply inject feed gib")
_CONCESSIONS = frozenset(("although", "though", "while", "whereas", "despite"))
_PAST = vocabulary("gave took received got ago yesterday already had")
_DESCRIBES = vocabulary(
    "is are was were contains contain called brand belongs found named known means includes include call phone ring "
    "contact drop drops damage damages hurt hurts lead leads affect affects fail fails signs symptoms emergency bring "
    "show tell packet package packaging label photo write note ask asked store lock reach away cupboard"
)
"""Words that tell what a thing is or does; without any, a drug named to an owner is taken to be for the animal."""
_EXCEPTIONS = frozenset(("heartworm", "topical", "ophthalmic", "eye", "preventive", "prevention"))
_ADDED = frozenset(("add", "combine", "continue", "keep"))
_TOGETHER = frozenset(("and", "with", "plus", "+", "together", "alongside", "add", "top"))
_STOPS_SIGNS = frozenset(("will", "to", "can", "may", "could", "would", "help", "helps", "should"))
_WILL_NOT = frozenset(("not", "need", "kill", "make", "die", "require", "want"))
_SMALL = vocabulary("concern upset upsets mild mildly little minor slight slightly irritate irritates small")
_MAKE_VOMIT = re.compile(
    r"\b(?:make|making|get|getting|have)\b(?:\s+[\w'-]+){1,4}?\s+(?:to\s+)?(?:vomit|throw up|puke)\b"
    r"|\buntil (?:he|she|it|they) (?:vomits?|throws? up|pukes?)\b"
    r"|\b(?:induce|inducing|trigger|provoke|force)\b(?:\s+[\w'-]+){0,3}?\s+(?:vomiting|emesis)\b"
)
_MAY_WAIT = re.compile(
    r"\b(?:can|could|may|might|just|simply) (?:safely |easily |well |probably )?wait\b"
    r"|\bsafely wait\b|\bwait and see\b"
    r"|\bwait (?:until|till) (?:monday|tomorrow|morning|the (?:morning|weekend)|next|after the weekend|your)\b"
    r"|\bwait (?:a|an|one|two|three|four|five|several|some|another|[0-9]+)(?: few| couple of)?(?: or \w+| to \w+)?"
    r" (?:more )?(?:days?|nights?|weeks?)\b"
    r"|\bno (?:need|reason) to (?:rush|hurry|see a vet|call|go|visit)\b"
    r"|\b(?:watch|monitor|observe) (?:him|her|it|them|the \w+) (?:at home|overnight)\b"
    r"|\bfor (?:a few|a couple of|two|three|several|[0-9]+) (?:days?|weeks?) before (?:going|calling|seeing|you)\b"
    r"|\b(?:resolve|pass|clear|settle|start|stop|heal|go away|get better)s?\b[^.;]{0,24}"
    r"\b(?:on (?:its|his|her|their) own|by itself|von selbst)\b"
    r"|\b(?:not|isn't|hardly) (?:an? )?(?:urgent|emergency)\b"
    r"|\b(?:deferred|postponed|delayed|put off) (?:until|till|to)\b"
    r"|\bno (?:intervention|treatment) (?:is )?(?:needed|necessary|required|indicated)\b"
    r"|\b(?:re-?examine|recheck|call (?:your|the) (?:regular )?vet) tomorrow\b"
    r"|\bby tomorrow (?:morning|afternoon|evening)\b"
    r"|\bwarten sie (?:ruhig )?(?:noch |ein |zwei |bis )"
)
_SPEAKERS = vocabulary("you owner owners client i she he they re were")
_FRESH = vocabulary("just you so then tell")
_HUMANS = vocabulary("people humans human person children adults child adult owners")
_POINTERS = vocabulary(
    "it this that them these those half quarter tablet tablets pill pills capsule dose doses mg ml mcg one dosage"
)
_ANIMAL_IT = vocabulary("plenty water time some food space rest fluids access lots a the warm calm")
_YES = vocabulary("yes sure absolutely certainly definitely yeah yep si oui ja")
_PRAISE = vocabulary("safe ok okay fine harmless alright safely")
_TOXIN_PRAISE = vocabulary(
    "safe safely ok okay fine harmless healthy enjoy offer give worry good alright unlikely tolerate tolerated nothing "
    "unbedenklich harmlos ungefahrlich inofensivo inofensivas inofensivos seguro seguras inocuo preocupe sorgen"
)
_TREATS = frozenset(("treat", "treats", "snack", "snacks"))
_BEFORE_TREAT = vocabulary("a as of healthy occasional good safe tasty nice training special favourite favorite great")
_NOT_SPECIES = frozenset(("not", "except", "unlike", "excluding", "than", "without"))
_LINKS = frozenset(("in", "for", "to", "your", "the", "a", "with", "of", "or", "and", "my"))


class Verdict(NamedTuple):
    """Why a sentence must not go out: the rule, what was wrong and what the record says."""

    rule: str
    severity: str
    what: str
    says: str
    source: Json


class _Spot(NamedTuple):
    """A named drug, class or poison in a sentence."""

    start: int
    end: int
    drugs: tuple[str, ...]
    classes: tuple[str, ...]
    toxin: str | None


class _Here(NamedTuple):
    """What stands around a name: the words of its part of the sentence, doses, route, drugs given with it."""

    words: list[str]
    doses: list[Medication]
    route: str | None
    beside: frozenset[str]
    measured: bool = False


class _Topic(NamedTuple):
    """A drug that must not be given, named without being recommended: the next sentence may still do it."""

    verdict: Verdict
    question: bool


class SafetyGuard:
    """Reads a model's answer as it streams; what the absolute rules forbid, and tenfold doses, never go out.

    The outcome doesn't depend on how the text is cut into pieces. A failure raises: nothing passes unjudged.

    Attributes:
        interventions: what was changed so far.
        not_checked: {text, why}: drugs that could not be judged.
    """

    def __init__(self, facts: Facts, records: Records, audience: str) -> None:
        self.interventions: list[Intervention] = []
        self.not_checked: list[Json] = []
        self._known: Lexicon = lexicon(records)
        self._harmless = self._known.harmless
        self._judge = _Judge(facts, records, audience, self.not_checked)
        self._audience = audience
        self._marked: set[str] = set()
        self._tail = ""
        self._mid = False
        self._dot = False
        self._said = ""
        self._held = ""
        self._seen = 0
        self._topic: _Topic | None = None
        self._topic_for = 0
        self._header = ""
        self._in_table = False

    def feed(self, text: str) -> str:
        """What may go out now that `text` has come."""
        if self._mid and text and not text[0].isalpha() and text[0] not in "'\u2019":
            self._mid = False
        if not (self._held or self._tail or self._mid or self._dot or self._topic_for):
            known = self._harmless.get(text)
            if known is not None:
                self._mid = known
                self._said = self._said[-_CONTEXT_MAX:] + text
                return text
        if len(text) <= _SLICE:
            return self._step(text, last=False) if text else ""
        return "".join(self._step(text[place : place + _SLICE], last=False) for place in range(0, len(text), _SLICE))

    def finish(self) -> str:
        """The rest, judged."""
        return self._step("", last=True)

    def _step(self, text: str, last: bool) -> str:
        out: list[str] = []
        rest = text
        while True:
            if self._held:
                self._held += rest
                cut = self._sentence_end(last)
                if cut < 0:
                    break
                sentence, rest = self._held[:cut], self._held[cut:]
                self._held, self._seen = "", 0
                out.append(self._decide(sentence))
            else:
                if len(rest) > _CACHED_CHARACTERS_MAX:
                    rest, self._tail = self._tail + rest, ""
                    if plainly := self._plainly_harmless(rest):
                        out.append(rest[:plainly])
                        rest = rest[plainly:]
                passed, rest, hold = self._pass(rest, last)
                out.append(passed)
                if hold:
                    self._held, rest = rest, ""
            if not rest and not self._held:
                break
        return "".join(out)

    def _plainly_harmless(self, text: str) -> int:
        """How many characters may pass at once: whole words before the first figure or word that has to be looked at.

        What `_pass` does sentence by sentence, for many at a time.
        """
        if self._mid or self._dot or self._topic_for:
            return 0
        low = folded(text)
        size = low.rfind(" ") + 1
        pieces = low[:size].split()
        odd = set(pieces).difference(self._known.harmless_pieces)
        if odd:
            size = self._before_suspects(odd, pieces, low, size)
        start = 0
        for match in _END.finditer(text, 0, size):
            end = match.end()
            if match[0] in _STOPS and (text[end] not in _AFTER_STOP or self._abbreviated(text[start : match.start()])):
                continue
            self._say(text[start:end])
            self._close()
            start = end
        self._say(text[start:size])
        return size

    def _before_suspects(self, odd: set[str], pieces: list[str], low: str, size: int) -> int:
        """Where the first of the pieces stands that has to be looked at; `odd` are those not known to be harmless."""
        suspects, starters = set(), set()
        for piece in odd:
            words = TOKEN.findall(piece)
            if _FIGURE.search(piece) is not None:
                suspects.add(piece)
            elif not any(self._may_begin(word, "") for word in words if word not in _MARKS):
                if len(piece) <= _CACHED_CHARACTERS_MAX and len(self._known.harmless_pieces) < _CACHED_WORDS_MAX:
                    self._known.harmless_pieces.add(piece)
            elif words == [piece] and self._starter(piece) is not None:
                starters.add(piece)
            else:
                suspects.add(piece)
        if pieces[-1] in starters:  # what follows it decides, and that may not have come yet
            size = low.rfind(pieces[-1], 0, size)
        for piece, following in {pair for pair in pairwise(pieces) if pair[0] in starters} if starters else ():
            first = TOKEN.match(following)
            if first is not None and self._may_begin(piece, first[0]):
                suspects.add(piece)
        if suspects:
            at = 0
            for piece in pieces:
                at = low.find(piece, at)
                if piece in suspects:
                    return min(at, size)
                at += len(piece)
        return size

    def _pass(self, text: str, last: bool) -> tuple[str, str, bool]:
        """Words that mean nothing here; then what is left, and whether that begins what must be held."""
        buffer = self._tail + text if self._tail else text
        self._tail = ""
        if not buffer:
            return "", "", False
        if self._dot:
            self._dot = False
            if buffer[0] in _AFTER_STOP:
                self._close()
        if self._topic_for and not self._said.strip():
            words = buffer.lstrip()
            return buffer[: len(buffer) - len(words)], words, bool(words)
        low = folded(buffer)
        place, size = 0, len(buffer)
        plain_words = not (self._mid or last)
        if self._mid:
            found = _WORD_ON.match(low)
            place = found.end() if found is not None else 0
            self._mid = place == size
        place = self._past_harmless(low, place)
        starts, heads = self._known.hazard_starts, self._known.fuzzy_heads
        for match in TOKEN.finditer(low, place):
            word = match[0]
            first = word[0]
            if first.isalpha():
                end = match.end()
                if end == size and not last:
                    if word in starts or word[:4] in heads or word[1:2] == ".":
                        return self._wait(buffer, match.start())
                    self._mid = _WORD_ON.fullmatch(word[-1]) is not None  # an ideograph is a word of its own
                    break
                verdict = self._hazard(plain(word) if len(word) > 2 else word, low, end, last)
            elif "0" <= first <= "9" or first in "\u00bd\u00bc\u00be":
                end = match.end()
                verdict = self._dose_ahead(low, end, last)
                if verdict is False:
                    verdict = self._hazard(word, low, end, last)
            elif first in _STOPS:
                plain_words = False
                end = match.end()
                if end == size:
                    self._dot = not self._abbreviated(buffer[: match.start()])
                elif buffer[end] in _AFTER_STOP and not self._abbreviated(buffer[: match.start()]):
                    self._say(buffer[:end])
                    self._close()
                    return buffer[:end], buffer[end:], False
                continue
            elif first in "\n\u3002\uff01\uff1f":
                end = match.end()
                self._say(buffer[:end])
                self._close()
                return buffer[:end], buffer[end:], False
            else:
                continue
            if verdict is None:
                return self._wait(buffer, match.start())
            if verdict:
                start = match.start()
                self._say(buffer[:start])
                return buffer[:start], buffer[start:], True
        self._say(buffer)
        if plain_words and buffer is text and size <= _CACHED_CHARACTERS_MAX and len(self._harmless) < _CACHED_MAX:
            self._harmless[buffer] = self._mid
        return buffer, "", False

    def _past_harmless(self, low: str, place: int) -> int:
        """Where the first word stands that has to be looked at; all before it are whole and known to mean nothing.

        Stays within words, spaces and commas: figures and the ends of sentences are looked at one by one.
        """
        found = _RUN.match(low, place)
        end = low.rfind(" ", place, found.end()) + 1 if found is not None else 0
        if end <= place:
            return place
        words = TOKEN.findall(low, place, end)
        harmless = self._known.harmless_words
        if harmless.issuperset(words):
            return end
        pairs = list(zip(words, [*words[1:], ""], strict=True))
        suspects = {pair for pair in set(pairs) if pair[0] not in harmless and self._may_begin(*pair)}
        if not suspects:
            return end
        count = next(count for count, pair in enumerate(pairs) if pair in suspects)
        return next(islice(TOKEN.finditer(low, place, end), count, None)).start()

    def _may_begin(self, word: str, following: str) -> bool:
        """Whether a name may begin with a word that this one follows; "" for one that is not known yet."""
        node = self._known.starters.get(word) or self._starter(word)
        if not node:
            return node is None
        return (
            not following or following in node or (("'" in following or following in SAME) and plain(following) in node)
        )

    def _starter(self, word: str) -> Node | None:
        """What may follow a word for it to begin a name, nothing for a harmless one; None: it must be looked at."""
        known = self._known
        name = plain(word) if len(word) > 2 else word
        node: Node | None = known.hazards.get(name)
        if node is None:
            if name in _PIECES or (len(name) >= 6 and misspelt(known, name) is not None):
                return None
            if len(known.harmless_words) < _CACHED_WORDS_MAX:
                known.harmless_words.add(word)
            return {}
        if "" in node:
            return None
        if len(known.starters) < _CACHED_WORDS_MAX:
            known.starters[word] = node
        return node

    def _say(self, text: str) -> None:
        self._said = (self._said + text)[-_CONTEXT_MAX:]

    def _wait(self, buffer: str, start: int) -> tuple[str, str, bool]:
        """Keep the last words until more has come."""
        self._say(buffer[:start])
        self._tail = buffer[start:]
        return buffer[:start], "", False

    def _hazard(self, word: str, low: str, end: int, last: bool) -> bool | None:
        """Whether a name of a drug or poison begins with this word; None while that can't be known."""
        node: Node | None = self._known.hazards.get(word)
        if node is None:
            return word in _PIECES or (len(word) >= 6 and misspelt(self._known, word) is not None)
        size = len(low)
        if "" in node:
            return True
        for count, match in enumerate(TOKEN.finditer(low, end)):
            if match.end() == size and not last:
                return None
            node = node.get(plain(match[0]) if len(match[0]) > 2 else match[0])
            if node is None or count == _LOOK_AHEAD:
                return False
            if "" in node:
                return True
        return False if last else None

    def _dose_ahead(self, low: str, end: int, last: bool) -> bool | None:
        """Whether the figure that ends here is a dose: a unit of one follows."""
        size = len(low)
        if end < size and not (low[end].isalnum() or low[end] in _AFTER_FIGURE):
            return False
        for count, match in enumerate(TOKEN.finditer(low, end)):
            if match.end() == size and not last:
                return None
            word = match[0].strip()
            if word in _DOSE_UNITS:
                return True
            if not ("0" <= word[:1] <= "9" or word in _BETWEEN) or count == _LOOK_AHEAD:
                return False
        return False if last else None

    def _abbreviated(self, before: str) -> bool:
        """Whether the point after `before` ends no sentence: `approx.`, `i.e.`, the `1.` of a list."""
        so_far = (self._said[-24:] + before)[-24:]
        found = _LAST_WORD.search(so_far)
        if found is None:
            return False
        word = found[0].lower()
        return word in _ABBREVIATIONS or (word.isdigit() and not (self._said + before).strip()[: -len(word)].strip())

    def _sentence_end(self, last: bool) -> int:
        """Where the held sentence ends, -1 while it goes on; never more than `HELD_BYTES_MAX` is held."""
        held = self._held
        size = len(held)
        found = -1
        for match in _END.finditer(held, self._seen):
            end = match.end()
            if match[0] not in _STOPS:
                found = end
                break
            if end == size and not last:
                self._seen = match.start()
                break
            if (end == size or held[end] in _AFTER_STOP) and not self._abbreviated(held[: match.start()]):
                found = end
                break
        else:
            self._seen = size
        if found < 0 and last:
            found = size
        if 0 <= found <= HELD_BYTES_MAX or (found < 0 and size <= HELD_BYTES_MAX):
            return found
        space = held.rfind(" ", 0, HELD_BYTES_MAX)
        return space + 1 if space > 0 else HELD_BYTES_MAX

    def _decide(self, held: str) -> str:
        """The held words, or the sentence that stands for them."""
        text = self._said + held
        verdict, topic = self._judge.judge(text, self._header, self._topic)
        if topic is not None:
            self._topic, self._topic_for = topic, _TOPIC_SENTENCES + 1
        out = held
        if verdict is not None and (verdict.severity == "absolute" or self._audience == "owner"):
            out = self._replace(held, verdict)
            self._topic, self._topic_for = _Topic(verdict, question=False), _TOPIC_SENTENCES + 1
        elif verdict is not None and verdict.rule not in self._marked:
            out = self._mark(held, verdict)
            self._marked.add(verdict.rule)
        self._said = text
        self._close()
        return out

    def _mark(self, held: str, verdict: Verdict) -> str:
        """The held words as they are, and behind them what the record says: vets drop tools that censor them."""
        self._note(verdict, None)
        end = held[len(held.rstrip()) :]
        return f"{held.rstrip()} [Mark: {verdict.says}]{end}"

    def _note(self, verdict: Verdict, withheld: str | None) -> str:
        """Write down what was done with a sentence, and why; the reason."""
        why = f"{verdict.what} {verdict.says}"
        self.interventions.append(
            Intervention(
                rule=verdict.rule,
                severity=verdict.severity,
                action="annotated" if withheld is None else "replaced",
                why=why,
                source=verdict.source,
                withheld_sha256=None
                if withheld is None
                else hashlib.sha256(withheld.encode("utf-8", "surrogatepass")).hexdigest(),
            )
        )
        return why

    def _replace(self, held: str, verdict: Verdict) -> str:
        """One sentence in place of the held words."""
        space = held[: len(held) - len(held.lstrip())]
        end = held[len(held.rstrip()) :]
        why = self._note(verdict, held.strip())
        dash = "\u2014 " if any(mark.isalpha() for mark in self._said) else ""
        return f"{space}{dash}[Withheld: {why}]{end}"

    def _close(self) -> None:
        """A sentence is over: remember what the next ones may lean on."""
        said = self._said.strip()
        self._said = ""
        if not said:
            return
        table = said.startswith("|")
        if said.endswith((":", ":**", ":*")) or said.startswith("#") or (table and not self._in_table):
            self._header = said[-400:]
        elif not _LIST_ITEM.match(said):
            self._header = ""
        self._in_table = table
        if self._topic_for:
            self._topic_for -= 1
            if not self._topic_for:
                self._topic = None


class _Judge:
    """Knows the animals of a request and whether a sentence gives one of them what it must not have."""

    def __init__(self, facts: Facts, records: Records, audience: str, not_checked: list[Json]) -> None:
        self._facts = facts
        self._records = records
        self._known = lexicon(records)
        self._audience = audience
        self._not_checked = not_checked
        self._animals: tuple[Patient, ...] | None = None
        self._spoken_of: tuple[str, int] = ("", 0)
        self._generic: dict[str, Patient] = {}
        self._forbidden: dict[tuple[Any, ...], RuleRecord | None] = {}

    @property
    def patients(self) -> tuple[Patient, ...]:
        """The request's animals, normalised on first need."""
        if self._animals is None:
            self._animals = tuple(
                normalise(PatientShape.model_validate(given), self._records) for given in self._facts.patients
            )
        return self._animals

    def judge(self, text: str, header: str, topic: _Topic | None) -> tuple[Verdict | None, _Topic | None]:
        """Why the sentence must not go out, or None; and a drug to keep in mind for the next sentences."""
        words, starts, _ = tokens(text)
        spots, species, denied, routes = self._named(words)
        asks = bool(words) and (words[-1] in ("?", "\uff1f") or words[-2:-1] == ["?"])
        advice = None if asks else self._bad_advice(text, words, spots, self._targets(species, denied, header, words))
        if advice is not None:
            return advice, None
        if spots:
            self._spoken_of = next((spot.drugs[0] for spot in reversed(spots) if spot.drugs), ""), 2
        elif self._spoken_of[1] and self._spoken_of[0]:
            name, left = self._spoken_of
            self._spoken_of = name, left - 1
            if not asks and _has_dose(words) and (verdict := self.judge(f"{name} {text}", header, None)[0]) is not None:
                self._spoken_of = name, left - 1
                return verdict, None
        if not spots:
            if topic is not None and not asks and _leans_on(words, topic):
                return topic.verdict, None
            return None, None
        targets = self._targets(species, denied, header, words)
        if not targets:
            self._unjudged(spots, species, denied, words)
            return None, self._remember(spots, asks) if not species and not denied else None
        doses = self._doses(text) if not _DOSE_UNITS.isdisjoint(words) else []
        segments = _segments(words)
        listed = bool(header) and _LIST_ITEM.match(text) is not None
        leading = _polarity(scan(header)[0], header=True) if header else (False, False)
        keep: _Topic | None = None
        serious: Verdict | None = None
        carried: _Spot | None = None
        for start, end in segments:
            inside = [spot for spot in spots if start <= spot.start < end]
            about = inside or ([carried] if carried is not None else [])
            part = words[start:end]
            if not about or (not inside and _POINTERS.isdisjoint(part)):
                continue
            carried = about[-1]
            prohibits, recommends = _polarity(part)
            conditional = _is_conditional(part)
            dosed = _has_dose(part)
            if listed:
                prohibits = prohibits or leading[0]
                recommends = recommends or leading[1]
            past = not _PAST.isdisjoint(part) and part[0] not in _ADDED
            advises = not prohibits and not conditional and not asks and not past
            if about[0].toxin is not None and not about[0].drugs:
                recommends = _praises(part) or (recommends and dosed)
                prohibits = prohibits and not _belittles(part)
                advises = not prohibits and not conditional and not asks and not past
            advises = advises and (
                recommends or (bool(inside) and (dosed or (self._audience == "owner" and _DESCRIBES.isdisjoint(part))))
            )
            quoted = _is_quoted(text, starts, about[0].start, words)
            own = [one for one in species if start <= one[0] < end]
            meant_here = self._targets(own, denied, header, words) if own else targets
            route = next((name for place, name in routes if start <= place < end), None)
            if route is None and not _INJECTED.isdisjoint(part):
                route = "injected"
            here = _Here(part, doses, route, _given_together(part, inside), recommends and dosed)
            for spot in about:
                for target in meant_here:
                    verdict = self._verdict(spot, target, here)
                    if verdict is None:
                        continue
                    if advises and not quoted and verdict.severity == "absolute":
                        return verdict, None
                    if advises and not quoted:
                        serious = serious or verdict
                    keep = keep or _Topic(verdict, asks)
        if not asks:
            wrong = self._wrong_dose(doses, targets, words, starts, segments, leading if listed else (False, False))
            if wrong is not None:
                return wrong, None
        return serious, None if serious is not None else keep

    def _bad_advice(self, text: str, words: list[str], spots: list[_Spot], targets: list[Patient]) -> Verdict | None:
        """Vomiting made where it harms, or an emergency told to wait."""
        low = folded(text)
        found = _MAKE_VOMIT.search(low) or _MAY_WAIT.search(low)
        if found is None:
            return None
        begin = max(low.rfind(mark, 0, found.start()) for mark in (",", ";", ":", "but", "and")) + 1
        if not found[0].startswith("no ") and not _NEGATORS.isdisjoint(scan(low[begin : found.end()])[0]):
            return None
        if _MAKE_VOMIT.search(low):
            return self._vomiting(spots, targets)
        met = (self._records.toxins[spot.toxin] for spot in spots if spot.toxin is not None)
        poisons = ((toxin, target) for toxin in met for target in targets if _is_grave(toxin, target))
        return next((self._poison(toxin, target) for toxin, target in poisons), None) or self._delay(text)

    def _vomiting(self, spots: list[_Spot], targets: list[Patient]) -> Verdict | None:
        """Why this animal must not be made to vomit: its kind can't, or what it swallowed burns or chokes twice."""
        met = {str(row.get("substance")) for row in self._facts.exposures}
        toxins = [
            toxin
            for name in (*(spot.toxin for spot in spots), *met)
            if name is not None and (toxin := self._records.toxins.get(name)) is not None
        ]
        for target in targets:
            for spot in spots:
                verdict = self._verdict(spot, target, _Here([], [], None, frozenset()))
                if verdict is not None:
                    return verdict
            banned = next(
                (toxin for toxin in toxins if toxin.emesis is not None and toxin.emesis.advised == "contraindicated"),
                None,
            )
            if banned is not None and banned.emesis is not None:
                source = banned.emesis.sources[0].json if banned.emesis.sources else {}
                what = f"the text had {_whom(target)} made to vomit after {banned.name}."
                return Verdict("emesis-contraindicated", "absolute", what, banned.emesis.why, source)
            if target.species is not None and not target.species.can_vomit:
                what = f"the text had {_whom(target)} made to vomit."
                says = f"{target.species.one.capitalize()} can't vomit; trying to make it harms it."
                return Verdict("emesis-impossible", "absolute", what, says, {})
        return None

    def _delay(self, text: str) -> Verdict | None:
        """Why what was said can't wait: a red flag of the conversation, or of the sentence itself."""
        what = "the text let an emergency wait."
        triage = self._facts.triage
        if triage is not None and triage.level == "emergency":
            source: Json = next((row["source"] for row in triage.red_flags if row.get("source")), {})
            return Verdict("emergency-delayed", "absolute", what, triage.reason, source)
        for sign in stated(read(text, self._records), self._records)[0].signs:
            flag = self._records.flags[sign.flag]
            if flag.level == "emergency":
                return Verdict("emergency-delayed", "absolute", what, flag.reason, flag.sources[0].json)
        return None

    def _remember(self, spots: list[_Spot], asks: bool) -> _Topic | None:
        """A drug spoken of for people that one of the animals must not have."""
        for spot in spots:
            for target in self.patients:
                verdict = self._verdict(spot, target, _Here([], [], None, frozenset()))
                if verdict is not None:
                    return _Topic(verdict, asks)
        return None

    def _named(
        self, words: list[str]
    ) -> tuple[list[_Spot], list[tuple[int, str]], list[tuple[int, str]], list[tuple[int, str]]]:
        """Drugs and poisons, species meant, species excluded (`in dogs, not cats`), routes."""
        routes: list[tuple[int, str]] = []
        spots: list[_Spot] = []
        species: list[tuple[int, str]] = []
        denied: list[tuple[int, str]] = []
        place, last = 0, len(words)
        while place < last:
            hit = meant(self._known, words, place)
            terms: list[Term] | None
            if hit is None:
                word = words[place]
                terms, end = (misspelt(self._known, word) if len(word) >= 6 else None), place + 1
            else:
                terms, end = hit
            if terms:
                spot = _spot(terms, place, end)
                if spot is not None:
                    if species and species[-1][0] == place - 1:
                        species.pop()  # `the dog permethrin`: a product's kind, not a patient
                    spots.append(spot)
                for term in terms:
                    if term.foreign:
                        continue
                    common = end == place + 1 and words[place] in COMMON_BREED_WORDS
                    if term.kind == "species" or (term.kind == "breed" and not common):
                        name = str(term.value if term.kind == "species" else term.more)
                        (denied if _excluded(words, place, denied) else species).append((place, name))
                        break
                    if term.kind == "route" and term.value:
                        routes.append((place, term.value))
                place = end
            else:
                place += 1
        return spots, species, denied, routes

    def _targets(
        self, species: list[tuple[int, str]], denied: list[tuple[int, str]], header: str, words: list[str]
    ) -> list[Patient]:
        """The animals a sentence is about: those it names, else those its heading names, else the patients."""
        excluded = {name for _, name in denied}
        names = dict.fromkeys(name for _, name in species if name not in excluded)
        if not names and not excluded and self._for_people(words):
            return []
        if not names and header:
            _, heading, _, _ = self._named(scan(header)[0])
            names = dict.fromkeys(name for _, name in heading if name not in excluded)
        if not names:
            return [patient for patient in self.patients if patient.species_name not in excluded]
        found: list[Patient] = []
        for name in names:
            own = [patient for patient in self.patients if patient.species_name == name]
            found += own or [self._any(name)]
        return found

    def _for_people(self, words: list[str]) -> bool:
        """Whether a sentence is about people: `in people`, but not `children's paracetamol`."""
        return any(
            word in _HUMANS and (words[place + 1 : place + 2] == [] or words[place + 1] not in self._known.hazards)
            for place, word in enumerate(words)
        )

    def _any(self, species: str) -> Patient:
        """An animal of which only the species is known."""
        if species not in self._generic:
            self._generic[species] = normalise(PatientShape.model_validate({"species": species}), self._records)
        return self._generic[species]

    def _unjudged(
        self, spots: list[_Spot], species: list[tuple[int, str]], denied: list[tuple[int, str]], words: list[str]
    ) -> None:
        """Drugs named for nobody in particular can't be cleared."""
        if species or denied or self.patients or self._for_people(words):
            return
        for spot in spots:
            for drug in spot.drugs:
                row = {"text": drug, "why": "missing_species"}
                if row not in self._not_checked:
                    self._not_checked.append(row)

    def _verdict(self, spot: _Spot, target: Patient, here: _Here) -> Verdict | None:
        """Why this animal must not have what a spot names."""
        for generic in spot.drugs:
            given = next((one for one in here.doses if generic in one.drugs), None)
            per_kg = None if given is None else _per_kg(given, target)
            found = self._rule(
                self._records.drugs[generic], target, per_kg, here.route, here.beside - {generic}, here.words
            )
            if found is not None:
                return self._says(found, generic, target)
        for name in spot.classes:
            drug = next((one for one in self._records.drugs.values() if name in one.classes), None)
            found = None if drug is None else self._rule(drug, target, None, here.route, frozenset(), here.words)
            if found is not None and name in found.classes:
                return self._says(found, name.replace("_", " "), target)
        if spot.toxin is not None and not spot.drugs:
            toxin = self._records.toxins[spot.toxin]
            harmed = {name for one in toxin.thresholds for name in one.species}
            harmed |= {name for none in toxin.no_thresholds for name in none.species}
            counted = any("0" <= word[0] <= "9" for word in here.words)
            if (target.species_name in toxin.no_safe_amount_species and _praises(here.words)) or (
                target.species_name in harmed and (here.measured or (_praises(here.words) and not counted))
            ):
                return self._poison(toxin, target)
        return None

    def _rule(
        self,
        drug: Drug,
        target: Patient,
        dose: PerKg | None,
        route: str | None,
        beside: frozenset[str],
        words: Sequence[str] = (),
    ) -> RuleRecord | None:
        """The gravest rule that forbids this drug, at this dose, to this animal.

        A rule of medicine goes before a law, which may not be that of the reader's country.
        """
        single = dose.single if dose is not None and dose.unit == "mg" else None
        key = (drug.generic, id(target), single, route, beside, _EXCEPTIONS.intersection(words))
        if key not in self._forbidden:
            others = [one for one in _taken(target, self._records) if one.generic != drug.generic]
            others += [self._records.drugs[name] for name in beside]
            given = rules.Given(
                drug=drug,
                route=route,
                dose_mg_per_kg=single,
                co_drugs=frozenset(one.generic for one in others),
                co_classes=frozenset(name for one in others for name in one.classes),
            )
            matches, _ = rules.hold(target, given, self._facts.jurisdiction, self._records, bans_only=True)
            holding = [
                match.rule
                for match in matches
                if _route_is_said(match.rule, route)
                and (match.rule.severity == "absolute" or not self._is_assumed(match))
                and not _is_excepted(match.rule, words)
                and (
                    match.rule.action == "forbid"
                    or (match.rule.action == "limit" and _exceeds(match.rule, dose, target))
                )
            ]
            self._forbidden[key] = min(
                holding, key=lambda rule: (rules.RANKS[rule.severity], bool(rule.trigger.jurisdiction)), default=None
            )
        return self._forbidden[key]

    def _is_assumed(self, match: rules.Match) -> bool:
        """Whether a high rule holds by an assumption only: of the animal, or of the country."""
        return bool(match.assumed) or (bool(match.rule.trigger.jurisdiction) and self._facts.jurisdiction is None)

    def _says(self, rule: RuleRecord, named: str, target: Patient) -> Verdict:
        """The rule's own words. Where no country is known the strictest rule holds, whoever reads it."""
        what = f"the text recommended {named} for {_whom(target)}."
        says = rule.owner_text if self._audience == "owner" else rule.text
        return Verdict(rule.id, rule.severity, what, says, rule.sources[0].json)

    def _poison(self, toxin: Toxin, target: Patient) -> Verdict:
        row = next(
            (one for one in toxin.no_thresholds if target.species_name in one.species or "any" in one.species), None
        )
        source: Source | None = row.sources[0] if row is not None else None
        actions = toxin.owner_actions if self._audience == "owner" else toxin.actions
        lowest = min((one for one in toxin.thresholds if target.species_name in one.species), key=_value, default=None)
        effect = row.effect if row is not None else lowest.effect if lowest is not None else "a poison"
        if source is None and lowest is not None:
            source = lowest.sources[0]
        known = "No amount is known to be safe" if row is not None else toxin.agent.capitalize()
        return Verdict(
            f"toxin-{toxin.name.replace(' ', '-')}",
            "absolute",
            f"the text made light of {toxin.name} for {_whom(target)}.",
            f"{known}: {effect}. {actions[0]}",
            source.json if source is not None else {},
        )

    def _doses(self, text: str) -> list[Medication]:
        return list(doses_in(text, self._records))

    def _wrong_dose(
        self, doses: list[Medication], targets: list[Patient], words: list[str], starts: list[int],
        segments: list[tuple[int, int]], leading: tuple[bool, bool],
    ) -> Verdict | None:  # fmt: skip
        """A dose that is many times what the record of this species says; warnings and histories are none."""
        for one in doses:
            place = next((place for place, start in enumerate(starts) if start >= one.span[0]), 0)
            part = next((words[start:end] for start, end in segments if start <= place < end), [])
            if leading[0] or _polarity(part)[0] or not _PAST.isdisjoint(part):
                continue
            for target in targets:
                dose = _per_kg(one, target)
                for generic in one.drugs if dose is not None else ():
                    assert dose is not None
                    verdict = self._tenfold(self._records.drugs[generic], dose, one, target)
                    if verdict is not None:
                        return verdict
        return None

    def _tenfold(self, drug: Drug, dose: PerKg, given: Medication, target: Patient) -> Verdict | None:
        own = [row for row in drug.doses if row.species == target.species_name]
        routed = [row for row in own if dosing.same_route(row, given.route)] or own
        body = dosing.body_of(target.weight_kg, target.species)
        known = [(single, row) for row in routed if (single := dosing.single_per_kg(row, body, dose.unit)) is not None]
        if not known:
            return None
        low = min(single[0] for single, _ in known)
        (_, high), highest = max(known, key=lambda pair: pair[0][1])
        if "day" in given.per:
            high = max(dosing.daily_per_kg(row, body, dose.unit) for _, row in known)
        slipped = dose.single >= low * _SLIP and dose.single > high * _ABOVE
        if not slipped and dose.single <= high * _FAR_ABOVE:
            return None
        unit = f"{dose.unit}/kg"
        figures = (
            f"{units.shown(low)} {units.spelt(unit)}"
            if low == high
            else f"{units.shown(low)} to {units.shown(high)} {units.spelt(unit)}"
        )
        return Verdict(
            "dose-tenfold",
            "absolute",
            f"the text gave {drug.generic} at many times the dose on record for {_whom(target)}.",
            f"The record says {figures} ({highest.route}, {dosing.frequency(highest)}).",
            highest.sources[0].json,
        )


_SLIP = Decimal("9.5")
_ABOVE = Decimal("1.25")
_FAR_ABOVE = Decimal(3)


def _exceeds(rule: RuleRecord, dose: PerKg | None, target: Patient) -> bool:
    """Whether a known dose is known to break a rule's limit."""
    if dose is None or rule.limit is None or ("/" not in rule.limit.unit and target.weight_kg is None):
        return False
    return not within_limit(rule, dose, target)


def _is_excepted(rule: RuleRecord, words: Sequence[str]) -> bool:
    """Whether words name what the rule excepts: `heartworm-dose ivermectin`."""
    return bool(rule.except_words) and not _EXCEPTIONS.intersection(words).isdisjoint(
        units.fold(rule.except_words).split()
    )


def _is_grave(toxin: Toxin, target: Patient) -> bool:
    """Whether any amount of it may be severe for this kind of animal."""
    return target.species_name in toxin.no_safe_amount_species or any(
        one.band in ("severe", "life_threatening") and target.species_name in one.species for one in toxin.no_thresholds
    )


def _value(threshold: Threshold) -> Decimal:
    return threshold.value


def _route_is_said(rule: RuleRecord, route: str | None) -> bool:
    """Whether a rule on routes may speak: `never into a vein` needs a vein; by mouth goes without saying."""
    return not rule.trigger.route or route is not None or "PO" in rule.trigger.route


def _whom(target: Patient) -> str:
    name = target.species_name or "this animal"
    return name if name in ("cattle", "this animal") else f"a {name}"


def _spot(terms: Sequence[Term], start: int, end: int) -> _Spot | None:
    drugs = tuple(dict.fromkeys(term.value for term in terms if term.kind == "drug"))
    classes = tuple(dict.fromkeys(term.value for term in terms if term.kind == "class"))
    toxin = next((term.value for term in terms if (term.kind == "toxin" and not term.foreign)
                  or (term.kind == "product" and term.more[1])), None)  # fmt: skip
    return _Spot(start, end, drugs, classes, toxin) if drugs or classes or toxin else None


def _given_together(part: list[str], spots: Sequence[_Spot]) -> frozenset[str]:
    """Drugs that these words give with one another: `meloxicam and carprofen`, not `meloxicam or carprofen`."""
    if len(spots) < 2 or "or" in part or _TOGETHER.isdisjoint(part):
        return frozenset()
    return frozenset(drug for spot in spots for drug in spot.drugs)


def _excluded(words: list[str], place: int, denied: list[tuple[int, str]]) -> bool:
    """Whether a species is named only to be left out: `not cats`, `except in rabbits`, `other than dogs`."""
    before = place - 1
    while before >= 0 and place - before <= 4:
        word = words[before]
        if word in _NOT_SPECIES:
            return word != "without"
        if word not in _LINKS:
            return bool(denied) and word in (",", "or", "and") and denied[-1][0] == before - 1
        before -= 1
    return False


def _segments(words: list[str]) -> list[tuple[int, int]]:
    """Parts of a sentence that speak for themselves; each is start and end."""
    cuts = [0]
    last = len(words)
    conditional = bool(words) and (words[0] in _CONDITIONS or words[0] in _CONCESSIONS)
    for place in range(1, last):
        word = words[place]
        following = words[place + 1] if place + 1 < last else ""
        swapped = (word == "instead" and following == "of") or (word == "rather" and following == "than")
        if word in _STOPS:
            cuts.append(place + 1)
            conditional = following in _CONDITIONS or following in _CONCESSIONS
        elif word in _BREAKS or word == ";" or swapped or (word == "as" and following == "long") or word == "provided":
            cuts.append(place)
            conditional = word in _CONDITIONS or word in _CONCESSIONS
        elif (word == "," and (following in _IMPERATIVES or following in _FRESH or conditional)) or (
            word == "and" and (following in _IMPERATIVES or following == "tell")
        ):
            cuts.append(place + 1)
            conditional = False
    return [(start, end) for start, end in zip(cuts, [*cuts[1:], last], strict=True) if start < end]


def _is_conditional(part: list[str]) -> bool:
    """Whether words only set a condition, or name what another thing is given in place of."""
    first = part[0] if part else ""
    return first in _CONDITIONS and (first not in ("instead", "rather") or part[1:2] in (["of"], ["than"]))


def _polarity(part: list[str], header: bool = False) -> tuple[bool, bool]:
    """Whether words warn, and whether they recommend; a warning outweighs."""
    prohibits = recommends = False
    settled = -1
    for place, word in enumerate(part):
        if place <= settled:
            continue
        if word in _NEGATORS:
            ahead = part[place + 1 : place + 4]
            limit = next((count for count, one in enumerate(ahead) if one in _LIMITS), None)
            if limit is not None or (ahead and ahead[0] in ("only", "just")):
                settled = place + 1 + (limit or 0)
                recommends = True
                continue
            harmless = next(
                (count for count, one in enumerate(ahead) if one in _HAZARDS or one in _HARMLESS_NOUNS), None
            )
            if harmless is not None and word not in ("never", "don't"):
                recommends = True
                settled = place + 1 + harmless
                continue
            if place and part[place - 1] == "why":
                continue
            prohibits = True
        elif word == "stop" and place and part[place - 1] in _STOPS_SIGNS and part[place - 1] != "should":
            recommends = True  # `will stop the diarrhoea`
        elif word in _HAZARDS or word in _PROHIBITIONS:
            prohibits = True
        elif word in _RECOMMENDATIONS or (header and word in _PLANS):
            recommends = True
        elif word == "feed":
            recommends = recommends or place == 0 or part[place - 1] in _BEFORE_FEED
        elif word == "with":
            recommends = recommends or (place > 0 and part[place - 1] in _WITH) or "treat" in part[:place]
        elif word == "will":
            recommends = recommends or part[place + 1 : place + 2] not in ([], *([one] for one in _WILL_NOT))
        elif word in _PASSIVE:
            recommends = recommends or any(one in _PASSIVE_LEADS for one in part[max(0, place - 2) : place])
        elif word in _MODALS:
            recommends = recommends or any(one in _AFTER_MODAL for one in part[place + 1 : place + 4])
    return prohibits, recommends


def _has_dose(part: list[str]) -> bool:
    """Whether a figure with a unit of dose, or a count of tablets, stands in these words."""
    for place, word in enumerate(part):
        if (word in _PIECES or word in _MEASURES) and not (
            _COUNTS.isdisjoint(one if one[0].isalpha() else "1" for one in part[max(0, place - 3) : place])
            and _OFTEN.isdisjoint(part[place + 1 : place + 6])
        ):
            return True
        if ("0" <= word[0] <= "9" or word in _COUNTS) and any(
            one in _DOSE_UNITS for one in part[place + 1 : place + 4]
        ):
            return True
    return False


def _is_quoted(text: str, starts: list[int], place: int, words: list[str]) -> bool:
    """Whether a name stands inside quotation marks, or in what somebody is said to have asked."""
    before = text[: starts[place]]
    if before.count('"') % 2 == 1 or before.count("\u201c") > before.count("\u201d"):
        return True
    return any(
        one in ("told", "heard")
        or (one in ("asked", "mentioned", "wrote", "said", "asking") and words[max(0, at - 1)] in _SPEAKERS)
        for at, one in enumerate(words[:place])
    )


def _praises(part: list[str]) -> bool:
    """Whether words call something good to eat."""
    for place, word in enumerate(part):
        before = part[place - 1] if place else ""
        if word in _NEGATORS:
            ahead = part[place + 1 : place + 4]
            if not (_HARMLESS_NOUNS.isdisjoint(ahead) and _HAZARDS.isdisjoint(ahead)):
                return True
        elif word == "feed":
            if not place or before in _BEFORE_FEED:
                return True
        elif word in _TREATS:
            if before in _BEFORE_TREAT:
                return True
        elif word in ("only", "just", "merely"):
            if not _SMALL.isdisjoint(part[place + 1 : place + 4]):
                return True
        elif word in _TOXIN_PRAISE or (word in _MODALS and not _AFTER_MODAL.isdisjoint(part[place + 1 : place + 4])):
            return True
    return False


def _belittles(part: list[str]) -> bool:
    """Whether words make a poison's harm small: `only causes a mild upset`."""
    return any(
        word in ("only", "just", "merely") and not _SMALL.isdisjoint(part[place + 1 : place + 5])
        for place, word in enumerate(part)
    )


def _leans_on(words: list[str], topic: _Topic) -> bool:
    """Whether a sentence without a name of its own gives what was spoken of before: `Give it twice a day.`"""
    start = 0
    while start < len(words) and not words[start][0].isalpha():
        start += 1
    for first, end in _segments(words):
        part = words[first:end]
        prohibits, _ = _polarity(part)
        if prohibits or not part or part[0] in _CONDITIONS:
            continue
        if topic.question and first <= start < end and words[start] in _YES:
            return True
        for place, word in enumerate(part):
            ahead = part[place + 1 : place + 5]
            if word in _IMPERATIVES or word in ("giving", "using", "repeat", "take"):
                for count, one in enumerate(ahead):
                    if one in _POINTERS or "0" <= one[0] <= "9":
                        after = ahead[count + 1 : count + 2]
                        if one == "it" and after and after[0] in _ANIMAL_IT:
                            break
                        return True
            elif (
                word in _PRAISE
                and part[place + 1 : place + 2] != ["to"]
                and any(one in _POINTERS or one in ("amount", "amounts") for one in part[max(0, place - 4) : place])
            ):
                return True
    return False


def _per_kg(given: Medication, target: Patient) -> PerKg | None:
    """One administration [unit/kg] of a dose as read; None where a weight or a strength is missing, or it is a rate."""
    if any(one in ("h", "min", "L", "dL", "g") for one in given.per):
        return None
    amount, unit, per = given.amount_max or given.amount, given.unit, given.per[:1]
    if amount is None and given.strength is not None:
        value, inside = given.strength
        if given.tablets is not None and "/" not in inside:
            amount, unit = value * given.tablets, inside
        elif given.volume_ml is not None:
            strength = dosing.read_strength(value, inside)
            if strength is not None and strength.per_ml:
                amount, unit = strength.value * given.volume_ml, strength.unit
    if amount is None or unit in ("mL", "L", "tsp", "tbsp", "cup", ""):
        return None
    measured = units.dimensions(unit)
    numerator = "mg" if measured == ("mass",) else unit
    inside_unit = units.convert(amount, unit, numerator)
    assert inside_unit is not None
    if per in (("kg",), ("lb",)):
        single = units.convert(inside_unit, f"{numerator}/{per[0]}", f"{numerator}/kg")
    elif target.weight_kg is not None and per in ((), ("day",), ("dose",), ("animal",)):
        single = inside_unit / target.weight_kg
    elif target.weight_kg is not None and per == ("m2",) and target.species is not None and target.species.surface_k:
        surface = dosing.surface_m2(target.weight_kg, target.species.surface_k.value)
        single = inside_unit * surface / target.weight_kg
    else:
        return None
    assert single is not None
    often = Decimal(24) / given.interval_h[0] if given.interval_h and 0 < given.interval_h[0] < 24 else Decimal(1)
    return PerKg(single, single if "day" in given.per else single * often, numerator)


def _taken(target: Patient, records: Records) -> list[Drug]:
    """What the animal gets already."""
    found: list[Drug] = []
    for line in target.medications:
        for written in read_line(line, records):
            found += [drug for drug in written.drugs if drug not in found]
    return found
