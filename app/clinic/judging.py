"""Whether a sentence of a model may reach the reader: what it names and gives, against the records of the animals."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any, NamedTuple

from app.base.messages import Facts
from app.clinic import dosing, rules, units
from app.clinic.check import PerKg, within_limit
from app.clinic.deeds import deeds
from app.clinic.dosage import UNITS, Named, Said, every, quantities, stated
from app.clinic.lexicon import COMMON_BREED_WORDS, Places, Term, lexicon, misspelt, scan, vocabulary
from app.clinic.patient import Patient, PatientShape, normalise
from app.clinic.reading import read
from app.clinic.records import DoseRecord, Drug, Records, RuleRecord, Source, Threshold, Toxin, per_records
from app.clinic.tone import (
    ADDED,
    ANIMAL_IT,
    CONDITIONS,
    DESCRIBES,
    EXCEPTIONS,
    HUMANS,
    IMPERATIVES,
    INJECTED,
    LINKS,
    NEGATORS,
    NOT_SPECIES,
    POINTERS,
    PRAISE,
    TOGETHER,
    YES,
    belittles,
    eases,
    has_dose,
    is_conditional,
    is_granted,
    is_past,
    is_quoted,
    polarity,
    praises,
    segments,
    shows_signs,
    tells_harm,
)
from app.clinic.triage import stated as signs_stated
from app.clinic.waiting import ADVICE, ALERTING, lets_wait, makes_vomit, reassures, without_delay
from app.clinic.written import read_line

Json = dict[str, Any]

LIST_ITEM = re.compile(r"\s*(?:[-*+\u2022|]|\d{1,2}[.)]\s)")
_CASES_MAX = 256
_LIMITS_MAX = 4_096
_SPOKEN_SENTENCES = 3
_VETS = vocabulary("vet vets veterinarian veterinarians veterinary prescribed prescription tierarzt veterinario")
_MANNERS = vocabulary("bolus undiluted neat rapid rapidly fast quickly push")
_SLOWLY = vocabulary("slow slowly thinned diluted dilute minutes infusion drip")
_MONOVALENT = ("potassium", "sodium")
_SAME = {"mEq": "mmol", "mmol": "mEq"}
"""Of monovalent ions a milliequivalent is a millimole."""
_CHEMISTS = "salt"
"""A poison that is a chemist's word too, beside a drug: `a dexamethasone salt`."""
_IN_PEOPLE = frozenset(("in", "for", "with"))
_FORMS = vocabulary("paste gel pour wormer dewormer drench bolus boluses injectable injection granules product on")
_BODIES = frozenset(("kg", "lb", "kgs", "lbs"))
_STOPS = frozenset((".", "!", "?", ";", "\n"))
_SUPPOSES = vocabulary("if when whenever unless until before after should where once")
_HAVING = vocabulary(
    "with despite in has have having had is are being although though while keeps suffering mit con avec"
)
"""What an illness is said to be an animal's by; `may cause kidney failure` says it of none."""
_LACKS = vocabulary("not eaten eats ate won't refuses refused off without skipped on")
_NAME_LETTERS_MIN = 7
_LEADS = vocabulary(
    "exactly roughly approximately around initially usually between another additional increase maximum minimum "
    "instead infusion receive requires dosages subsequently perhaps hourly injected administered nightly another "
    "however recommended suggested milligrams standard correct starting maintenance loading equals becomes"
)
_CARRIES = vocabulary(
    "daily once twice every q times hours evening morning dose doses dosage dosis give it start administer run titrate "
    "use repeat increase that means gib geben administre inject infuse dosed given rate bolus"
)


class Verdict(NamedTuple):
    """Why a sentence must not go out: the rule, what was wrong and what the record says.

    Attributes:
        is_drug: it is about something given, which the next sentence may give again by `it`.
    """

    rule: str
    severity: str
    what: str
    says: str
    source: Json
    is_drug: bool = True


class Topic(NamedTuple):
    """A drug that must not be given, named without being recommended: the next sentence may still do it."""

    verdict: Verdict
    question: bool


class _Spot(NamedTuple):
    """A named drug, class or poison in a sentence."""

    start: int
    end: int
    drugs: tuple[str, ...]
    classes: tuple[str, ...]
    toxin: str | None
    product_of: str | None = None


class _Sentence(NamedTuple):
    """What the words of a sentence name, each with its place."""

    words: list[str]
    bag: frozenset[str]
    spots: list[_Spot]
    species: list[tuple[int, str]]
    denied: list[tuple[int, str]]
    routes: list[tuple[int, str]]
    intervals: list[tuple[int, Decimal]]
    conditions: list[str]
    breeds: list[str]


class _Part:
    """A part of a sentence that speaks for itself: its words, whether it warns, recommends, tells of the past.

    How it speaks is worked out when first asked: most doses are right, and most drugs break no rule.
    """

    __slots__ = ("_tone", "end", "start", "words")

    def __init__(self, words: list[str], start: int, end: int) -> None:
        self.words = words
        self.start = start
        self.end = end
        self._tone: tuple[bool, bool] | None = None

    @property
    def prohibits(self) -> bool:
        return self._polarity()[0]

    @property
    def recommends(self) -> bool:
        return self._polarity()[1]

    @property
    def past(self) -> bool:
        return is_past(self.words)

    def _polarity(self) -> tuple[bool, bool]:
        if self._tone is None:
            prohibits, recommends = polarity(self.words)
            self._tone = prohibits, recommends or is_granted(self.words)
        return self._tone


class _Meaning(NamedTuple):
    """What a phrase says to the guard."""

    spot: tuple[tuple[str, ...], tuple[str, ...], str | None] | None
    species: str | None
    route: str | None
    hours: Decimal | None
    condition: str | None
    breed: str | None


_Head = tuple["_Meaning | None", "dict[str, _Head]"]
"""What a word, or the words so far, mean; and the words that may follow."""


class _Here(NamedTuple):
    """What stands around a name: the words of its part of the sentence, doses, route, drugs given with it."""

    words: list[str]
    doses: Sequence[Said]
    routes: Sequence[str | None]
    beside: frozenset[str]
    measured: bool = False
    eased: bool = False


