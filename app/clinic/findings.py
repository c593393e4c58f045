"""What a text says an animal has, has not, had once, or might have: signs, vital signs and laboratory directions.

Reading knows the facts; this module knows in which sense a phrase stands there. `he had a seizure last year`, `no
seizures` and `what if he ever has a seizure` raise nothing; `can't walk, screaming` denies no screaming.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from functools import cached_property
from typing import Any, Literal, NamedTuple

from app.base.record import record
from app.clinic.lexicon import VITALS, Lexicon, Node, in_portuguese, lexicon, meant, scan, vocabulary
from app.clinic.reading import Reading
from app.clinic.reading import Sign as Raised
from app.clinic.records import Records, per_records

Json = dict[str, Any]
State = Literal["stated", "denied", "past", "asked", "asleep", "another_animal"]
Place = tuple[int, int]

_ENDS = frozenset((".", "!", "?", "\n", "\u3002", "\uff01", "\uff1f", "|"))
_CLAUSES = frozenset(
    (",", ";", ":", "(", ")", "\uff0c", "\uff1b", "\u3001", "but", "however", "although", "though", "pero", "mais",
     "aber", "mas", "sino", "\u4f46", "and", "y", "et", "und", "e", *_ENDS)
)  # fmt: skip
_BREAKS = frozenset(
    ("but", "however", "although", "though", "except", "now", "then", "because", "since", "so", "just", "still", "yet",
     "pero", "mais", "aber", "mas", "sino", "\u4f46", "(", ")", ":", ";", "has", "had", "have", "is", "are", "was",
     "he", "she", "it", "they", "ahora", "jetzt", "maintenant", "agora")
)  # fmt: skip
_FILLERS = vocabulary(
    "his her the a an my its their our some very really any is are was been to of so just being be quite has have it "
    "he she all also completely totally bit little there that this kind like gone got getting both looks look seems "
    "el la los las su sus mi un una muy esta se le lo les son sa ses mon ma est tres un une en de du des au "
    "der die das den dem sein seine ihr ihre mein meine ist sehr ganz total immer o os as meu minha muito bem do da no "
    "\u5f88 \u4e86 \u4e00 \u76f4 \u5728 \u5f97 \u7684 \u6709 \u70b9 \u592a \u90fd"
)
_SKIPPED_MAX = 3
_WAYS_MAX = 64
# `no pain, swelling or fever` denies all of its list; `can't walk, screaming` denies the walking alone.
_LISTING = vocabulary(
    "no without denies denied deny never neither nor none negative free sin sans kein keine keinen keinerlei sem "
    "\u65e0 \u6ca1"
)
_DIRECT = vocabulary(
    "not isn't wasn't doesn't don't didn't hasn't haven't won't can't aren't couldn't wouldn't weren't nicht nie nunca "
    "jamais nao no ni nem ne n \u672a \u6ca1"
)
_AFTER = vocabulary("pas nicht jamais nunca none absent denied ruled")
_NEGATORS = _LISTING | _DIRECT
_CEASES = frozenset(("arrete", "arretent", "cesse", "cessent", "arreter", "cesser"))
_NE_PAS = frozenset(("pas", "plus", "rien", "jamais"))
_SOFTENED = vocabulary(
    "only just sure certain doubt change matter better improving idea longer wonder know until stop stops stopped quit "
    "control para parar deja dejado arrete aufhoren auf hort"
)
_BESIDE = _FILLERS | vocabulary(
    "seem appear show showing shown shows feel feeling in with signs sign had more much tiene ha tener hat hatte a "
    "eu tem teve"
)
_ANDS = frozenset(("and", "&", "y", "et", "und", "plus"))
_DIRECT_REACH = 2
_LIST_REACH = 9
_YEARS = vocabulary("year years yr yrs ano anos an ans annee annees jahr jahren jahre \u5e74")
_MONTHS = vocabulary("months month mes meses mois monat monaten")
_LAST = vocabulary("last previous past pasado passado dernier derniere letztes letzten vergangenes")
_SEASONS = vocabulary(
    "year spring summer autumn fall winter month ano annee an jahr sommer winter verano invierno noel navidad natal"
)
_ONGOING = vocabulary("since for over during seit desde depuis durante uber \u81ea \u4ece")
_IN = frozenset(("in", "en", "im", "em"))
_RECENT = vocabulary(
    "now today tonight currently minutes minute min hour hours yesterday ahora hoy heute jetzt gerade aujourd hui "
    "maintenant agora hoje ontem ayer hier gestern \u4eca \u521a \u6b63 \u73b0"
)
_AGAIN = vocabulary(
    "again another worse returned relapse relapsed wieder erneut encore nouveau otra otro nuevo vez outra outro novo "
    "novamente \u53c8 \u518d"
)
_OLD_PHRASES: tuple[tuple[str, ...], ...] = tuple(
    tuple(words.split())
    for words in (
        "used to", "history of", "previously had", "previously collapsed", "previously seized",
        "previously suffered", "as a puppy", "as a kitten", "as a pup", "as a foal", "as a kid", "years ago",
        "year ago", "months ago", "long ago", "in the past", "died of", "died from", "dead from", "was lost to",
        "died after", "\u53bb \u5e74", "\u4ee5 \u524d", "\u5e74 \u524d", "antes tenia", "fruher mal", "autrefois",
        "quando era filhote", "cuando era cachorro", "als welpe",
    )
)  # fmt: skip
_OLD_BY_START = {first: [phrase for phrase in _OLD_PHRASES if phrase[0] == first] for first, *_ in _OLD_PHRASES}
_YEARS_WRITTEN = frozenset(map(str, range(1900, 2100)))
_OLD_STARTS = _LAST | {phrase[0] for phrase in _OLD_PHRASES} | {"vor", "hace", "ha", "il"} | _YEARS_WRITTEN
_PREVENT = vocabulary(
    "prevent prevents preventing prevention avoid avoiding prevenir evitar prevencion eviter prevention verhindern "
    "vorbeugen vermeiden risk insurance prone"
)
_SIGNS_OF = vocabulary(
    "signs sign symptoms symptom signes signe symptomes sintomas sinais signos anzeichen symptome \u75c7 \u5f81"
)
_WHAT = vocabulary(
    "what which know whats what's quels quelles quel que cuales quais was welche welches woran \u4ec0 \u54ea"
)
_EVER = vocabulary("ever jemals jamais")
_IF = vocabulary("if case wenn falls si se")
_CAN = vocabulary("can could do does is are puede pueden kann konnen peut peuvent pode podem")
_ASKING = _PREVENT | _SIGNS_OF | _EVER | frozenset(("?", "\uff1f", "against"))
_OURS = vocabulary(
    "my our mine ours he she his her him they mi nuestro nuestra mon ma notre nos mein meine unser unsere er sie meu "
    "minha nosso nossa ele ela \u6211 \u4ed6 \u5979"
)
_OTHERS = vocabulary(
    "neighbor neighbour neighbors neighbours friend friends sister brother cousin coworker colleague vecino vecina "
    "amigo amiga voisin voisine ami amie nachbar nachbarn nachbarin freund freundin vizinho vizinha \u90bb \u670b"
)
_WELL_AGAIN = vocabulary("fine better ok okay normal resolved recovered gone well himself herself")
_HAD = frozenset(("had", "was", "were"))
_SLEEP = vocabulary(
    "sleep sleeping asleep sleeps dreaming dreams dream naps napping schlaf schlaft traumt sommeil dort dormant reve "
    "duerme dormido dormida durmiendo suena dorme dormindo sono sonha"
)
_WHILE = vocabulary(
    "in while when during im wenn beim mientras cuando en dans quand pendant enquanto quando durante no"
)
_WAKING = vocabulary(
    "wake wakes waken awake rouse roused arouse unconscious unresponsive stiff urinates peed pees foam"
)
_DREAMT = ("twitch", "jerk", "paddl", "kick", "trembl", "tremor", "zuck", "zitter", "tressau", "tembl", "trem")
_SLEEP_REACH = 5
_GROUP_REACH = 12
_CLAUSE_REACH = 60
_NEARBY = 24


_DENIALS = _NEGATORS | _AFTER


class Phrase(NamedTuple):
    """A phrase in a text: what it means, from which word to which, and in which sense."""

    key: Any
    start: int
    end: int
    state: State


@record(frozen=True, slots=True)
class SignSaid:
    """A sign of signs.toml in a text; `span` is (start, end) in characters."""

    sign: str
    state: State
    span: tuple[int, int]


class _Text:
    """A text in words, with what is needed to ask in which sense a phrase stands there."""

    def __init__(self, words: list[str]) -> None:
        self.words = words
        self._bag = frozenset(words)
        self._marks: dict[frozenset[str], list[int]] = {}
        self._states: dict[tuple[int, int, frozenset[int]], State] = {}

    # Most texts ask for few of these.

    @cached_property
    def sentences(self) -> list[int]:
        """The number of the sentence of every word."""
        numbers: list[int] = []
        ends = self._at(_ENDS)
        for current, end in enumerate(ends):
            numbers += [current] * (end + 1 - len(numbers))
        return numbers + [len(ends)] * (len(self.words) - len(numbers))

    @cached_property
    def any_negator(self) -> bool:
        return not _DENIALS.isdisjoint(self._bag)

    @cached_property
    def old(self) -> list[int]:
        return [] if self._bag.isdisjoint(_OLD_STARTS) else _places_of_old(self.words)

    @cached_property
    def asking(self) -> bool:
        return not _ASKING.isdisjoint(self._bag)

    @cached_property
    def others(self) -> bool:
        return not _OTHERS.isdisjoint(self._bag)

    @cached_property
    def well_again(self) -> list[int]:
        words = self.words
        if "now" not in self._bag or _WELL_AGAIN.isdisjoint(self._bag):
            return []
        return [
            place for place, word in enumerate(words)
            if word in _WELL_AGAIN and "now" in words[max(0, place - 2) : place + 2]
            and "not" not in words[max(0, place - 3) : place]
        ]  # fmt: skip

    @cached_property
    def sleeps(self) -> list[int]:
        words = self.words
        if _SLEEP.isdisjoint(self._bag) or not _WAKING.isdisjoint(self._bag):
            return []
        return [
            place for place, word in enumerate(words)
            if word in _SLEEP and not _WHILE.isdisjoint(words[max(0, place - 3) : place])
        ]  # fmt: skip

    @cached_property
    def again(self) -> int:
        return max((place for place, word in enumerate(self.words) if word in _AGAIN), default=-1)

    @cached_property
    def ours(self) -> list[int]:
        words = self.words
        return [
            place
            for place, word in enumerate(words[:-1])
            if self.others and word in _OURS and words[place + 1] not in _OTHERS
        ]

    def _at(self, marks: frozenset[str]) -> list[int]:
        """Where these stand."""
        found = self._marks.get(marks)
        if found is None:
            found = self._marks[marks] = [at for at, word in enumerate(self.words) if word in marks]
        return found

    def bounds(self, place: int, marks: frozenset[str]) -> Place:
        """The words around `place` between two of `marks`, at most 60 either way."""
        found = self._at(marks)
        following = bisect_left(found, place)
        start = found[following - 1] + 1 if following else 0
        end = found[following] if following < len(found) else len(self.words)
        return max(start, place - _CLAUSE_REACH), min(end, place + _CLAUSE_REACH)

    def spent(self, phrases: Iterable[tuple[Any, int, int]]) -> frozenset[int]:
        """The negators that are part of a phrase themselves, and so deny nothing else: `can't breathe`, `pas mange`."""
        if not self.any_negator:
            return frozenset()
        words = self.words
        spent: set[int] = set()
        for _, start, end in phrases:
            if end - start > 1:
                spent.update(place for place in range(start, end) if words[place] in _NEGATORS)
                if not _NE_PAS.isdisjoint(words[start:end]):
                    spent.update(place for place in range(max(0, start - 2), start) if words[place] in ("n", "ne"))
        return frozenset(spent)

    def state(self, start: int, end: int, own: frozenset[int] = frozenset()) -> State:
        """In which sense the words from `start` to before `end` stand there; `own` negators belong to the phrase."""
        key = start, end, own
        if key not in self._states:
            self._states[key] = self._state(start, end, own)
        return self._states[key]

    def _state(self, start: int, end: int, own: frozenset[int]) -> State:
        if self.any_negator and self._denied(start, end, own):
            return "denied"
        if self.old and self._past(start, end):
            return "past"
        if self.well_again and self._was_once(start, end):
            return "past"
        if self.asking and self._asked(start, end):
            return "asked"
        if self.others and self._another(start):
            return "another_animal"
        if self.sleeps and self._dreamt(start, end):
            return "asleep"
        return "stated"

    def _was_once(self, start: int, end: int) -> bool:
        """`had diarrhoea last week but is fine now`: over, where the sentence says both."""
        at = bisect_left(self.well_again, end)
        near = self.well_again[at : at + 1]
        return bool(near) and not _HAD.isdisjoint(self.words[max(0, start - 3) : start]) and (
            near[0] - end <= _LIST_REACH and self.sentences[near[0]] == self.sentences[start]
        )  # fmt: skip

    def _dreamt(self, start: int, end: int) -> bool:
        """`is twitching in his sleep`: a dream, where nothing says that it can't be woken."""
        at = bisect_left(self.sleeps, start - _SLEEP_REACH)
        near = self.sleeps[at : at + 1]
        return bool(near) and any(word.startswith(_DREAMT) for word in self.words[start:end]) and (
            near[0] - end <= _SLEEP_REACH and self.sentences[near[0]] == self.sentences[start]
        )  # fmt: skip

    def _denied(self, start: int, end: int, own: frozenset[int]) -> bool:
        words, sentence = self.words, self.sentences[start]
        apart, comma = 0, False
        for place in range(start - 1, max(-1, start - 1 - _LIST_REACH), -1):
            word = words[place]
            if self.sentences[place] != sentence:
                break
            if word == "pas" and apart <= _DIRECT_REACH and not comma and place not in own and self._is_no(place):
                return True
            if word in _NEGATORS and place not in own and not (word == "no" and in_portuguese(words)):
                if words[place + 1] in _SOFTENED:
                    break
                if word in _DIRECT and apart <= _DIRECT_REACH and not comma:
                    return True
                if word in _LISTING and (not comma or self._listed(start, end)):
                    return True
                if not comma and apart > _DIRECT_REACH:
                    break
            if word in (",", "\uff0c", "\u3001"):
                comma = True
            elif word in _ANDS or (word in _BREAKS and word not in _BESIDE):
                break
            elif word not in _BESIDE:
                apart += 1
        after = words[end : end + 2]
        if not after:
            return False
        if after[0] in _AFTER and self.sentences[end] == sentence:
            return True
        return after in (["is", "absent"], [":", "no"], [":", "none"], ["=", "no"], ["was", "denied"])

    def _is_no(self, place: int) -> bool:
        """`pas de diarrhée`, but not `n'arrête pas de vomir`."""
        return self.words[place + 1] in ("de", "d") and self.words[max(0, place - 1)] not in _CEASES

    def _listed(self, start: int, end: int) -> bool:
        """`no vomiting, diarrhoea or blood`: an `or` follows or precedes in the sentence."""
        words, sentence = self.words, self.sentences[start]
        near = range(max(0, start - 3), min(len(words), end + 6))
        return any(
            words[place] in ("or", "nor", "ni", "oder", "ou", "o", "nem") and self.sentences[place] == sentence
            for place in near
        )

    def _past(self, start: int, end: int) -> bool:
        low, high = self.bounds(start, _CLAUSES)
        at = bisect_left(self.old, low)
        if at == len(self.old) or self.old[at] >= high or self.again > start:
            return False
        return _RECENT.isdisjoint(self.words[low:high])

    def _asked(self, start: int, end: int) -> bool:
        words = self.words
        low, high = self.bounds(start, _ENDS)
        before = words[low:start]
        if not _PREVENT.isdisjoint(before[-8:]) or before[-1:] == ["against"]:
            return True
        question = high < len(words) and words[high] in ("?", "\uff1f")
        if not _SIGNS_OF.isdisjoint(before) and not _WHAT.isdisjoint(before):
            return True
        if "ever" in words[low:high] and not _IF.isdisjoint(before):
            return True
        general = question and _OURS.isdisjoint(words[low:high])
        return general and bool(before) and before[0] in _CAN | _WHAT

    def _another(self, start: int) -> bool:
        """Said of somebody else's animal, while the writer's own stands in another sentence."""
        words = self.words
        low, high = self.bounds(start, _ENDS)
        other = next((place for place in range(low, start) if words[place] in _OTHERS), None)
        if other is None or any(words[place] in _OURS for place in range(other + 1, high)):
            return False
        return bool(self.ours) and (self.ours[0] < low or self.ours[-1] >= high)


