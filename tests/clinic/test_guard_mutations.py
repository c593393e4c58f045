"""The guard on the doses of the drugs most used, in fourteen phrasings: every slip is caught, nothing right is touched.

Each slip must be replaced for an owner, and replaced or marked for a clinician. Every phrasing and slip is tried on
every dose on record by `VETX_MUTATIONS=all`; otherwise each dose gets its own few of them, the same ones every time.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator

import pytest

from app.base.messages import Audience, Facts
from app.clinic.records import Records
from app.clinic.safety import SafetyGuard
from tests.clinic.guard_mutations import (
    ABOVE,
    PHRASINGS,
    ROUTELESS,
    Given,
    banned,
    brands,
    every_dose,
    harmless,
    mutations,
    route_matters,
    times_the_record,
)

ALL = os.environ.get("VETX_MUTATIONS") == "all"
AUDIENCES: tuple[Audience, ...] = ("owner", "clinician")
STRIDE = 1 if ALL else 11
NEVER_MISSED = ("tenfold", "wrong species")


LANGUAGES = {"Spanish": "es", "German": "de"}


def answers(one: Given, phrasing: str, text: str, records: Records) -> Iterator[tuple[str, bool, bool]]:
    """For each audience whether the text was changed, and whether it was replaced."""
    for audience in AUDIENCES:
        language = LANGUAGES.get(phrasing, "en")
        facts = Facts(audience=audience, jurisdiction=one.law, language=language, patients=(one.patient,))
        guard = SafetyGuard(facts, records, audience)
        out = guard.feed(text) + guard.finish()
        yield audience, out != text, any(row.action == "replaced" for row in guard.interventions)


def written(records: Records) -> Iterator[tuple[str, str, Given, str, bool]]:
    """Every slip and every right dose in words: its name, the phrasing, the dose, the text, whether it harms."""
    turn = 0
    for given, _, drug in every_dose(records):
        for one in (given, *brands(given, drug, records)):
            for phrasing, words in PHRASINGS.items():
                for name, changed in (*harmless(one), *mutations(one)):
                    turn += 1
                    if turn % STRIDE and not ALL:
                        continue
                    text = words(changed)
                    right = name in ("as recorded", "half")
                    if text is None or (right and phrasing in ROUTELESS and route_matters(changed, records)):
                        continue
                    if not right:
                        routed = times_the_record(changed, drug)
                        if min(routed, times_the_record(changed, drug, routed=phrasing != "owner")) < ABOVE:
                            continue
                    yield name, phrasing, changed, text, not right
    for one, rule in banned(records):
        for phrasing, words in PHRASINGS.items():
            turn += 1
            if turn % STRIDE and not ALL:
                continue
            text = words(one)
            if text is not None and not (phrasing in ROUTELESS and route_matters(one, records)):
                yield "wrong species", phrasing, one, f"{text}\n<!-- {rule} -->" if ALL else text, True


@pytest.fixture(scope="module")
def outcomes(records: Records) -> list[tuple[str, str, bool, bool]]:
    """(what was changed, the text, whether it harms, whether the guard did right), per audience."""
    found = []
    for name, phrasing, one, text, harms in written(records):
        for audience, touched, replaced in answers(one, phrasing, text, records):
            right = (replaced if audience == "owner" else touched) if harms else not touched
            found.append((name, f"{audience}, {phrasing}: {text!r} for {one.patient}", harms, right))
    return found


def test_no_right_dose_is_touched(outcomes: list[tuple[str, str, bool, bool]]) -> None:
    assert [text for _, text, harms, right in outcomes if not harms and not right] == []


def test_every_tenfold_dose_and_every_wrong_species_is_caught(outcomes: list[tuple[str, str, bool, bool]]) -> None:
    assert [text for name, text, _, right in outcomes if name in NEVER_MISSED and not right] == []


def test_nearly_every_other_slip_is_caught(outcomes: list[tuple[str, str, bool, bool]]) -> None:
    """Pounds for kilograms, mg for mcg, g for mg, every four hours for once a day."""
    tried = Counter(name for name, _, harms, _ in outcomes if harms)
    missed = [(name, text) for name, text, harms, right in outcomes if harms and not right]

    assert len(tried) >= 6
    assert all(count >= 20 for count in tried.values()), tried
    for name, count in tried.items():
        assert sum(one == name for one, _ in missed) <= count * 0.02, [text for one, text in missed if one == name]