class _Case:
    """The animals of a request, and what was worked out for them; the next request about the same ones finds it."""

    def __init__(self, facts: Facts, records: Records) -> None:
        self.patients = tuple(normalise(PatientShape.model_validate(given), records) for given in facts.patients)
        self.kinds: dict[str, Patient] = {}
        self.ill: dict[tuple[int, tuple[str, ...]], Patient] = {}
        self.bred: dict[tuple[int, str], Patient] = {}
        self.taken: dict[int, tuple[Drug, ...]] = {}
        self.forbidden: dict[tuple[Any, ...], RuleRecord | None] = {}
        self.bounds: dict[tuple[str, int, str, str | None], _Bound | None] = {}

    def forget(self) -> None:
        """Empty all that is kept by an animal's identity: another may have it when the first is gone."""
        for kept in (self.ill, self.bred, self.taken, self.forbidden, self.bounds):
            kept.clear()


class _Limit(NamedTuple):
    """What a record allows per kg: once, and in a day where it says how often."""

    row: DoseRecord
    low: Decimal
    high: Decimal
    daily: Decimal | None


class _Bound(NamedTuple):
    """What records of a route allow per kg together: the least, the row of the most, and the most in a day.

    Attributes:
        daily_known: over the rows that say how often, and the single dose of the others.
        daily: None where one of them doesn't say how often.
        hours: the least between doses that they know [h]; None where one of them may be given once or doesn't say.
    """

    low: Decimal
    most: _Limit
    daily_known: Decimal
    daily: Decimal | None
    hours: Decimal | None


class _Kept:
    """What was worked out from one set of records, kept for the next request."""

    def __init__(self, records: Records) -> None:
        self.records = records
        self.cases: dict[tuple[str | None, str], _Case] = {}
        self.deeds = deeds(records)
        self.by_dose: dict[str, bool] = {}
        self.heads: dict[str, _Head | None] = {}
        self.of_class: dict[str, Drug] = {}
        for drug in records.drugs.values():
            for name in drug.classes:
                self.of_class.setdefault(name, drug)


_kept = per_records(_Kept)