def _places_of_old(words: list[str]) -> list[int]:
    """Where the text speaks of long ago."""
    found = []
    for place in [place for place, word in enumerate(words) if word in _OLD_STARTS]:
        word = words[place]
        before = words[place - 1] if place else ""
        if word in _LAST:
            beside = {before, *words[place + 1 : place + 2]}
            since = _ONGOING.intersection(words[max(0, place - 2) : place])
            if not beside.isdisjoint(_SEASONS) and not since:
                found.append(place)
        elif (word in _YEARS_WRITTEN and before in _IN) or _is_old(words, place):
            found.append(place)
        elif (unit := _counts_back(words, place)) is not None:
            found.append(unit)
    return sorted(found)


def _is_old(words: list[str], place: int) -> bool:
    """`used to`, `as a puppy`."""
    return any(tuple(words[place : place + len(phrase)]) == phrase for phrase in _OLD_BY_START.get(words[place], ()))


def _counts_back(words: list[str], place: int) -> int | None:
    """Where the unit stands of `vor zwei Jahren`, `hace dos meses`, `il y a deux ans`."""
    if words[place] not in ("vor", "hace", "ha", "il"):
        return None
    unit = place + (4 if words[place : place + 3] == ["il", "y", "a"] else 2)
    return unit if unit < len(words) and words[unit] in _YEARS | _MONTHS else None


