"""Rules that go into the prompt, the words of that prompt, and the guard that reads what a model writes.

The guard holds back only what it must judge: from the first drug, poison or dose of a sentence to that sentence's
end. Everything else passes at once, byte for byte.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from app.base.errors import BadData
from app.base.messages import Facts, Intervention, Rule
from app.clinic import rules
from app.clinic.deeds import deeds
from app.clinic.dosage import PIECES
from app.clinic.dosage import UNITS as DOSE_UNITS
from app.clinic.judging import LIST_ITEM, Judge, Topic, Verdict
from app.clinic.lexicon import (
    SAME,
    TOKEN,
    Lexicon,
    Node,
    Term,
    folded,
    lexicon,
    misspelt,
    plain,
)
from app.clinic.patient import Patient
from app.clinic.records import Records, RuleRecord, per_records
from app.clinic.waiting import ALERTING

Json = dict[str, Any]

# -- rules and prompt --

RULES_MAX = 24
_NAMED_MAX = 4
_FITTING_MAX = 8
NEEDS_MAX = 6
PROMPT_FILES = ("vetx", "vision", "tools", "owner", "clinician")
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
    if not drugs and not findings and not any(_acts_for(one, records) for one in patients):
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
        for record in (*_acts_for(one, records), *_index(records).standing.get(one.species_name or "", ())):
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


def _acts_for(patient: Patient, records: Records) -> list[RuleRecord]:
    """The rules on what must not be done to an animal that is ill in this way, whatever drug is named."""
    if not patient.conditions:
        return []
    return [
        record
        for record in _index(records).acts
        if ("any" in record.trigger.species or patient.species_name in (None, *record.trigger.species))
        and any(rules.same_condition(said, record.trigger.condition) for said in patient.conditions)
    ]


@dataclass(slots=True)
class _Index:
    """What is looked up often, per set of records."""

    by_id: dict[str, RuleRecord]
    standing: dict[str, tuple[RuleRecord, ...]]
    rendered: dict[tuple[tuple[str, ...], str], tuple[Rule, ...]]
    acts: tuple[RuleRecord, ...]


@per_records
def _index(records: Records) -> _Index:
    """The index of these records: rules by id, and per species the absolute ones that hold whatever else is known."""
    alone = [record for record in records.rules if record.severity == "absolute" and _only_species(record)]
    standing = {name: tuple(record for record in alone if name in record.trigger.species) for name in records.species}
    acts = tuple(record for record in records.rules if record.deed and record.trigger.condition)
    return _Index({record.id: record for record in records.rules}, standing, {}, acts)


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
         trigger.jurisdiction, trigger.route, trigger.sex, trigger.product_of, record.deed)
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
    tools: str
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


def render_prompt(facts: Facts, prompts: Prompts, has_pictures: bool = False, has_tools: bool = False) -> str:
    """Our system message: fixed rules, the rules of these animals and drugs, then what was read and computed.

    The order keeps the longest unchanging part in front, so that an engine's prefix cache hits.
    """
    parts = [prompts.vetx, prompts.owner if facts.audience == "owner" else prompts.clinician]
    if has_pictures:
        parts.append(prompts.vision)
    if has_tools:
        parts.append(prompts.tools)
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
    body = "\n- ".join(lines)
    return f"## {title}\n- {body}" if body else ""


def _facts_sections(facts: Facts) -> Iterable[str]:
    if facts.triage is not None and facts.triage.level in ("emergency", "urgent"):
        yield _section(f"Triage: {facts.triage.level}. Say this first", [facts.triage.reason])
    yield _section("Patients, as read", (_patient_line(one) for one in facts.patients))
    yield _section(
        "Vital signs, against the species' range", (str(row["reason"] or row["text"]) for row in facts.vitals)
    )
    told = [row for row in facts.analytes if "picture" not in row]
    yield _section("Laboratory values, against the species' interval", (_value_line(row) for row in told))
    for sheet in facts.sheets:
        yield _sheet_section(sheet)
    yield _section("What the values say together", (f"{row['name']}: {row['why']}" for row in facts.patterns))
    yield _section(
        "Conditions on record that fit the signs, those that must not be missed first; no diagnosis",
        (f"{name}: {'; '.join(why)}" for one in facts.differentials for name, why in one.fitting(_FITTING_MAX)),
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


def _sheet_section(sheet: Mapping[str, Any]) -> str:
    """The values that were read from a photographed sheet: our names and figures, no word of the sheet's own."""
    if sheet["picture"] is None:
        return ""
    results = [row["result"] for row in sheet["rows"] if row["result"] is not None]
    unsure = dict.fromkeys(row["analyte"] for row in sheet["rows"] if not row["sure"])
    lines = [_value_line(row) for row in results]
    if unsure:
        lines.append(f"not read surely, so ask for them and don't use them: {', '.join(unsure)}")
    where = f"the laboratory sheet in picture {sheet['picture'] + 1}"
    how = "its own text" if sheet["read_by"] == "text" else "character recognition"
    return _section(f"Read from {where} by {how}: say so, and ask to have it compared", lines)


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
_BETWEEN = frozenset(("-", "\u2013", "\u2014", "to", "/", "\u00bd", "\u00bc", "\u00be", "x", "and", "or", "of", "a"))
_RUN = re.compile("[^0-9\u00bc\u00bd\u00be\u2153\u2154.!?\n\u3002\uff01\uff1f]+")
_FIGURE = re.compile("[0-9\u00bc\u00bd\u00be\u2153\u2154]")
_MARKS = frozenset('%#/.!?;:,()\n<>=\u2264\u2265~+"|\u3002\uff01\uff1f\uff0c\uff1b\u3001\u2026-')
_CACHED_WORDS_MAX = 50_000
_AFTER_FIGURE = frozenset(" \t\n\r\u00a0\u202f-\u2013\u2014.,/%()[]*_`~+|:\u00b5\u00d7")
"""What may stand between a figure and its unit; behind anything else no dose is written."""
_WORD_ON = re.compile("[a-z\u00df-\u00f6\u00f8-\u024f\u0370-\u03ff\u0400-\u04ff']*")
_END = re.compile("[.!?\n\u3002\uff01\uff1f]")
_LAST_WORD = re.compile(r"[\w.]+$")
_STOPS = frozenset((".", "!", "?"))
_AFTER_STOP = frozenset(" \t\n\r\"')]*_\u00a0")
_ABBREVIATIONS = frozenset(
    ("e.g", "i.e", "approx", "vs", "dr", "mr", "mrs", "ms", "st", "eg", "ie", "esp", "resp",
     "prof", "ca", "cf", "q.i.d", "b.i.d", "t.i.d", "s.i.d", "p.o", "i.v", "i.m", "s.c")
)  # fmt: skip