class Judge:
    """Knows the animals of a request and whether a sentence gives one of them what it must not have.

    Attributes:
        alert: the conversation is an emergency: no sentence may let it wait.
        opened: doses of the last line; the next one may say how often, or how, they are given.
    """

    def __init__(self, facts: Facts, records: Records, audience: str, not_checked: list[Json]) -> None:
        self._facts = facts
        self._records = records
        self._known = lexicon(records)
        self._kept = _kept(records)
        self._audience = audience
        self._not_checked = not_checked
        self._made: _Case | None = None
        triage = facts.triage
        self.alert = triage is not None and triage.level == "emergency"
        self._decimal_commas = bool(facts.language) and not facts.language.startswith(("en", "zh"))
        asked = {str(row.get("drug")) for row in facts.doses} & records.drugs.keys()
        self._spoken: tuple[str, ...] = tuple(asked) if len(asked) == 1 else ()
        self._spoken_for = _SPOKEN_SENTENCES
        self._spoken_part: _Part | None = None
        self.opened: list[Said] = []
        self._begun: tuple[RuleRecord, Verdict] | None = None
        self._listened = self._kept.deeds.pressing if self.alert else self._kept.deeds.listened

    @property
    def _case(self) -> _Case:
        """The request's animals, normalised on first need."""
        if self._made is None:
            cases = self._kept.cases
            key = (self._facts.jurisdiction, repr(self._facts.patients))
            made = cases.get(key)
            if made is None:
                made = _Case(self._facts, self._records)
                if len(cases) >= _CASES_MAX:
                    cases.pop(next(iter(cases)))
                cases[key] = made
            self._made = made
        return self._made

    def judge(self, text: str, header: str, topic: Topic | None) -> tuple[Verdict | None, Topic | None]:
        """Why the sentence must not go out, or None; and a drug to keep in mind for the next sentences."""
        words, places = scan(text)
        if self._decimal_commas and "," in text:
            words = [word.replace(",", ".") if "0" <= word[0] <= "9" else word for word in words]
        said = self._named(words)
        asks = bool(words) and (words[-1] in ("?", "\uff1f") or words[-2:-1] == ["?"])
        targets = self._targets(said, header)
        if not asks and not said.bag.isdisjoint(ADVICE):
            advice = self._bad_advice(text, said, targets)
            if advice is not None:
                return advice, None
        if self.alert and not asks and not said.bag.isdisjoint(ALERTING) and reassures(text):
            return self._delay(text, targets), None
        if not asks and not said.bag.isdisjoint(self._listened):
            deed = self._harmful_deed(text, said, targets, header)
            if deed is not None:
                return deed, None
        if self._begun is not None and LIST_ITEM.match(text) and self._kept.deeds.goes_on(self._begun[0], words):
            return self._begun[1], None
        doses = self._stated(said, text, asks)
        if not said.spots and not doses:
            if not UNITS.isdisjoint(said.bag):
                self._unknown(said)
            late = self._told_more(said, targets)
            if late is not None:
                return late, None
            if topic is not None and not asks and _leans_on(words, topic):
                return topic.verdict, None
            return None, None
        if not targets:
            self._unjudged(said)
            self._speak(said, ())
            return None, self._remember(said.spots, asks) if not said.species and not said.denied else None
        parts = [_Part(words[start:end], start, end) for start, end in segments(words)]
        listed = bool(header) and LIST_ITEM.match(text) is not None
        leading = polarity(scan(header)[0], header=True) if header and listed else (False, False)
        wrong = None if asks else self._wrong_dose(doses, targets, said, parts, leading)
        verdict, keep = self._wrong_drug(text, places, said, doses, targets, header, parts, leading, asks)
        self._speak(said, parts)
        if verdict is None or (verdict.severity != "absolute" and wrong is not None):
            verdict = wrong or verdict
        if verdict is None:
            self.opened = doses if doses and not asks and LIST_ITEM.match(text) else []
        return verdict, None if verdict is not None else keep

    def _wrong_drug(
        self, text: str, places: Places, said: _Sentence, doses: list[Said], targets: list[Patient], header: str,
        parts: list[_Part], leading: tuple[bool, bool], asks: bool,
    ) -> tuple[Verdict | None, Topic | None]:  # fmt: skip
        """A drug or poison recommended to an animal that must not have it; or one only named, to keep in mind."""
        words, spots = said.words, said.spots
        if not spots and doses:
            spots = [_Spot(one.place, one.place, one.drugs, (), None) for one in doses]
        keep: Topic | None = None
        serious: Verdict | None = None
        carried: _Spot | None = None
        for part in parts:
            inside = [spot for spot in spots if part.start <= spot.start < part.end]
            about = inside or ([carried] if carried is not None else [])
            if not about or (not inside and POINTERS.isdisjoint(part.words)):
                continue
            carried = about[-1]
            own = [one for one in said.species if part.start <= one[0] < part.end]
            if not own and not HUMANS.isdisjoint(part.words) and _IN_PEOPLE.issuperset(_before_people(part.words)):
                continue
            elsewhere = own and len(own) < len(said.species)
            meant_here = self._targets(said._replace(species=own), header) if elsewhere else targets
            routes: list[str | None] = [name for place, name in said.routes if part.start <= place < part.end]
            if len(about) > 1:
                del routes[1:]  # whose the others are is not known
            if not routes:
                routes = ["injected" if not INJECTED.isdisjoint(part.words) else None]
            advised: tuple[bool, bool] | None = None
            eased = eases(part.words)
            if eased or any(spot.toxin is not None and not spot.drugs for spot in about):
                advised = self._advised(part, about, inside, said, doses, leading, asks)
            here = _Here(part.words, doses, routes, _given_together(part.words, inside),
                         advised is not None and advised[1], eased and advised is not None and advised[0])  # fmt: skip
            for spot in about:
                for target in meant_here:
                    verdict = self._verdict(spot, target, here)
                    if verdict is None:
                        continue
                    keep = keep or Topic(verdict, asks)
                    if advised is None:
                        advised = self._advised(part, about, inside, said, doses, leading, asks)
                    first = about[0].start
                    if not advised[0] or is_quoted(text, places.span(first, first + 1)[0], words[:first]):
                        continue
                    if verdict.severity == "absolute":
                        return verdict, None
                    serious = serious or verdict
        return serious, keep

    def _advised(
        self, part: _Part, about: list[_Spot], inside: list[_Spot], said: _Sentence, doses: list[Said],
        leading: tuple[bool, bool], asks: bool,
    ) -> tuple[bool, bool]:  # fmt: skip
        """Whether a part of a sentence recommends what it names, and whether it does so with an amount."""
        words = part.words
        prohibits, recommends = part.prohibits or leading[0], part.recommends or leading[1]
        dosed = any(part.start <= one.place < part.end for one in doses) or has_dose(words)
        if about[0].toxin is not None and not about[0].drugs:
            recommends = praises(words) or (recommends and dosed)
            prohibits = prohibits and not belittles(words)
        measured = recommends and dosed
        if prohibits or asks or is_conditional(words) or (part.past and words[0] not in ADDED):
            return False, measured
        if not said.spots and self._spoken_ill and not recommends:
            return False, measured
        alone = dosed or (self._audience == "owner" and DESCRIBES.isdisjoint(words))
        return recommends or (bool(inside) and alone and not tells_harm(words)), measured

    # -- what was spoken of before

    def _carried(self, said: _Sentence, text: str, asks: bool) -> tuple[str, ...]:
        """The drug that a figure without a name may belong to: that of the sentences before."""
        if asks or not self._spoken or UNITS.isdisjoint(said.bag) or self._names_another(said):
            return ()
        near = LIST_ITEM.match(text) is not None or any("0" <= word[0] <= "9" for word in said.words[:4])
        return self._spoken if near or not _CARRIES.isdisjoint(said.bag) else ()

    def _unknown(self, said: _Sentence) -> None:
        """A dose of what no record knows can't be cleared."""
        first = next((place for place, word in enumerate(said.words) if "0" <= word[0] <= "9"), 0)
        if self._names_another(said) and not UNITS.isdisjoint(said.words[first : first + 3]):
            self._not_cleared(said.words[first - 1], "unknown_drug")

    def _names_another(self, said: _Sentence) -> bool:
        """Whether right before the first figure stands a word that nobody here knows: a drug without a record."""
        words = said.words
        first = next((place for place, word in enumerate(words) if "0" <= word[0] <= "9"), 0)
        lead = words[first - 1] if first else ""
        if len(lead) < _NAME_LETTERS_MIN or not lead.isalpha() or lead in _LEADS:
            return False
        return lead not in self._known.root and self._kept.heads.get(lead) is None

    def _speak(self, said: _Sentence, parts: Sequence[_Part]) -> None:
        """Remember the drug of a sentence, and the part of it that names that one."""
        self.opened = []
        for spot in reversed(said.spots):
            if spot.drugs:
                self._spoken = spot.drugs
                self._spoken_part = next((part for part in parts if part.start <= spot.start < part.end), None)
                break
        if self._spoken:
            self._spoken_for = _SPOKEN_SENTENCES

    @property
    def _spoken_ill(self) -> bool:
        """Whether the drug that was spoken of was only warned of, or told of in the past."""
        part = self._spoken_part
        return part is not None and (part.prohibits or part.past)

    def pass_by(self) -> None:
        """A sentence is over."""
        if self._spoken_for:
            self._spoken_for -= 1
            if not self._spoken_for:
                self._spoken, self.opened = (), []

    def _told_more(self, said: _Sentence, targets: list[Patient]) -> Verdict | None:
        """A dose of a line before, with the route or the interval that this one says."""
        opened, self.opened = self.opened, []
        hours = _every(said) if opened else None
        route = said.routes[0][1] if said.routes else None
        if not opened or (hours is None and route is None) or polarity(said.words)[0]:
            return None
        whole = [one._replace(hours=hours or one.hours, route=route or one.route) for one in opened]
        every_one = [(one, target, name) for one in whole for target in targets for name in one.drugs]
        found = (self._excess(self._records.drugs[name], one, target) for one, target, name in every_one)
        verdict = next((one for one in found if isinstance(one, Verdict)), None)
        if verdict is None:
            self.opened = whole
        return verdict

    # -- advice without a drug

    def _bad_advice(self, text: str, said: _Sentence, targets: list[Patient]) -> Verdict | None:
        """Vomiting made where it harms, or an emergency told to wait."""
        if makes_vomit(text):
            return self._vomiting(said.spots, targets)
        if not lets_wait(text):
            return self._delay(text, targets) if reassures(text) else None
        met = (self._records.toxins[spot.toxin] for spot in said.spots if spot.toxin is not None)
        poisons = ((toxin, target) for toxin in met for target in targets if _is_grave(toxin, target))
        return next((self._poison(toxin, target) for toxin, target in poisons), None) or self._delay(text, targets)

    def _harmful_deed(self, text: str, said: _Sentence, targets: list[Patient], header: str) -> Verdict | None:
        """An act that harms whatever drug is named, told to be done to one of these animals."""
        words = said.words
        for rule, is_ill in self._kept.deeds.advised(words, said.bag, self.alert):
            wanted, species = rule.trigger.condition, rule.trigger.species
            for target in targets or (None,):
                if "any" not in species and (target is None or target.species_name not in species):
                    continue
                had = target.conditions if target is not None else ()
                pressing = self.alert and any(rules.same_condition(one, wanted) for one in had)
                if (wanted and not is_ill and not pressing) or is_quoted(text, len(text), words):
                    continue
                if header and LIST_ITEM.match(text) and polarity(scan(header)[0], header=True)[0]:
                    continue
                says = rule.owner_text if self._audience == "owner" else rule.text
                made = Verdict(
                    rule.id, rule.severity, "the text advised what harms.", says, rule.sources[0].json, False
                )
                self._begun = rule, made
                return made
        return None

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
                verdict = self._verdict(spot, target, _Here([], [], (None,), frozenset()))
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

    def _delay(self, text: str, targets: list[Patient]) -> Verdict | None:
        """Why what was said can't wait: a red flag of the conversation, or of the sentence itself."""
        what = "the text let an emergency wait."
        triage = self._facts.triage
        if triage is not None and triage.level == "emergency":
            source: Json = next((row["source"] for row in triage.red_flags if row.get("source")), {})
            return Verdict("emergency-delayed", "absolute", what, triage.reason, source)
        for sign in signs_stated(read(without_delay(text), self._records), self._records)[0].signs:
            flag = self._records.flags[sign.flag]
            can_be = "any" in flag.species or not targets or any(one.species_name in flag.species for one in targets)
            if flag.level == "emergency" and can_be:
                return Verdict("emergency-delayed", "absolute", what, flag.reason, flag.sources[0].json)
        return None

    def _remember(self, spots: list[_Spot], asks: bool) -> Topic | None:
        """A drug spoken of for people that one of the animals must not have."""
        for spot in spots:
            for target in self._case.patients:
                verdict = self._verdict(spot, target, _Here([], [], (None,), frozenset()))
                if verdict is not None:
                    return Topic(verdict, asks)
        return None

    # -- whom and what

    def _named(self, words: list[str]) -> _Sentence:
        """Drugs and poisons, species meant, species excluded (`in dogs, not cats`), routes, intervals."""
        said = _Sentence(words, frozenset(words), [], [], [], [], [], [], [])
        heads = self._kept.heads
        after, last = 0, len(words)
        for place, word in enumerate(words):
            if place < after:
                continue
            try:
                head = heads[word]
            except KeyError:
                head = self._look_up(word)
            if head is None:
                continue
            meaning, following = head
            end = after = place + 1
            while end < last and following:
                more = following.get(words[end])
                if more is None:
                    break
                end += 1
                following = more[1]
                if more[0] is not None:
                    meaning, after = more[0], end
            if meaning is not None:
                _sort(said, meaning, place, after)
        if len(said.spots) > 1 and any(spot.drugs for spot in said.spots):
            said.spots[:] = [spot for spot in said.spots if spot.drugs or spot.toxin != _CHEMISTS]
        return said

    def _look_up(self, word: str) -> _Head | None:
        """What may begin with a word; looked up once."""
        node = self._known.root.get(word)
        head = None if node is None else _compiled(node, word, self._records)
        if head is None and len(word) >= 6:
            near = misspelt(self._known, word)
            meaning = None if near is None else _meaning(near, common=False, records=self._records)
            head = None if meaning is None else (meaning, {})
        heads = self._kept.heads
        if len(heads) < _WORDS_MAX and len(word) <= _WORD_LETTERS_MAX:
            heads[word] = head
        return head

    def _targets(self, said: _Sentence, header: str) -> list[Patient]:
        """The animals a sentence is about, with the illnesses that it says they have."""
        meant = self._meant(said, header)
        if len(said.breeds) == 1:
            meant = [self._of_breed(one, said.breeds[0]) for one in meant]
        return [self._ill(one, tuple(said.conditions)) for one in meant] if said.conditions else meant

    def _of_breed(self, target: Patient, name: str) -> Patient:
        """The animal as one of a breed that the sentence names, where its own is not known."""
        breeds = self._records.breeds_named(name, target.species_name)
        if target.breed is not None or target.species is None or not breeds:
            return target
        bred = self._case.bred
        key = id(target), name
        if key not in bred:
            if len(bred) >= _LIMITS_MAX:
                self._case.forget()
            bred[key] = replace(target, breed=breeds[0])
        return bred[key]

    def _ill(self, target: Patient, conditions: tuple[str, ...]) -> Patient:
        """The animal, with illnesses besides its own."""
        ill = self._case.ill
        key = id(target), conditions
        if key not in ill:
            if len(ill) >= _LIMITS_MAX:
                self._case.forget()
            ill[key] = replace(target, conditions=(*target.conditions, *conditions))
        return ill[key]

    def _meant(self, said: _Sentence, header: str) -> list[Patient]:
        """The animals a sentence is about: those it names, else those its heading names, else the patients."""
        if not said.species and not said.denied and not header and HUMANS.isdisjoint(said.bag):
            return list(self._case.patients)
        excluded = {name for _, name in said.denied}
        names = dict.fromkeys(name for _, name in said.species if name not in excluded)
        if not names and not excluded and self._for_people(said):
            return []
        if not names and header:
            heading = self._named(scan(header)[0]).species
            names = dict.fromkeys(name for _, name in heading if name not in excluded)
        if not names:
            return [patient for patient in self._case.patients if patient.species_name not in excluded]
        found: list[Patient] = []
        for name in names:
            own = [patient for patient in self._case.patients if patient.species_name == name]
            found += own or [self._any(name)]
        return found

    def _for_people(self, said: _Sentence) -> bool:
        """Whether a sentence is about people: `in people`, but not `children's paracetamol`."""
        words = said.words
        return not HUMANS.isdisjoint(said.bag) and any(
            word in HUMANS and (words[place + 1 : place + 2] == [] or words[place + 1] not in self._known.hazards)
            for place, word in enumerate(words)
        )

    def _any(self, species: str) -> Patient:
        """An animal of which only the species is known."""
        kinds = self._case.kinds
        if species not in kinds:
            kinds[species] = normalise(PatientShape.model_validate({"species": species}), self._records)
        return kinds[species]

    def _unjudged(self, said: _Sentence) -> None:
        """Drugs named for nobody in particular can't be cleared."""
        if said.species or said.denied or self._case.patients or self._for_people(said):
            return
        for spot in said.spots:
            for drug in spot.drugs:
                self._not_cleared(drug, "missing_species")

    def _not_cleared(self, text: str, why: str) -> None:
        row = {"text": text, "why": why}
        if row not in self._not_checked:
            self._not_checked.append(row)

    # -- rules

    def _verdict(self, spot: _Spot, target: Patient, here: _Here) -> Verdict | None:
        """Why this animal must not have what a spot names."""
        for generic in spot.drugs:
            drug, beside = self._records.drugs[generic], here.beside - {generic}
            given = None
            if here.doses and self._dose_matters(drug):
                given = next((one for one in here.doses if generic in one.drugs), None)
            per_kg = None if given is None else _per_kg(given, target)
            found = None
            for route in here.routes:
                found = found or self._rule(drug, target, per_kg, route, beside, here.words, spot.product_of)
            if found is None and (here.eased or not _MANNERS.isdisjoint(here.words)):
                found = self._caution(self._records.drugs[generic], target, here)
            if found is not None:
                return self._says(found, generic, target)
            if self._audience == "owner" and self._is_owners_own(self._records.drugs[generic], spot, target, here):
                return self._poison(self._records.toxins[str(spot.toxin)], target)
        for name in spot.classes:
            one = self._kept.of_class.get(name)
            found = None if one is None else self._rule(one, target, None, here.routes[0], frozenset(), here.words)
            if found is not None and name in found.classes:
                return self._says(found, name.replace("_", " "), target)
        if spot.toxin is not None and not spot.drugs:
            toxin = self._records.toxins[spot.toxin]
            harmed = {name for one in toxin.thresholds for name in one.species}
            harmed |= {name for none in toxin.no_thresholds for name in none.species}
            counted = any("0" <= word[0] <= "9" for word in here.words)
            if (target.species_name in toxin.no_safe_amount_species and praises(here.words)) or (
                target.species_name in harmed and (here.measured or (praises(here.words) and not counted))
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
        product_of: str | None = None,
    ) -> RuleRecord | None:
        """The gravest rule that forbids this drug, at this dose where that matters, to this animal.

        A rule of medicine goes before a law, which may not be that of the reader's country.
        """
        single = dose.single if dose is not None and dose.unit == "mg" else None
        figures = (dose.single, dose.daily, dose.unit) if dose is not None else None
        key = (drug.generic, id(target), figures, route, beside, EXCEPTIONS.intersection(words), product_of)
        forbidden = self._case.forbidden
        if key not in forbidden:
            if len(forbidden) >= _LIMITS_MAX:
                forbidden.clear()
            others = [one for one in self._taken(target) if one.generic != drug.generic]
            others += [self._records.drugs[name] for name in beside]
            given = rules.Given(
                drug=drug,
                route=route,
                dose_mg_per_kg=single,
                co_drugs=frozenset(one.generic for one in others),
                co_classes=frozenset(name for one in others for name in one.classes),
                product_of=product_of,
            )
            matches, undecided = rules.hold(target, given, self._facts.jurisdiction, self._records, bans_only=True)
            if single is not None:  # an untested dog of unknown breed, and a dose that kills some
                open_rules = [one.rule for one in undecided if one.why == "missing_breed" and one.rule.trigger.gene]
                matches += [rules.Match(replace(rule, severity="high")) for rule in open_rules]
            for other in others:  # `fluoxetine` beside selegiline: the rule may stand with the other one
                mirrored = rules.Given(
                    drug=other, co_drugs=frozenset((drug.generic,)), co_classes=frozenset(drug.classes)
                )
                pairs, _ = rules.hold(target, mirrored, self._facts.jurisdiction, self._records, bans_only=True)
                matches += [match for match in pairs if match.rule.trigger.co_drug or match.rule.trigger.co_class]
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
            forbidden[key] = min(
                holding, key=lambda rule: (rules.RANKS[rule.severity], bool(rule.trigger.jurisdiction)), default=None
            )
        return forbidden[key]

    def _dose_matters(self, drug: Drug) -> bool:
        """Whether some rule on a drug holds from, or below, a certain dose, or only where one is told."""
        known = self._kept.by_dose.get(drug.generic)
        if known is None:
            every_rule = rules.of_drug(drug, self._records)
            known = any(
                rule.limit is not None or rule.except_dose_below is not None or rule.trigger.gene for rule in every_rule
            )
            self._kept.by_dose[drug.generic] = known
        return known

    def _caution(self, drug: Drug, target: Patient, here: _Here) -> RuleRecord | None:
        """The gravest caution on a drug that words wave aside: `no monitoring is needed`."""
        others = [one for one in self._taken(target) if one.generic != drug.generic]
        given = rules.Given(
            drug=drug,
            route=here.routes[0],
            co_drugs=frozenset(one.generic for one in others),
            co_classes=frozenset(name for one in others for name in one.classes),
        )
        matches, _ = rules.hold(target, given, self._facts.jurisdiction, self._records)
        return next(
            (
                match.rule
                for match in matches
                if match.rule.severity in ("absolute", "high")
                and not match.rule.trigger.jurisdiction
                and not _is_excepted(match.rule, here.words)
                and _route_is_said(match.rule, here.routes[0])
                and (here.eased or _is_rushed(match.rule, here.words))
            ),
            None,
        )

    def _is_owners_own(self, drug: Drug, spot: _Spot, target: Patient, here: _Here) -> bool:
        """Whether an owner is told to give, without a vet, a drug of the medicine cupboard that poisons this animal."""
        if not drug.human_otc or spot.toxin is None or not _VETS.isdisjoint(here.words):
            return False
        toxin = self._records.toxins[spot.toxin]
        harmed = {name for one in toxin.thresholds for name in one.species}
        harmed |= {name for none in toxin.no_thresholds for name in none.species}
        own = [row for row in drug.doses if row.species == target.species_name]
        return target.species_name in harmed and not any(row.route == "TOP" for row in own)

    def _taken(self, target: Patient) -> tuple[Drug, ...]:
        """What the animal gets already."""
        taken = self._case.taken
        if id(target) not in taken:
            found: dict[str, Drug] = {}
            for line in target.medications:
                for written in read_line(line, self._records):
                    found |= {drug.generic: drug for drug in written.drugs}
            taken[id(target)] = tuple(found.values())
        return taken[id(target)]

    def _is_assumed(self, match: rules.Match) -> bool:
        """Whether a high rule holds by an assumption only: of the animal, or of the country."""
        return bool(match.assumed) or (bool(match.rule.trigger.jurisdiction) and self._facts.jurisdiction is None)

    def _says(self, rule: RuleRecord, named: str, target: Patient) -> Verdict:
        """The rule's own words. Where no country is known the strictest rule holds, whoever reads it."""
        what = f"the text recommended {named} for {_whom(target)}."
        says = rule.owner_text if self._audience == "owner" else rule.text
        severity = rule.severity
        if severity == "absolute" and rule.trigger.food_producing and rules.presumed_food(target):
            severity = "high"  # nobody said that this horse will be eaten
        if severity == "absolute" and (there := self._allowed_elsewhere(rule, named, target)):
            severity = "high"
            says = f"{says} Elsewhere ({', '.join(there)}) it is labelled for this kind of animal: say which law holds."
        return Verdict(rule.id, severity, what, says, rule.sources[0].json)

    def _allowed_elsewhere(self, rule: RuleRecord, named: str, target: Patient) -> list[str]:
        """Where no country is known: those whose label has what another's law forbids to this kind of pet."""
        law, drug = rule.trigger.jurisdiction, self._records.drugs.get(named)
        if not law or drug is None or self._facts.jurisdiction is not None or rule.trigger.food_producing is not None \
                or rule.trigger.production_class:  # fmt: skip
            return []
        rows = (row for row in drug.doses if row.species == target.species_name and row.status == "label")
        routed = (row for row in rows if not rule.trigger.route or row.route in rule.trigger.route)
        return sorted({row.country for row in routed} - {"", *law})

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

    # -- doses

    def _stated(self, said: _Sentence, text: str, asks: bool) -> list[Said]:
        """The doses that the sentence states."""
        if UNITS.isdisjoint(said.bag):
            return []
        figures = quantities(said.words)
        if not figures:
            return []
        named = [Named(spot.start, spot.end, spot.drugs) for spot in said.spots if spot.drugs]
        carried: tuple[str, ...] = ()
        if not named or figures[0].start < named[0].start:
            carried = self._carried(said, text, asks)
        if not named and not carried:
            return []
        animals = [place for place, _ in (*said.species, *said.denied)]
        return stated(said.words, figures, named, said.routes, said.intervals, carried, animals)

    def _wrong_dose(
        self, doses: list[Said], targets: list[Patient], said: _Sentence, parts: list[_Part],
        leading: tuple[bool, bool],
    ) -> Verdict | None:  # fmt: skip
        """A dose far above what the record of this species says; warnings and histories are none."""
        high: Verdict | None = None
        if leading[0]:
            return None
        for one in doses:
            for target, generic in [(target, generic) for target in targets for generic in one.drugs]:
                found = self._excess(self._records.drugs[generic], one, target)
                if found is None:
                    continue
                part = next(part for part in parts if part.start <= one.place < part.end)
                if part.prohibits or part.past or (not said.spots and self._spoken_ill and not part.recommends):
                    break
                if shows_signs(part.words, one.place - part.start) and not part.recommends:
                    break
                if isinstance(found, str):
                    self._not_cleared(generic, found)
                elif found.severity == "absolute":
                    return found
                else:
                    high = high or found
        return high

    def _excess(self, drug: Drug, said: Said, target: Patient) -> Verdict | str | None:
        """Why a dose is too much: many times the most on record, or twice it, or as much too often.

        Returns:
            A word where that can't be judged: what is missing.
        """
        dose = _per_kg(said, target)
        if dose is None:
            return "missing_weight" if target.weight_kg is None else None
        rate = "/h" if said.rate else ""
        bound = self._bound(drug, target, dose.unit + rate, said.route)
        if bound is None and dose.unit in _SAME and drug.generic.startswith(_MONOVALENT):
            bound = self._bound(drug, target, _SAME[dose.unit] + rate, said.route)
        if bound is None:
            known = target.species is None or any(row.species == target.species_name for row in drug.doses)
            return None if known else "no_record_for_species"
        low, most = bound.low, bound.most
        high = most.high
        if said.daily:
            infused = self._infused(drug, target, dose.unit) if said.route in _INTO_VEINS else Decimal(0)
            high = max(bound.daily_known, infused)
        often = dose.daily is not None and bound.daily is not None and dose.daily > bound.daily * _HIGH
        often = often or _is_sooner(said, bound)
        if dose.daily is not None and said.hours is not None and said.hours >= _TITRATED_H:
            often = often or dose.daily >= bound.daily_known * _OFTEN_ABOVE
        if dose.single <= high and not often:
            return None
        if (dose.single >= low * _SLIP and dose.single > high * _ABOVE) or dose.single > high * _FAR_ABOVE:
            return self._too_much(drug, target, low, most, dose.unit, said, "dose-tenfold", "at many times the dose")
        if dose.single > high * _HIGH:
            return self._too_much(drug, target, low, most, dose.unit, said, "dose-high", "at more than twice the dose")
        if often:
            return self._too_much(drug, target, low, most, dose.unit, said, "dose-too-often", "more often than is")
        return None

    def _bound(self, drug: Drug, target: Patient, unit: str, route: str | None) -> _Bound | None:
        """What may be given by a route, or by any where none of that one is on record; None: nothing is."""
        bounds = self._case.bounds
        key = (drug.generic, id(target), unit, route)
        if key not in bounds:
            if len(bounds) >= _LIMITS_MAX:
                bounds.clear()
            limits = self._limits(drug, target, unit)
            routed = [one for one in limits if dosing.same_route(one.row, route)] or limits
            bounds[key] = None if not routed else _Bound(
                min(one.low for one in routed),
                max(routed, key=_high),
                max(_most_daily(one) for one in routed),
                None if any(one.daily is None for one in routed) else max(_most_daily(one) for one in routed),
                _least_hours(routed),
            )  # fmt: skip
        return bounds[key]

    def _infused(self, drug: Drug, target: Patient, unit: str) -> Decimal:
        """The most that an infusion on record gives in a day [unit/kg]; 0: there is none."""
        rates = self._limits(drug, target, f"{unit}/h") if "/" not in unit else ()
        return max((one.high for one in rates), default=Decimal(0)) * 24

    def _limits(self, drug: Drug, target: Patient, unit: str) -> tuple[_Limit, ...]:
        """What the records of this species allow, comparable in `unit`/kg (`mg`, `[IU]`) or, for rates, `unit`/kg."""
        body = dosing.body_of(target.weight_kg, target.species)
        rows = [row for row in drug.doses if row.species == target.species_name]
        made = [_rate(row, unit) if unit.endswith("/h") else _limit(row, body, unit) for row in rows]
        return tuple(one for one in made if one is not None)

    def _too_much(
        self, drug: Drug, target: Patient, low: Decimal, most: _Limit, unit: str, said: Said, rule: str, how: str
    ) -> Verdict:
        per = f"{unit}/kg/h" if said.rate else f"{unit}/kg"
        figures = units.shown(low) if low == most.high else f"{units.shown(low)} to {units.shown(most.high)}"
        return Verdict(
            rule,
            "absolute" if rule == "dose-tenfold" else "high",
            f"the text gave {drug.generic} {how} on record for {_whom(target)}.",
            f"The record says {figures} {units.spelt(per)} ({most.row.route}, {dosing.frequency(most.row)}).",
            most.row.sources[0].json,
        )


