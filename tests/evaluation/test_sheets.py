"""The drawn sheets are many, name nobody, and are scored so that nothing wrong can pass for right."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import click
import pytest

from app.cli import cli
from app.clinic import evaluation, sheet_scoring
from app.clinic.labsheets import LabSheet, Row
from tests.evaluation.sheets.drawing import Cell, clean, photographed, sheets

ROOT = Path(__file__).parents[2]
CELL = Cell("K", "<3.1", "mmol/L", "3.5", "5.8", "L", "potassium")
ROW = Row("potassium", "K", "<3.1 mmol/L", Decimal("3.1"), "<", "mmol/L", Decimal("3.5"), Decimal("5.8"), "L")


def scored(*rows: Row, cells: tuple[Cell, ...] = (CELL,)) -> sheet_scoring.Score:
    return sheet_scoring.score("a", "idexx_like", "clean", "dog", cells, LabSheet(rows, "dog"), 1.0)


def test_there_are_forty_sheets_and_more_of_four_layouts() -> None:
    every = sheets()

    assert 2 * len(every) >= 40
    assert {sheet.layout for sheet in every} == {"idexx_like", "heska_like", "abaxis_like", "zoetis_like"}
    assert len({sheet.id for sheet in every}) == len(every)
    assert sum(len(sheet.cells) for sheet in every) >= 280


def test_nobody_and_no_day_is_named_on_a_sheet() -> None:
    labels = {"Species", "Age", "Sex", "Sample", "Sample Type", "Tierart", "Alter", "Material"}

    for sheet in sheets():
        assert {line.partition(":")[0] for line in sheet.head} <= labels


def test_the_same_photograph_is_taken_each_time() -> None:
    sheet = sheets()[11]

    assert photographed(sheet).tobytes() == photographed(sheet).tobytes()
    assert photographed(sheet).size != clean(sheet).size


def test_a_cell_is_right_only_with_all_its_parts() -> None:
    assert scored(ROW).right == 1
    for name, other in (
        ("value", Decimal("3.2")), ("comparator", ""), ("unit", "mg/dL"), ("unit", None), ("low", Decimal("3.4")),
        ("high", None),
    ):  # fmt: skip
        found = scored(replace(ROW, **{name: other}))
        assert (found.right, len(found.wrong)) == (0, 1), name


def test_unsure_missed_and_invented_cells_are_told_apart() -> None:
    unsure = scored(replace(ROW, why="faint"))
    missed = sheet_scoring.score("a", "idexx_like", "clean", "dog", (CELL,), None, 1.0)
    invented = scored(ROW, replace(ROW, analyte="sodium", label="Na"))

    assert (unsure.unsure, unsure.wrong) == (1, ())
    assert (missed.missed, missed.species) == (1, False)
    assert (invented.right, invented.wrong) == (1, ("Na <3.1 mmol/L, which nobody printed",))


def test_the_sum_is_shown_by_layout_and_every_wrong_cell_is_listed() -> None:
    right, wrong = scored(ROW), scored(replace(ROW, value=Decimal(31)))

    found = sheet_scoring.summed([right, replace(wrong, how="photographed")], "abc", date(2026, 11, 22))
    text = sheet_scoring.describe(found)

    assert (found["cells"], found["right"], found["wrong"], found["sheets"]) == (2, 1, 1, 2)
    assert [row["how"] for row in found["layouts"]] == ["clean", "photographed"]
    assert "a, photographed: potassium <3.1 mmol/L (3.5 to 5.8) read as <3.1 mmol/L" in text
    assert sheet_scoring.summed([], "abc", date(2026, 11, 22))["cells"] == 0


def test_publishing_one_part_keeps_the_other(tmp_path: Path) -> None:
    (tmp_path / "species_data").mkdir()
    found = {"object": "evaluation", "ruleset": "abc", "measures": []}
    sheet_sum = sheet_scoring.summed([scored(ROW)], "abc", date(2026, 11, 22))

    evaluation.publish(tmp_path, found)
    evaluation.publish_sheets(tmp_path, sheet_sum)
    file = evaluation.publish(tmp_path, {**found, "ruleset": "def"})

    kept = json.loads(file.read_text(encoding="utf-8"))
    assert kept["ruleset"] == "def"
    assert kept["sheets"]["right"] == 1


def test_what_is_published_calls_nothing_sure_that_is_wrong() -> None:
    found = json.loads((ROOT / evaluation.RESULT).read_text(encoding="utf-8"))["sheets"]

    assert found["sheets"] >= 40
    assert found["wrong"] == 0
    assert found["cells"] == sum(found[name] for name in sheet_scoring.COUNTS)


def test_sheets_are_measured_alone() -> None:
    with pytest.raises(click.BadParameter):
        cli.main(["eval", "sheets", "labs"], standalone_mode=False)
