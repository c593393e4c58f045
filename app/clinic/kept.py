"""The checked records of the last start, kept beside the data as Python keeps compiled code beside its source.

Reading and checking the files takes seconds, and their lexicon half a second; unpickling what came of them a quarter of
one, and half of the memory. The name of the kept file is a digest of everything that decides its content, so a changed
figure, loader or interpreter is never missed. Whoever can write there can write the records and the code as well, which
is why trusting a pickle costs nothing here.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import pickletools
import sys
import tempfile
from pathlib import Path

from app.clinic.formulas import Formulas, load_formulas
from app.clinic.lexicon import Lexicon, build, lexicon
from app.clinic.records import Records, load

FOLDER = "__pycache__"
MAKERS = ("formulas", "lexicon", "records", "rules", "units")
"""The modules that decide what is kept."""


def kept_all(root: Path, content: str) -> tuple[Records, Formulas]:
    """`load(root)` and the formulas, from the kept file where there is one; a folder not writable is no error.

    The records' lexicon comes with them, so `lexicon` needn't build it.

    Args:
        content: what `records.ruleset` makes of the data files.

    Raises:
        BadData: as `load`.
    """
    file = root / "species_data" / FOLDER / f"{_digest(content)}.pickle"
    try:
        return _unpacked(file.read_bytes())
    except Exception:  # noqa: S110 - whatever is wrong with it, it is made anew
        pass
    packed = _packed(root)
    _keep(packed, file)
    return _unpacked(packed)  # closer together in memory than what was read


def _packed(root: Path) -> bytes:
    read = load(root)
    whole = (read, load_formulas(root, read), build(read))
    # Without optimizing every passing object is remembered until the last one is unpickled, 4 MB.
    return pickletools.optimize(pickle.dumps(whole, pickle.HIGHEST_PROTOCOL))


def _unpacked(packed: bytes) -> tuple[Records, Formulas]:
    read, formulas, known = pickle.loads(packed)  # noqa: S301 - see the module docstring
    if not (isinstance(read, Records) and isinstance(formulas, Formulas) and isinstance(known, Lexicon)):
        raise TypeError
    lexicon.keep(read, known)
    return read, formulas


def _digest(content: str) -> str:
    digest = hashlib.sha256(f"{sys.version}\0{pickle.HIGHEST_PROTOCOL}\0{content}\0".encode())
    for name in MAKERS:
        digest.update(Path(__file__).with_name(f"{name}.py").read_bytes())
    return digest.hexdigest()[:24]


def _keep(packed: bytes, file: Path) -> None:
    try:
        file.parent.mkdir(exist_ok=True)
        handle, name = tempfile.mkstemp(dir=file.parent)
        with os.fdopen(handle, "wb") as opened:
            opened.write(packed)
        Path(name).replace(file)
        for old in file.parent.glob("*.pickle"):
            if old != file:
                old.unlink(missing_ok=True)
    except OSError:
        pass