def _mentions(words: list[str], root: Node) -> list[tuple[Any, int, int]]:
    """Every phrase of a trie in the words, with up to three little words between its own."""
    found: list[tuple[Any, int, int]] = []
    last = len(words)
    for place in [place for place, word in enumerate(words) if word in root]:
        first, end = root[words[place]], place + 1
        after = words[end] if end < last else ""
        if after not in _FILLERS and (end == last or after not in first):
            if "" in first:
                found += [(key, place, end) for key in first[""]]
            continue
        ways = [(first, end, 0)]
        tried = 0
        while ways and tried < _WAYS_MAX:
            node, end, skipped = ways.pop()
            tried += 1
            found += [(key, place, end) for key in node.get("", ())]
            if end == last:
                continue
            following = words[end]
            if following in _FILLERS and skipped < _SKIPPED_MAX:
                ways.append((node, end + 1, skipped + 1))
            if following in node:
                ways.append((node[following], end + 1, skipped))
    return found


# -- the signs of conditions ---------------------------------------------------------------------------------------

_WELL: Mapping[str, str] = {
    "eating well": "not-eating", "eating fine": "not-eating", "eating normally": "not-eating",
    "eating ok": "not-eating", "eats well": "not-eating", "eats fine": "not-eating", "eats normally": "not-eating",
    "good appetite": "not-eating", "normal appetite": "not-eating", "appetite normal": "not-eating",
    "appetite good": "not-eating", "breathing normally": "difficulty-breathing",
    "breathing fine": "difficulty-breathing", "gums pink": "pale-gums", "pink gums": "pale-gums",
    "walks normally": "lameness", "walking normally": "lameness", "afebrile": "fever", "normal temperature": "fever",
    "temperature normal": "fever", "come bien": "not-eating", "mange bien": "not-eating", "frisst gut": "not-eating",
    "frisst normal": "not-eating", "come normal": "not-eating",
}  # fmt: skip
"""What says that a sign is not there, without a `no`."""