_LASTING_H = Decimal(300)
_TITRATED_H = Decimal(4)
_OFTEN_ABOVE = Decimal(3)
"""So much more in a day than any row says, where some of them don't say how often."""
_INTO_VEINS = frozenset(("IV", "CRI"))
_SLIP = Decimal("9.5")
_ABOVE = Decimal("1.25")
_FAR_ABOVE = Decimal(3)
_HIGH = Decimal(2)
_WORDS_MAX = 50_000
_WORD_LETTERS_MAX = 40


def _compiled(node: dict[str, Any], word: str, records: Records) -> _Head | None:
    """A branch of the reader's trie with only what the guard asks for; `word` is "" behind the first one."""
    following = {
        more: found
        for more, below in node.items()
        if more and (found := _compiled(below, "", records)) is not None
    }  # fmt: skip
    meaning = _meaning(node.get("", ()), word in COMMON_BREED_WORDS, records)
    return (meaning, following) if meaning is not None or following else None


def _meaning(terms: Sequence[Term], common: bool, records: Records) -> _Meaning | None:
    """What a phrase means to the guard; `common` for a breed's name that is an ordinary word too."""
    drugs = [term.value for term in terms if term.kind == "drug"]
    classes = [term.value for term in terms if term.kind == "class"]
    toxin = next((term.value for term in terms if (term.kind == "toxin" and not term.foreign)
                  or (term.kind == "product" and term.more[1])), None)  # fmt: skip
    if toxin is not None and toxin in records.drugs and not drugs:
        drugs = [toxin]  # `regular aspirin`
    own = [term for term in terms if not term.foreign]
    species = next((str(term.value if term.kind == "species" else term.more) for term in own
                    if term.kind == "species" or (term.kind == "breed" and not common)), None)  # fmt: skip
    breed = next((str(term.value) for term in own if term.kind == "breed" and not common), None)
    route = next((term.value for term in own if term.kind == "route" and term.value), None)
    hours = next((Decimal(term.more[0]) for term in own if term.kind == "frequency" and term.more), None)
    condition = next((term.value for term in own if term.kind == "condition"), None)
    named = bool(drugs or classes or toxin)
    if not (named or species or route or hours or condition):
        return None
    spot = (tuple(dict.fromkeys(drugs)), tuple(dict.fromkeys(classes)), toxin) if named else None
    return _Meaning(spot, species, route, hours, condition, breed)