@per_records
def alerted(records: Records) -> Lexicon:
    """The lexicon for an emergency: an answer's sentences are held for words of waiting and reassurance too."""
    calm = lexicon(records)
    term = {"": [Term("advice", "alert")]}
    alerting = ALERTING | deeds(records).pressing
    hazards = {**calm.hazards, **{word: {**calm.hazards.get(word, {}), **term} for word in alerting}}
    starts = calm.hazard_starts | {word[:size] for word in alerting for size in range(1, len(word) + 1)}
    return replace(
        calm,
        hazards=hazards,
        hazard_starts=starts,
        harmless={},
        harmless_words=set(),
        starters={},
        harmless_pieces=set(),
        harmless_pairs=set(),
    )


class SafetyGuard:
    """Reads a model's answer as it streams; what the absolute rules forbid, and tenfold doses, never go out.

    The outcome doesn't depend on how the text is cut into pieces. A failure raises: nothing passes unjudged.

    Attributes:
        interventions: what was changed so far.
        spans: for each of them the place of the words it is about, (start, end) in characters of what came in.
        own: the places of its own words, (start, end) in characters of what it let out.
        not_checked: {text, why}: drugs that could not be judged.
    """

    def __init__(self, facts: Facts, records: Records, audience: str) -> None:
        self.interventions: list[Intervention] = []
        self.spans: list[tuple[int, int]] = []
        self.own: list[tuple[int, int]] = []
        self.not_checked: list[Json] = []
        self._done = 0
        self._grown = 0
        self._judge = Judge(facts, records, audience, self.not_checked)
        self._known: Lexicon = alerted(records) if self._judge.alert else lexicon(records)
        self._harmless = self._known.harmless
        self._audience = audience
        self._marked: set[str] = set()
        self._tail = ""
        self._at_suspect = False
        self._mid = False
        self._dot = False
        self._said = ""
        self._held = ""
        self._seen = 0
        self._topic: Topic | None = None
        self._topic_for = 0
        self._header = ""
        self._in_table = False

    def feed(self, text: str) -> str:
        """What may go out now that `text` has come."""
        held = self._held
        if held and held[-1] not in _STOPS and len(held) + len(text) < HELD_BYTES_MAX and _END.search(text) is None:
            self._held = held + text  # a sentence goes on
            return ""
        if self._mid and text and not text[0].isalpha() and text[0] not in "'\u2019":
            self._mid = False
        if not (self._held or self._tail or self._mid or self._dot or self._listens):
            known = self._harmless.get(text)
            if known is not None:
                self._mid = known
                self._said = self._said[-_CONTEXT_MAX:] + text
                self._done += len(text)
                return text
        if len(text) <= _SLICE:
            return self._step(text, last=False) if text else ""
        return "".join(self._step(text[place : place + _SLICE], last=False) for place in range(0, len(text), _SLICE))

    def finish(self) -> str:
        """The rest, judged."""
        return self._step("", last=True)

    @property
    def _listens(self) -> bool:
        """Whether the next sentence is judged whatever it names: it may lean on the one before."""
        return bool(self._topic_for or self._judge.opened)

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
                said = self._decide(sentence)
                out.append(said)
                self._done += len(sentence)
                self._grown += len(said) - len(sentence)
            else:
                if len(rest) > _CACHED_CHARACTERS_MAX:
                    rest, self._tail = self._tail + rest, ""
                    if plainly := self._plainly_harmless(rest):
                        out.append(rest[:plainly])
                        self._done += plainly
                        rest = rest[plainly:]
                passed, rest, hold = self._pass(rest, last)
                out.append(passed)
                self._done += len(passed)
                if hold:
                    self._held, rest = rest, ""
            if not rest and not self._held:
                break
        return "".join(out)

    def _plainly_harmless(self, text: str) -> int:
        """How many characters may pass at once: whole words before the first figure or word that has to be looked at.

        What `_pass` does sentence by sentence, for many at a time.
        """
        if self._mid or self._dot or self._listens:
            return 0
        pieces = folded(text).split(" ")
        harmless, pairs = self._known.harmless_pieces, self._known.harmless_pairs
        size, last = 0, len(pieces) - 1  # the last one may go on
        for place in range(last):
            piece = pieces[place]
            known = not piece or piece in harmless or (place + 1 < last and (piece, pieces[place + 1]) in pairs)
            if not known and self._is_suspect(piece, pieces, place):
                self._at_suspect = True
                break
            size += len(piece) + 1
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

    def _is_suspect(self, piece: str, pieces: list[str], place: int) -> bool:
        """Whether what stands between two spaces has to be looked at; what never has is remembered."""
        if _FIGURE.search(piece) is not None:
            return True
        words = TOKEN.findall(piece)
        if not any(self._may_begin(word, "") for word in words if word not in _MARKS):
            if len(piece) <= _CACHED_CHARACTERS_MAX and len(self._known.harmless_pieces) < _CACHED_WORDS_MAX:
                self._known.harmless_pieces.add(piece)
            return False
        if words != [piece] or self._starter(piece) is None or place + 2 >= len(pieces):
            return True  # what follows a name's first word decides, and may not have come whole yet
        following = pieces[place + 1]
        first = TOKEN.match(following)
        if first is None or self._may_begin(piece, first[0]):
            return True
        if len(following) <= _CACHED_CHARACTERS_MAX and len(self._known.harmless_pairs) < _CACHED_WORDS_MAX:
            self._known.harmless_pairs.add((piece, following))
        return False

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
        if self._listens and not self._said.strip():
            words = buffer.lstrip()
            return buffer[: len(buffer) - len(words)], words, bool(words)
        low = folded(buffer)
        place, size = 0, len(buffer)
        plain_words = not (self._mid or last)
        if self._mid:
            found = _WORD_ON.match(low)
            place = found.end() if found is not None else 0
            self._mid = place == size
        if not self._at_suspect:
            place = self._past_harmless(low, place)
        self._at_suspect = False
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
            if name in PIECES or (len(name) >= 6 and misspelt(known, name) is not None):
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
            return word in PIECES or (len(word) >= 6 and misspelt(self._known, word) is not None)
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
            if word in DOSE_UNITS:
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
            if verdict.is_drug:
                self._topic, self._topic_for = Topic(verdict, question=False), _TOPIC_SENTENCES + 1
        elif verdict is not None and verdict.rule not in self._marked:
            out = self._mark(held, verdict)
            self._marked.add(verdict.rule)
        self._said = text
        self._close()
        return out

    def _mark(self, held: str, verdict: Verdict) -> str:
        """The held words as they are, and behind them what the record says: vets drop tools that censor them."""
        self._note(verdict, held, None)
        said = held.rstrip()
        return said + self._say_own(f" [Mark: {verdict.says}]", len(said)) + held[len(said) :]

    def _say_own(self, words: str, behind: int) -> str:
        """Words of the guard's own, which stand behind so many characters of a sentence."""
        start = self._done + self._grown + behind
        self.own.append((start, start + len(words)))
        return words

    def _note(self, verdict: Verdict, held: str, withheld: str | None) -> str:
        """Write down what was done with a sentence, and why; the reason."""
        why = f"{verdict.what} {verdict.says}"
        self.spans.append((self._done + len(held) - len(held.lstrip()), self._done + len(held.rstrip())))
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
        why = self._note(verdict, held, held.strip())
        dash = "\u2014 " if any(mark.isalpha() for mark in self._said) else ""
        return space + self._say_own(f"{dash}[Withheld: {why}]", len(space)) + end

    def _close(self) -> None:
        """A sentence is over: remember what the next ones may lean on."""
        said = self._said.strip()
        self._said = ""
        if not said:
            return
        self._judge.pass_by()
        table = said.startswith("|")
        if said.endswith((":", ":**", ":*")) or said.startswith("#") or (table and not self._in_table):
            self._header = said[-400:]
        elif not LIST_ITEM.match(said):
            self._header = ""
        self._in_table = table
        if self._topic_for:
            self._topic_for -= 1
            if not self._topic_for:
                self._topic = None