@per_records
def _sign_trie(records: Records) -> Node:
    """The words of all signs -> (sign, whether it is there)."""
    root: Node = {}
    for sign in records.signs.values():
        for phrase in (sign.name, *(word for listed in sign.words.values() for word in listed)):
            _enter(root, phrase, (sign.id, True))
    for phrase, name in _WELL.items():
        if name in records.signs:
            _enter(root, phrase, (name, False))
    return root


_LATEST = [_Text([])]


def _text_of(words: list[str]) -> _Text:
    """The text of these words: red flags and signs are sought in the same ones, one after the other."""
    text = _LATEST[0]
    if text.words is not words:
        text = _LATEST[0] = _Text(words)
    return text


def _enter(root: Node, phrase: str, key: Any) -> None:
    node = root
    for word in scan(phrase)[0]:
        node = node.setdefault(word, {})
    kept = node.setdefault("", [])
    if key not in kept:
        kept.append(key)


def signs_in(text: str | Reading, records: Records) -> tuple[SignSaid, ...]:
    """The signs of signs.toml that a text (or its reading) names, each once, in its order; linear in its length.

    A sign that is stated anywhere is stated; one that is denied in one place and long ago in another is denied.
    """
    words, where = scan(text) if isinstance(text, str) else (text.words, text.places)
    known = _text_of(words)
    rank: tuple[State, ...] = ("stated", "denied", "past", "asked", "asleep", "another_animal")
    found: dict[str, tuple[State, Place]] = {}
    every = _mentions(words, _sign_trie(records))
    if not every or where is None:
        return ()
    spent = known.spent(every)
    for (sign, present), start, end in every:
        state = known.state(start, end, spent)
        if not present:
            state = "denied" if state == "stated" else state
        if sign not in found or rank.index(state) < rank.index(found[sign][0]):
            found[sign] = (state, (start, end))
    return tuple(
        SignSaid(sign, state, where.span(*place))
        for sign, (state, place) in sorted(found.items(), key=lambda item: item[1][1])
    )