def _sort(said: _Sentence, meaning: _Meaning, place: int, end: int) -> None:
    """Put what a phrase means where it belongs."""
    if meaning.spot is not None:
        if _is_epidural(said, place):
            said.routes.append((place, "EPI"))
            return
        made_for = None
        between = said.words[said.species[-1][0] + 1 : place] if said.species else ["none"]
        if _FORMS.issuperset(between) and between[:1] != ["on"]:
            made_for = said.species.pop()[1]  # `the dog permethrin`: a product's kind, not a patient
        said.spots.append(_Spot(place, end, *meaning.spot, made_for))
    if meaning.species is not None:
        if (
            said.spots
            and said.spots[-1].end == place
            and said.words[place + 1 : place + 2]
            and said.words[place + 1] in _FORMS
        ):
            said.spots[-1] = said.spots[-1]._replace(product_of=meaning.species)  # `the ivermectin horse paste`
            return
        if _excluded(said.words, place, said.denied):
            said.denied.append((place, meaning.species))
        else:
            said.species.append((place, meaning.species))
            if meaning.breed is not None:
                said.breeds.append(meaning.breed)
    elif meaning.route is not None:
        if said.words[place] != "top" or not place or said.words[place - 1] != "on":  # `on top of`
            said.routes.append((place, meaning.route))
    elif meaning.hours is not None:
        said.intervals.append((place, meaning.hours))
    elif meaning.condition is not None and _is_had(said.words, place):
        said.conditions.append(meaning.condition)


