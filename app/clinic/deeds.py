"""Acts that harm whatever drug is named: water poured into an unconscious animal, salt to make it vomit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from app.clinic.lexicon import scan, vocabulary
from app.clinic.records import Records, RuleRecord, per_records
from app.clinic.tone import CONDITIONS, NEGATORS, polarity, segments, warns_of

_ENDING = vocabulary("stop stopping stopped stops discontinue discontinued discontinuing quit withdraw withdrawn")
"""What is forbidden may be to end something: then these words are no warning."""


class _Act(NamedTuple):
    """A rule on an act; each phrase between spaces.

    Attributes:
        keys: of each group the words without which none of its phrases is there. ill_keys: the same for illnesses.
    """

    rule: RuleRecord
    groups: tuple[tuple[str, ...], ...]
    keys: tuple[frozenset[str], ...]
    unless: tuple[str, ...]
    ill: tuple[str, ...]
    ill_keys: frozenset[str]


class Deeds:
    """The acts on record, as the guard looks for them.

    Attributes:
        listened: without one of these words no act is spoken of that harms where no emergency is known.
        pressing: the same in an emergency.
    """

    def __init__(self, records: Records) -> None:
        self._acts = tuple(_act(rule) for rule in records.rules if rule.deed)
        self.listened = frozenset().union(*(act.ill_keys or act.keys[0] for act in self._acts))
        self.pressing = frozenset().union(*(act.keys[0] for act in self._acts), self.listened)

    def advised(self, words: list[str], bag: frozenset[str], alert: bool) -> Iterator[tuple[RuleRecord, bool]]:
        """Acts that a sentence tells to do, each with whether the sentence itself says that the animal is that ill.

        Args:
            alert: the conversation is an emergency.
        """
        joined = ""
        for rule, groups, keys, unless, ill, ill_keys in self._acts:
            if any(bag.isdisjoint(key) for key in keys) or (ill and not alert and bag.isdisjoint(ill_keys)):
                continue
            joined = joined or f" {' '.join(words)} "
            if any(_none_in(joined, group) for group in groups) or not _none_in(joined, unless):
                continue
            place = joined[: min(joined.index(one) for one in groups[0] if one in joined)].count(" ")
            start, end = next((part for part in segments(words) if part[0] <= place < part[1]), (0, len(words)))
            part = words[start:end]
            if part and part[0] in CONDITIONS:
                continue
            last = next((at for at, word in enumerate(part) if word in _ENDING), None)
            if warns_of(part, place - start) if last is None else not NEGATORS.isdisjoint(part[:last]):
                continue
            yield rule, not _none_in(joined, ill)

    def goes_on(self, rule: RuleRecord, words: list[str]) -> bool:
        """Whether a step of a list carries on with an act: it names one of its things, and tells to do something."""
        groups = next(act.groups for act in self._acts if act.rule is rule)
        joined = f" {' '.join(words)} "
        prohibits, recommends = polarity(words)
        return recommends and not prohibits and any(not _none_in(joined, group) for group in groups)


@per_records
def deeds(records: Records) -> Deeds:
    """The acts of these records."""
    return Deeds(records)


def _act(rule: RuleRecord) -> _Act:
    groups = tuple(_spaced(group) for group in rule.deed)
    ill = _spaced(rule.trigger.condition)
    return _Act(rule, groups, tuple(map(_keys, groups)), _spaced(rule.unless), ill, _keys(ill))


def _spaced(phrases: Iterable[str]) -> tuple[str, ...]:
    return tuple(f" {' '.join(scan(phrase)[0])} " for phrase in phrases)


def _keys(spaced: Iterable[str]) -> frozenset[str]:
    """Of each phrase its longest word, which is the rarest as a rule."""
    return frozenset(max(phrase.split(), key=len) for phrase in spaced)


def _none_in(joined: str, phrases: Iterable[str]) -> bool:
    return not any(phrase in joined for phrase in phrases)