# -- red flags -----------------------------------------------------------------------------------------------------


def flags_in(reading: Reading, records: Records) -> tuple[tuple[Raised, ...], tuple[Json, ...]]:
    """The red flags that a text states, and those it names in another sense.

    Returns:
        Signs as `reading` has them, in the order of `records.flags`; rows `{sign, span, why}` of what was named but
        denied, long ago, only asked about or another animal's.
    """
    if not reading.words:
        return (), ()
    known = lexicon(records)
    text = _text_of(reading.words)
    words = text.words
    stated: dict[int, Place] = {}
    other: dict[int, tuple[State, Place]] = {}
    seen: dict[int, int] = {}
    every = _mentions(words, known.signs)
    if not every:
        return (), ()
    spent = text.spent(every)
    for (index, group), start, end in every:
        if group >= 0:
            seen[index] = seen.get(index, 0) | 1 << group
        elif index not in stated:
            state = text.state(start, end, spent)
            if state == "stated":
                stated[index] = (start, end)
            else:
                other.setdefault(index, (state, (start, end)))
    whole = {index for index, bits in seen.items() if bits + 1 == 1 << len(records.flags[index].all_of)}
    whole -= stated.keys()
    grouped: dict[tuple[int, int], dict[int, list[Place]]] = {}
    for (index, group), start, end in every if whole else ():
        if index in whole and group >= 0:
            places = grouped.setdefault((index, text.sentences[start]), {}).setdefault(group, [])
            if len(places) < _NEARBY:
                places.append((start, end))
    for (index, _), groups in grouped.items():
        if index in stated or len(groups) < len(records.flags[index].all_of):
            continue
        for near in _together(groups):
            own = spent.union(start for start, _ in near if words[start] in _NEGATORS)
            states: list[State] = [text.state(start, end, own) for start, end in near]
            place = (min(start for start, _ in near), max(end for _, end in near))
            wrong = next((state for state in states if state != "stated"), None)
            if wrong is None:
                stated[index] = place
                break
            other.setdefault(index, (wrong, place))
    if not stated and not other:
        return (), ()
    where = reading.places or scan(reading.text)[1]
    owners = _owners(reading, words, known)
    raised = tuple(
        Raised(index, records.flags[index].sign, where.span(*place), _species_at(place[0], owners))
        for index, place in sorted(stated.items())
    )
    left = tuple(
        {"sign": records.flags[index].sign, "span": list(where.span(*place)), "why": state}
        for index, (state, place) in sorted(other.items())
        if index not in stated
    )
    return raised, left


