"""The kept records: as good as read ones, never stale, never in the way."""

from __future__ import annotations

import pickle
from importlib import import_module
from pathlib import Path

import pytest

from app.base.errors import BadData
from app.clinic import kept
from app.clinic.kept import kept_all
from app.clinic.lexicon import build, lexicon
from app.clinic.records import Records, load, ruleset
from tests.clinic.made import write


def kept_records(root: Path) -> Records:
    return kept_all(root, ruleset(root))[0]


def pickles(root: Path) -> list[Path]:
    return list((root / "species_data" / kept.FOLDER).glob("*"))


def unreadable(root: object) -> Records:
    raise AssertionError(f"{root} was read again")


def test_a_second_opening_reads_no_record_and_gives_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write(tmp_path)
    first = kept_records(root)
    monkeypatch.setattr(kept, "load", unreadable)

    assert kept_records(root) == first == load(root)
    assert len(pickles(root)) == 1


def test_the_lexicon_comes_with_the_records_and_is_the_one_they_make(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write(tmp_path)
    kept_records(root)
    module = import_module("app.clinic.lexicon")
    made = build(load(root))
    monkeypatch.setattr(module, "build", unreadable)

    assert lexicon(kept_records(root)) == made


def test_a_changed_figure_is_never_missed_and_the_old_file_goes(tmp_path: Path) -> None:
    root = write(tmp_path)
    kept_records(root)
    file = root / "species_data" / "drugs" / "alphadol.toml"
    file.write_text(file.read_text().replace("alphadol", "alphadoll", 1))
    with pytest.raises(BadData):
        kept_records(root)
    file.write_text(file.read_text().replace("alphadoll", "alphadol", 1) + "\n# a word more\n")
    kept_records(root)

    assert len(pickles(root)) == 1


@pytest.mark.parametrize("content", [b"", b"garbage", b"\x80\x04N.", b"cnowhere\nnothing\n.", pickle.dumps((1, 2, 3))])
def test_a_kept_file_that_is_no_set_of_records_is_made_anew(tmp_path: Path, content: bytes) -> None:
    root = write(tmp_path)
    kept_records(root)
    (file,) = pickles(root)
    file.write_bytes(content)

    assert kept_records(root) == load(root)
    assert file.read_bytes() != content


def test_a_folder_that_cannot_be_written_to_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write(tmp_path)

    def refuse(one: Path, other: Path) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "replace", refuse)

    assert kept_records(root) == load(root)