def _before_people(words: list[str]) -> tuple[str, ...]:
    """The word before people: `in humans` speaks of no animal, `human ibuprofen` does."""
    place = next(place for place, word in enumerate(words) if word in HUMANS)
    return (words[place - 1] if place else "",)


def _is_epidural(said: _Sentence, place: int) -> bool:
    """Whether `epi` is no epinephrine but how the drug before it is given: `morphine 0.1 mg/kg epi`."""
    words = said.words
    if words[place] != "epi" or not place or not said.spots or (words[place - 1] not in UNITS | _BODIES):
        return False
    after = words[place + 1 : place + 2]
    return not after or not ("0" <= after[0][0] <= "9" or after[0] in ("iv", "im", "sc", "io", "cri"))


def _is_had(words: list[str], place: int) -> bool:
    """Whether an illness is said of the animal: `with kidney disease`, `even though he has not eaten`."""
    begin = place
    while begin and words[begin - 1] not in _STOPS:
        begin -= 1
    before = words[begin:place]
    if not NEGATORS.isdisjoint(before[-4:]):
        return False
    for at, word in enumerate(before):
        if word in _SUPPOSES and before[at - 1 : at] != ["even"]:
            return False
    return words[place] in _LACKS or not _HAVING.isdisjoint(before[-3:])