def _together(groups: Mapping[int, list[Place]]) -> Iterator[tuple[Place, ...]]:
    """One place of each group, near each other and none of them twice, for each place of the first group."""
    first, *rest = (groups[group] for group in sorted(groups))
    for place in first:
        chosen = [place]
        for places in rest:
            free = [
                one for one in places
                if abs(one[0] - place[0]) <= _GROUP_REACH
                and all(one[1] <= taken[0] or one[0] >= taken[1] for taken in chosen)
            ]  # fmt: skip
            if not free:
                break
            chosen.append(min(free, key=lambda one: abs(one[0] - place[0])))
        else:
            yield tuple(chosen)


def _owners(reading: Reading, words: list[str], known: Lexicon) -> list[tuple[int, str]]:
    """Where which species is spoken of, in order; looked for word by word only where there are several."""
    species = {animal.species for animal in reading.animals if animal.species}
    if len(species) <= 1:
        return [(0, name) for name in species]
    found = []
    for place, word in enumerate(words):
        hit = meant(known, words, place) if word in known.root else None
        for term in hit[0] if hit else ():
            name = term.value if term.kind == "species" else term.more if term.kind == "breed" else None
            if name in species and not term.foreign:
                found.append((place, str(name)))
                break
    return found


def _species_at(place: int, owners: list[tuple[int, str]]) -> str | None:
    """Whose sign it is: the species named last before it, else the first."""
    if not owners:
        return None
    return owners[max(0, bisect_right(owners, place, key=lambda row: row[0]) - 1)][1]


