"""A user's message as it was read, and kept: a conversation brings its earlier messages again with every turn."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from itertools import islice

from app.base.memo import Memo
from app.clinic.findings import SignSaid, signs_in
from app.clinic.lexicon import ORDINARY, vocabulary
from app.clinic.reading import Reading, read
from app.clinic.records import Records, per_records
from app.clinic.sums import Ask, asked
from app.clinic.triage import stated

UNKNOWN_MAX = 8
_SHORT = 7
_DRUG_ENDINGS = (
    "azole", "cillin", "mycin", "floxacin", "oxicam", "profen", "coxib", "azepam", "azolam", "barbital", "cycline",
    "mectin", "quantel", "setron", "morphone", "thiazide", "semide", "solone", "tidine", "laner", "midine", "sartan",
    "olol", "uracil", "platin", "rubicin", "cristine", "prazole", "caine", "triptyline", "oxetine", "fentanil",
)  # fmt: skip
_OTHER_DRUGS = vocabulary(
    "adderall bismuth dipyrone metamizole naltrexone percorten ritalin calcipotriene melatonin glucosamine chondroitin "
    "probiotics fortiflora claritin loratadine allegra fexofenadine tums neosporin hydrocortisone lotrimin visine "
    "adequan dasuquin cosequin vicks vaseline seresto drontal temaril zenalpha dulcolax bisacodyl senna wellbutrin "
    "bupropion metformin eliquis apixaban lipitor atorvastatin lisinopril"
)


class Heard:
    """One message.

    Attributes:
        reading: what it says, with the red flags that it states. Nobody changes it.
    """

    def __init__(self, text: str, records: Records, names: Mapping[str, str | None]) -> None:
        self._records = records
        self.reading: Reading = stated(read(text, records, names), records)[0]

    @cached_property
    def signs(self) -> tuple[SignSaid, ...]:
        """The signs of conditions that it names."""
        return signs_in(self.reading, self._records)

    @cached_property
    def sums(self) -> list[Ask]:
        """The calculators that it asks for."""
        return asked(self.reading)

    @cached_property
    def unknown_drugs(self) -> list[str]:
        """Words that are a drug's by their ending or by the list, and of which there is no record."""
        records = self._records
        words = dict.fromkeys(word for word in self.reading.words if len(word) > _SHORT or word in _OTHER_DRUGS)
        likely = (
            word for word in words
            if (word in _OTHER_DRUGS or (word.endswith(_DRUG_ENDINGS) and word not in ORDINARY))
            and word not in records.toxins_by_name and not records.drugs_named(word)
        )  # fmt: skip
        # Looking for names like it takes milliseconds a word: the first few are enough, and no text may keep us busy.
        first = islice(likely, UNKNOWN_MAX)
        return [word for word in first if word in _OTHER_DRUGS or not records.near_drugs(word)]


@per_records
def _heard(records: Records) -> Memo[tuple[str, tuple[tuple[str, str | None], ...]], Heard]:
    return Memo(room=100_000, largest=4_000)


def hear(text: str, records: Records, names: Mapping[str, str | None]) -> Heard:
    """What a message says.

    Args:
        names: of animals known already, each with its species where that is known.
    """
    return _heard(records).of((text, tuple(names.items())), len(text), lambda: Heard(text, records, names))
