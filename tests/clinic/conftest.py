"""The real records, and a small made-up set whose answers can be worked out by hand."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.clinic import Clinic, open_clinic
from app.clinic.records import Records
from tests.clinic.made import write

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def clinic() -> Clinic:
    """The clinic over the shipped species_data."""
    return open_clinic(ROOT)


@pytest.fixture(scope="session")
def records(clinic: Clinic) -> Records:
    """The shipped records."""
    return clinic.records


@pytest.fixture
def no_collections() -> Iterator[None]:
    """Without the garbage collector, which in a process as large as the suite's takes half a second when it likes."""
    gc.disable()
    yield
    gc.enable()


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Clinic:
    """A clinic over the made-up records."""
    return open_clinic(write(tmp_path_factory.mktemp("small")))