# -- vital signs ---------------------------------------------------------------------------------------------------


@record(frozen=True, slots=True)
class VitalSaid:
    """A vital sign with its figure: temperature [Cel], heart_rate and respiratory_rate [/min], ..."""

    name: str
    value: Decimal
    unit: str
    span: tuple[int, int] | None = None


_VITAL_WORDS: Mapping[str, tuple[str, ...]] = {
    "temperature": (
        "temperatura", "fiebre de", "fievre de", "fieber von", "fieber", "febre de", "\u4f53\u6e29", "fever of",
        "temperatur",
    ),
    "heart_rate": (
        "frecuencia cardiaca", "pulso", "frequence cardiaque", "pouls", "herzfrequenz", "puls", "frequencia cardiaca",
        "\u5fc3\u7387",
    ),
    "respiratory_rate": (
        "frecuencia respiratoria", "frequence respiratoire", "atemfrequenz", "frequencia respiratoria",
        "\u547c\u5438\u9891\u7387",
    ),
}  # fmt: skip
_BESIDE_FIGURES: Mapping[str, str] = {name: kind for name, kind in VITALS.items() if not kind.startswith("per ")}
VITAL_NAMES: Mapping[str, str] = {
    name.replace(" ", "_"): kind
    for name, kind in (
        *_BESIDE_FIGURES.items(),
        *((kind, kind) for kind in _BESIDE_FIGURES.values()),
        *((name, kind) for kind, names in _VITAL_WORDS.items() for name in names),
    )
}
"""What a caller may write -> our name."""
VITAL_UNITS = {
    "temperature": "Cel", "heart_rate": "/min", "respiratory_rate": "/min", "capillary_refill": "s",
    "oxygen_saturation": "%", "systolic_pressure": "mm[Hg]",
}  # fmt: skip
_VITAL_TRIE: Node = {}
_GAP = vocabulary("is was of at : = about around approx ~ measured now a the it came back over above de es ist von")


def vitals_said(reading: Reading) -> tuple[VitalSaid, ...]:
    """The vital signs of a text with their figures, each kind once: what reading has, then those in other languages.

    Bounds (`over 40`) are left out: nothing says how far over.
    """
    found = {one.name: VitalSaid(one.name, one.value, one.unit or "", one.span) for one in reading.vitals}
    found = {one.name: found[one.name] for one in reading.vitals if not one.comparator}
    for one in _foreign_vitals(reading.text):
        found.setdefault(one.name, one)
    return tuple(found.values())


def _foreign_vitals(text: str) -> Iterator[VitalSaid]:
    words, where = scan(text)
    if not any(word[0].isdigit() for word in words):
        return
    if not _VITAL_TRIE:
        for key, names in _VITAL_WORDS.items():
            for name in names:
                _enter(_VITAL_TRIE, name, key)
    for key, start, end in _mentions(words, _VITAL_TRIE):
        at = end
        while at < len(words) and at - end < 4 and words[at] in _GAP:
            at += 1
        if at >= len(words) or not words[at][0].isdigit() or (value := _value(words[at])) is None:
            continue
        said = _vital(key, value, words[at + 1] if at + 1 < len(words) else "")
        if said is not None:
            yield VitalSaid(*said, where.span(start, at + 1))


def _value(word: str) -> Decimal | None:
    """A figure of a vital sign: at most four digits, with a decimal comma or point."""
    plain = word.replace(",", ".")
    return Decimal(plain) if len(plain) <= 6 and plain.count(".") <= 1 else None


def _vital(name: str, value: Decimal, unit: str) -> tuple[str, Decimal, str] | None:
    """The figure in our unit; None where it can be no such figure."""
    if name == "temperature":
        if unit.lower() in ("f", "fahrenheit") or value > 80:
            value = ((value - 32) * 5 / 9).quantize(Decimal("0.1"))
        if not 20 <= value <= 46:
            return None
    return name, value, VITAL_UNITS[name]


def vital(name: str, value: Decimal, unit: str) -> VitalSaid | None:
    """A vital sign a caller gives; None for a name nobody knows or a figure that can't be one."""
    key = VITAL_NAMES.get("_".join(name.lower().replace("-", " ").split()))
    said = None if key is None else _vital(key, value, unit.lstrip("\u00b0").strip())
    return None if said is None else VitalSaid(*said)


# -- laboratory directions -----------------------------------------------------------------------------------------

