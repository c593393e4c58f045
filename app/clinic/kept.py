"""The checked records of the last start, kept beside the data as Python keeps compiled code beside its source.

Reading and checking the files takes seconds; unpickling what came of them 1/15 of it. The name of the kept file is a
digest of everything that decides its content, so a changed figure, loader or interpreter is never missed. Whoever can
write there can write the records and the code as well, which is why trusting a pickle costs nothing here.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import sys
import tempfile
from pathlib import Path

from app.clinic import formulas, records, units
from app.clinic.formulas import Formulas, load_formulas
from app.clinic.records import Records, load

FOLDER = "__pycache__"


def kept_all(root: Path, content: str) -> tuple[Records, Formulas]:
    """`load(root)` and the formulas, from the kept file where there is one; a folder not writable is no error.

    Args:
        content: what `records.ruleset` makes of the data files.

    Raises:
        BadData: as `load`.
    """
    file = root / "species_data" / FOLDER / f"{_digest(content)}.pickle"
    try:
        found = pickle.loads(file.read_bytes())  # noqa: S301 - see the module docstring
        if isinstance(found[0], Records) and isinstance(found[1], Formulas):
            return found[0], found[1]
    except Exception:  # noqa: S110 - whatever is wrong with it, it is made anew
        pass
    read = load(root)
    whole = (read, load_formulas(root, read))
    _keep(whole, file)
    return whole


def _digest(content: str) -> str:
    digest = hashlib.sha256(f"{sys.version}\0{pickle.HIGHEST_PROTOCOL}\0{content}\0".encode())
    for module in (records, units, formulas):
        digest.update(Path(module.__file__ or "").read_bytes())
    return digest.hexdigest()[:24]


def _keep(read: tuple[Records, Formulas], file: Path) -> None:
    try:
        file.parent.mkdir(exist_ok=True)
        handle, name = tempfile.mkstemp(dir=file.parent)
        with os.fdopen(handle, "wb") as opened:
            opened.write(pickle.dumps(read, pickle.HIGHEST_PROTOCOL))
        Path(name).replace(file)
        for old in file.parent.glob("*.pickle"):
            if old != file:
                old.unlink(missing_ok=True)
    except OSError:
        pass
