"""Acts that harm whatever drug is named: water poured into an unconscious animal, salt to make it vomit."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

from app.clinic.lexicon import scan, vocabulary
from app.clinic.records import Records, RuleRecord, per_records
from app.clinic.tone import CONDITIONS, NEGATORS, polarity, warns_of

_ENDING = vocabulary("stop stopping stopped stops discontinue discontinued discontinuing quit withdraw withdrawn")
"""What is forbidden may be to end something: then these words are no warning."""


class Deeds:
    """The acts on record, as the guard looks for them.

    Attributes:
        listened: first words of what an act is done with; without one of them no act is spoken of.
        openings: words after which a sentence is held, for acts that harm in any conversation.
        pressing: the same for acts that harm in a certain emergency.
    """

    def __init__(self, records: Records) -> None:
        self._acts = [(rule, _phrased(rule)) for rule in records.rules if rule.deed]
        self.openings = _firsts(rule.deed[0] for rule, _ in self._acts if not rule.trigger.condition)
        self.openings |= _firsts(rule.trigger.condition for rule, _ in self._acts)
        self.pressing = _firsts(rule.deed[0] for rule, _ in self._acts)
        self.listened = self.pressing

    def advised(self, words: list[str], parts: Sequence[tuple[int, int]]) -> Iterator[tuple[RuleRecord, bool]]:
        """Acts that a sentence tells to do, each with whether the sentence itself says that the animal is that ill."""
        joined = f" {' '.join(words)} "
        for rule, (groups, unless, ill) in self._acts:
            if _none_in(joined, groups[0]) or any(_none_in(joined, group) for group in groups[1:]):
                continue
            if not _none_in(joined, unless):
                continue
            place = joined[: min(joined.index(one) for one in groups[0] if one in joined)].count(" ")
            start, end = next((part for part in parts if part[0] <= place < part[1]), (0, len(words)))
            part = words[start:end]
            if part and part[0] in CONDITIONS:
                continue
            last = next((at for at, word in enumerate(part) if word in _ENDING), None)
            if warns_of(part, place - start) if last is None else not NEGATORS.isdisjoint(part[:last]):
                continue
            yield rule, not _none_in(joined, ill)

    def goes_on(self, rule: RuleRecord, words: list[str]) -> bool:
        """Whether a step of a list carries on with an act: it names one of its things, and tells to do something."""
        groups = next(phrased[0] for one, phrased in self._acts if one is rule)
        joined = f" {' '.join(words)} "
        prohibits, recommends = polarity(words)
        return recommends and not prohibits and any(not _none_in(joined, group) for group in groups)


@per_records
def deeds(records: Records) -> Deeds:
    """The acts of these records."""
    return Deeds(records)


_Phrased = tuple[list[tuple[str, ...]], tuple[str, ...], tuple[str, ...]]


def _phrased(rule: RuleRecord) -> _Phrased:
    """Groups, exceptions and illnesses, each phrase between spaces."""
    return [_spaced(group) for group in rule.deed], _spaced(rule.unless), _spaced(rule.trigger.condition)


def _spaced(phrases: Iterable[str]) -> tuple[str, ...]:
    return tuple(f" {' '.join(scan(phrase)[0])} " for phrase in phrases)


def _firsts(listed: Iterable[Collection[str]]) -> frozenset[str]:
    return frozenset(scan(phrase)[0][0] for phrases in listed for phrase in phrases) - NEGATORS


def _none_in(joined: str, phrases: Iterable[str]) -> bool:
    return not any(phrase in joined for phrase in phrases)
