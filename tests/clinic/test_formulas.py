"""species_data/calculators: read strictly, sourced to the last figure, and refused with file and key."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from app.base.errors import BadData
from app.clinic import Clinic
from app.clinic.formulas import Formulas, load_formulas
from app.clinic.records import load
from tests.clinic.conftest import ROOT
from tests.clinic.made import S, write

BAND = f'of = "x"\nunit = "mg/dL"\nlabel = "1"\n{S}'
PATTERN = f'id = "p"\nname = "n"\nurgency = "urgent"\nwhy = "w"\n{S}'
WRONG = [
    ("band without start", f"[[band]]\n{BAND}", "from"),
    ("band with two starts", f"[[band]]\nfrom = 1\nabove = 1\n{BAND}", "from"),
    ("unknown key", f"[[band]]\nfrom = 1\ncolour = 3\n{BAND}", "colour"),
    ("no source", '[[band]]\nfrom = 1\nof = "x"\nunit = "mg/dL"\nlabel = "1"', "sources"),
    ("unknown species", f'[[band]]\nfrom = 1\nspecies = ["unicorn"]\n{BAND}', "species"),
    ("range upside down", f'[[range]]\nof = "x"\nunit = "u"\nlow = 3\nhigh = 2\n{S}', "low"),
    ("coefficient without unit", f'[[coefficient]]\nid = "c"\nvalue = 3\n{S}', "unit"),
    ("coefficient that says nothing", f'[[coefficient]]\nid = "c"\n{S}', "text"),
    ("pattern without tests", f"[[pattern]]\n{PATTERN}", "all"),
    ("test of nothing known", f'[[pattern]]\n{PATTERN}\nall = [{{ of = "unobtainium", below = 3 }}]', "of"),
    ("test without a limit", f'[[pattern]]\n{PATTERN}\nall = [{{ of = "creatinine" }}]', "flags"),
    ("test in another unit", f'[[pattern]]\n{PATTERN}\nall = [{{ of = "creatinine", below = 3, unit = "g" }}]', "unit"),
    ("test of a wrong flag", f'[[pattern]]\n{PATTERN}\nall = [{{ of = "creatinine", flags = ["X"] }}]', "flags"),
    ("one id twice", f"[[pattern]]\n{PATTERN}\nall = [{{ of = 'anion gap', below = 3 }}]\n" * 2, "pattern"),
    ("replaces nothing", f"[[pattern]]\n{PATTERN}\nreplaces = ['q']\nall = [{{ of = 'anion gap', below = 3 }}]", "q"),
    ("unknown table", "[[colour]]\nid = 3", "colour"),
    ("no TOML", "band = [", "(file)"),
]  # fmt: skip


def made(tmp_path: Path, content: str) -> Formulas:
    root = write(tmp_path)
    folder = root / "species_data" / "calculators"
    folder.mkdir()
    (folder / "x.toml").write_text(content)
    return load_formulas(root, load(root))


@pytest.mark.parametrize(("what", "content", "key"), WRONG)
def test_a_wrong_file_is_refused_with_its_key(tmp_path: Path, what: str, content: str, key: str) -> None:
    with pytest.raises(BadData) as error:
        made(tmp_path, content)

    assert key in str(error.value), what


def test_a_band_begins_at_or_just_beyond_its_limit_and_holds_for_its_species(tmp_path: Path) -> None:
    rows = "".join(
        f'[[band]]\nof = "x"\nunit = "u"\nlabel = "{label}"\nspecies = ["dog"]\n{start}\n{S}\n'
        for label, start in (("a", "from = 0"), ("b", "from = 2"), ("c", "above = 5"))
    )
    formulas = made(tmp_path, rows)

    def label(value: str, species: str | None = "dog", unit: str = "u") -> str | None:
        found = formulas.band("x", Decimal(value), unit, species)
        return None if found is None else found.label

    assert [label(value) for value in ("0", "1.99", "2", "5", "5.01")] == ["a", "a", "b", "b", "c"]
    assert label("3", "cat") is None
    assert label("3", None) is None
    assert label("3", unit="v") is None


def test_what_is_kept_is_what_the_files_say(clinic: Clinic) -> None:
    assert load_formulas(ROOT, clinic.records) == clinic.formulas


def test_without_the_folder_there_are_no_figures(small: Clinic) -> None:
    assert small.formulas.patterns == ()
    assert small.formulas.coefficient("anything") is None
    assert small.formulas.usual("anion gap", "dog") is None


def test_every_scale_begins_somewhere_and_rises(clinic: Clinic) -> None:
    """No step repeats the start of another: the order of a file must not decide a stage."""
    seen: set[tuple[object, ...]] = set()
    for row in clinic.formulas.bands:
        for species in row.species or ("any",):
            key = (row.of, row.unit, species, row.start)
            assert key not in seen
            seen.add(key)
    assert clinic.formulas.patterns
