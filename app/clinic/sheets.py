"""What a calculator is made of: its inputs, what it is given, and what it hands back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from app.clinic.dosing import significant
from app.clinic.formulas import Formulas
from app.clinic.patient import Patient, need
from app.clinic.records import Records, Source
from app.clinic.units import shown, spelt

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Input:
    """One input.

    Attributes:
        kind: number | dose | strength | word | flag. A number has `unit` and is turned into it; a dose or a strength
            keeps its own unit.
        analyte: a number that is a laboratory value of this analyte, taken in either unit system.
        ask: the question where it is missing.
        zero: whether nothing at all is an answer.
    """

    name: str
    kind: str
    description: str
    unit: str = ""
    analyte: str = ""
    required: bool = True
    choices: tuple[str, ...] = ()
    zero: bool = False
    signed: bool = False
    ask: str = ""


@dataclass(frozen=True, slots=True)
class Figure:
    """A number with the unit it was given in."""

    value: Decimal
    unit: str


@dataclass(slots=True)
class Given:
    """What a calculator works with. `values` holds a Decimal for a number, a Figure for a dose or strength."""

    values: dict[str, Any]
    patient: Patient
    records: Records
    formulas: Formulas
    raw: dict[str, Figure] = field(default_factory=dict)

    @property
    def species(self) -> str | None:
        """The species' record name."""
        return self.patient.species_name

    def number(self, name: str) -> Decimal:
        """A number that is there."""
        value = self.values[name]
        assert isinstance(value, Decimal)
        return value

    def maybe(self, name: str) -> Decimal | None:
        """A number, or None."""
        value = self.values.get(name)
        assert value is None or isinstance(value, Decimal)
        return value


@dataclass(slots=True)
class Outcome:
    """What a calculation came to.

    Attributes:
        result: value and unit, None where nothing could be computed; `label` where the answer is a word.
        also: further named results. steps: the arithmetic, line by line, with the figures in it.
    """

    result: tuple[Decimal, str] | None = None
    label: str | None = None
    formula: str = ""
    also: list[tuple[str, Decimal, str]] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    needs: list[Json] = field(default_factory=list)
    not_checked: list[Json] = field(default_factory=list)
    sources: list[Source] = field(default_factory=list)
    rows: list[Json] = field(default_factory=list)
    covered: bool = True
    urgency: str | None = None

    def step(self, what: str, working: str, value: Decimal, unit: str) -> Decimal:
        """Write a line of the working and hand its value on."""
        tail = f" {spelt(unit)}" if unit and unit != "ratio" else ""
        self.steps.append(f"{what} = {working} = {shown(value, 6)}{tail}")
        return value

    def ask(self, name: str, why: str, question: str) -> None:
        """Ask for an input."""
        self.needs.append(need(f"inputs.{name}", why, question))

    def left(self, text: str, why: str) -> None:
        """Say what was not checked."""
        self.not_checked.append({"text": text, "why": why})

    def cite(self, sources: tuple[Source, ...] | list[Source]) -> None:
        """Name where a figure came from."""
        self.sources += [source for source in sources if source not in self.sources]

    def result_json(self) -> Json | None:
        """`{value, unit}`, with the label where there is one."""
        if self.result is None:
            return None if self.label is None else {"value": self.label, "unit": None}
        answer: Json = {"value": significant(self.result[0]), "unit": self.result[1]}
        return answer if self.label is None else {**answer, "label": self.label}


@dataclass(frozen=True, slots=True)
class Calculator:
    """A calculation by name.

    Attributes:
        formula: in words and names of inputs. example: inputs and patient of a worked example.
        sources: ids of coefficients whose sources stand behind the formula itself.
    """

    name: str
    title: str
    formula: str
    inputs: tuple[Input, ...]
    run: Callable[[Given], Outcome]
    example: Mapping[str, Any]
    example_patient: Mapping[str, Any]
    sources: tuple[str, ...] = ()
    basis: str = "arithmetic: holds no figure of ours"