def _limit(row: DoseRecord, body: dosing.Body, unit: str) -> _Limit | None:
    single = dosing.single_per_kg(row, body, unit)
    if single is None:
        return None
    often = row.interval_h is not None or row.per == "day"
    return _Limit(row, *single, dosing.daily_per_kg(row, body, unit) if often else None)


def _rate(row: DoseRecord, unit: str) -> _Limit | None:
    """A rate per hour."""
    if row.dose_kind != "cri" or row.status == "unverified" or row.basis != "per_kg":
        return None
    low, high = (units.convert(value, row.dose.unit, f"{unit[:-2]}/kg/h") for value in (row.dose.min, row.dose.max))
    return None if low is None or high is None else _Limit(row, low, high, None)


def _high(one: _Limit) -> Decimal:
    return one.high


def _least_hours(limits: Sequence[_Limit]) -> Decimal | None:
    known = [one.row.interval_h.min for one in limits if one.row.interval_h is not None and not one.row.once]
    return min(known) if known and len(known) == len(limits) else None


def _is_sooner(said: Said, bound: _Bound) -> bool:
    """Whether a dose that lasts for days is given again in less than half that time: a monthly drug once a day."""
    return said.hours is not None and bound.hours is not None and bound.hours >= _LASTING_H > said.hours and (
        said.hours * 2 < bound.hours
    )  # fmt: skip