_HIGH = vocabulary("high elevated raised increased up alto alta eleve elevee erhoht hoch elevado elevada \u9ad8")
_LOW = vocabulary("low decreased reduced down bajo baja bas basse niedrig erniedrigt baixo baixa \u4f4e")
_DIRECTIONS = _HIGH | _LOW
_EMIA: Mapping[str, tuple[tuple[str, str], ...]] = {
    "hyperkalemia": (("potassium", "high"),), "hypokalemia": (("potassium", "low"),),
    "hypernatremia": (("sodium", "high"),), "hyponatremia": (("sodium", "low"),),
    "hypercalcemia": (("calcium", "high"),), "hypocalcemia": (("calcium", "low"),),
    "hyperglycemia": (("glucose", "high"),), "hypoglycemia": (("glucose", "low"),),
    "hyperphosphatemia": (("phosphate", "high"),), "hypoalbuminemia": (("albumin", "low"),),
    "hyperbilirubinemia": (("total bilirubin", "high"),),
    "azotemia": (("creatinine", "high"), ("urea nitrogen", "high")),
    "azotemic": (("creatinine", "high"), ("urea nitrogen", "high")),
    "anemia": (("pcv", "low"),), "anemic": (("pcv", "low"),), "thrombocytopenia": (("platelets", "low"),),
    "thrombocytopenic": (("platelets", "low"),), "leukopenia": (("white blood cells", "low"),),
    "hypercholesterolemia": (("cholesterol", "high"),), "hyperammonemia": (("ammonia", "high"),),
    "hyperlactatemia": (("lactate", "high"),),
}  # fmt: skip


@record(frozen=True, slots=True)
class LabSaid:
    """An analyte that a text calls high or low."""

    analyte: str
    direction: str
    state: State
    span: tuple[int, int]


def labs_in(text: str, records: Records) -> tuple[LabSaid, ...]:
    """Analytes that a text calls high or low without a figure: `high potassium`, `ALT raised`, `azotaemic`."""
    words, where = scan(text)
    if _DIRECTIONS.isdisjoint(words) and not any("emi" in word for word in words):
        return ()
    known, sense = lexicon(records), _Text(words)
    found: dict[tuple[str, str], LabSaid] = {}

    def keep(analyte: str, direction: str, start: int, end: int) -> None:
        if analyte in records.analytes and (analyte, direction) not in found:
            span = where.span(start, end)
            found[analyte, direction] = LabSaid(analyte, direction, sense.state(start, end), span)

    for place, word in enumerate(words):
        for analyte, direction in _EMIA.get(word.replace("aemi", "emi"), ()):
            keep(analyte, direction, place, place + 1)
        hit = meant(known, words, place) if word in known.root else None
        name = next((term.value for term in hit[0] if term.kind == "analyte"), None) if hit else None
        if hit is None or name is None:
            continue
        around = ((place - 1, place), (hit[1], hit[1] + 1), (hit[1] + 1, hit[1] + 2))
        for at, _ in around:
            near = words[at] if 0 <= at < len(words) else ""
            if at == hit[1] + 1 and words[hit[1]] not in ("is", "was", "very", "too", "slightly", "ist", "est", "es"):
                continue
            if near in _HIGH or near in _LOW:
                keep(name, "high" if near in _HIGH else "low", min(at, place), max(at + 1, hit[1]))
                break
    return tuple(found.values())


@per_records
def _sign_words(records: Records) -> list[tuple[str, frozenset[str], list[frozenset[str]]]]:
    """The id of every sign, how the words of it begin, and the words of each of its English phrases."""
    return [
        (
            sign.id,
            frozenset(word[:4] for word in sign.id.split("-")),
            [frozenset(scan(phrase)[0]) for phrase in (sign.name, *sign.words.get("en", ()))],
        )
        for sign in records.signs.values()
    ]


def nearest_signs(words: str, records: Records, count: int = 3) -> list[str]:
    """Sign ids that share a word with these, or look like them."""
    wanted = set(scan(words)[0]) - _FILLERS
    heads = {word[:4] for word in wanted if len(word) > 3}
    scored = []
    for name, own_heads, phrases in _sign_words(records):
        shared = max(map(len, map(wanted.intersection, phrases)), default=0)
        alike = not heads.isdisjoint(own_heads)
        if shared or alike:
            scored.append((not alike, -shared, name))
    return [name for _, _, name in sorted(scored)[:count]]
