"""How often sentences that were written before any tuning are triaged too low or too high."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from app.clinic import Clinic
from tests.clinic.triage_sentences import SENTENCES

ORDER = ("emergency", "urgent", "routine", "home_care")
KNOWN_LOW = frozenset(
    (
        "my ferret is drooling and pawing at his mouth and his back end is weak",  # no source for it was at hand
    )
)


def level_of(clinic: Clinic, text: str, patient: dict[str, Any] | None) -> int:
    answer = clinic.triage({"text": text, **({"patient": patient} if patient else {})})
    return min(ORDER.index(answer["level"]), 2)


@pytest.mark.parametrize(
    ("language", "patient", "text", "level"),
    [row for row in SENTENCES if row[3] == "emergency" and row[2] not in KNOWN_LOW],
    ids=[f"{row[0]} {row[2][:30]}" for row in SENTENCES if row[3] == "emergency" and row[2] not in KNOWN_LOW],
)
def test_no_emergency_is_put_off(
    language: str, patient: dict[str, Any] | None, text: str, level: str, clinic: Clinic
) -> None:
    assert level_of(clinic, text, patient) == 0


def test_few_calm_sentences_are_called_an_emergency(clinic: Clinic) -> None:
    """At most 15 % in any language."""
    over, every = Counter[str](), Counter[str]()
    for language, patient, text, level in SENTENCES:
        if level != "emergency":
            every[language] += 1
            over[language] += level_of(clinic, text, patient) == 0

    assert {language for language in every if over[language] > max(1, every[language] * 0.15)} == set()
    assert sum(over.values()) <= sum(every.values()) * 0.05


def test_urgent_sentences_are_rarely_called_routine(clinic: Clinic) -> None:
    urgent = [row for row in SENTENCES if row[3] == "urgent"]

    low = [text for _, patient, text, _ in urgent if level_of(clinic, text, patient) > 1]

    assert len(low) <= len(urgent) * 0.05