def _most_daily(one: _Limit) -> Decimal:
    return one.high if one.daily is None else one.daily


def _every(said: _Sentence) -> Decimal | None:
    """The interval that a sentence states [h]."""
    events = every(said.words, said.intervals)
    return events[0][1] if events else None


def _per_kg(said: Said, target: Patient) -> PerKg | None:
    """One administration, or one hour of a rate [unit/kg]; None where a weight or a surface is missing."""
    if said.basis == "kg":
        single = said.amount
    elif target.weight_kg is None:
        return None
    elif said.basis == "m2":
        share = dosing.body_of(target.weight_kg, target.species).m2_per_kg
        if share is None:
            return None
        single = said.amount * share
    else:
        single = said.amount / target.weight_kg
    if said.daily or said.rate or said.hours is None:
        return PerKg(single, single if said.daily else None, said.unit)
    return PerKg(single, single * 24 / said.hours if 0 < said.hours < 24 else single, said.unit)


def _exceeds(rule: RuleRecord, dose: PerKg | None, target: Patient) -> bool:
    """Whether a known dose is known to break a rule's limit."""
    if dose is None or rule.limit is None or ("/" not in rule.limit.unit and target.weight_kg is None):
        return False
    daily = dose.single if dose.daily is None else dose.daily
    return not within_limit(rule, PerKg(dose.single, daily, dose.unit), target)


def _is_rushed(rule: RuleRecord, words: Sequence[str]) -> bool:
    """Whether a drug that a rule wants given slowly or thinned is given at once: `as an undiluted bolus`."""
    if not rule.trigger.route or _MANNERS.isdisjoint(words) or not _SLOWLY.isdisjoint(words):
        return False
    return not _SLOWLY.union(_MANNERS).isdisjoint(units.fold(rule.text).split())


def _is_excepted(rule: RuleRecord, words: Sequence[str]) -> bool:
    """Whether words name what the rule excepts: `heartworm-dose ivermectin`."""
    return bool(rule.except_words) and not EXCEPTIONS.intersection(words).isdisjoint(
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
    return target.species.one if target.species is not None else "this animal"


def _given_together(part: list[str], spots: Sequence[_Spot]) -> frozenset[str]:
    """Drugs that these words give with one another: `meloxicam and carprofen`, not `meloxicam or carprofen`."""
    if len(spots) < 2 or "or" in part or TOGETHER.isdisjoint(part):
        return frozenset()
    return frozenset(drug for spot in spots for drug in spot.drugs)


def _excluded(words: list[str], place: int, denied: list[tuple[int, str]]) -> bool:
    """Whether a species is named only to be left out: `not cats`, `except in rabbits`, `other than dogs`."""
    before = place - 1
    while before >= 0 and place - before <= 4:
        word = words[before]
        if word in NOT_SPECIES:
            return word != "without"
        if word not in LINKS:
            return bool(denied) and word in (",", "or", "and") and denied[-1][0] == before - 1
        before -= 1
    return False


def _leans_on(words: list[str], topic: Topic) -> bool:
    """Whether a sentence without a name of its own gives what was spoken of before: `Give it twice a day.`"""
    start = 0
    while start < len(words) and not words[start][0].isalpha():
        start += 1
    for first, end in segments(words):
        part = words[first:end]
        prohibits, _ = polarity(part)
        if prohibits or not part or part[0] in CONDITIONS:
            continue
        if topic.question and first <= start < end and words[start] in YES:
            return True
        for place, word in enumerate(part):
            ahead = part[place + 1 : place + 5]
            if word == "take" and "to" in ahead[1:3]:
                continue  # `take it to the vet`
            if word in IMPERATIVES or word in ("giving", "using", "repeat", "take"):
                for count, one in enumerate(ahead):
                    if one in POINTERS or "0" <= one[0] <= "9":
                        after = ahead[count + 1 : count + 2]
                        if one == "it" and after and after[0] in ANIMAL_IT:
                            break
                        return True
            elif (
                word in PRAISE
                and part[place + 1 : place + 2] != ["to"]
                and any(one in POINTERS or one in ("amount", "amounts") for one in part[max(0, place - 4) : place])
            ):
                return True
    return False
