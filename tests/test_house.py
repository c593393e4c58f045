"""The floor plan as a program: which room may open a door to which, who opens PostgreSQL, who reads the environment."""

from __future__ import annotations

import ast
import subprocess
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[1]
FLOORS = {
    "base": 1,
    "storage": 2,
    **dict.fromkeys(["accounts", "billing", "memory", "clinic", "engines", "media"], 3),
    "turns": 4,
    "api": 5,
}
FRONT_DOORS = ("main", "cli")
OPEN_STORAGE = {"accounts", "billing", "memory", "turns", *FRONT_DOORS}
# Rooms that own tables write SQL, and so know SQLAlchemy's words and asyncpg's errors. Only storage connects.
DATABASE_PACKAGES = {"asyncpg", "sqlalchemy", "alembic", "psycopg", "sqlite3"}
SPEAK_SQL = {"accounts", "billing", "memory", "turns", "storage"}
CONNECTORS = {"create_async_engine", "create_engine", "async_engine_from_config", "engine_from_config", "create_pool"}
ENVIRONMENT = {"environ", "environb", "getenv", "getenvb", "putenv", "unsetenv"}
TOP_LEVEL = {
    *("app", "migrations", "prompts", "species_data", "tests", "docs", "deploy", ".ci"),
    *("README.md", "LICENSE", "CHANGELOG.md", "SECURITY.md"),
    *("pyproject.toml", "alembic.ini", "run.py", "requirements.lock"),
}


def imported(tree: ast.AST, package: list[str]) -> list[tuple[int, str]]:
    """Line and full dotted name of everything imported, wherever in the file, also by name at run time."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            start = ".".join([*above, *([node.module] if node.module else [])])
            found += [(node.lineno, f"{start}.{alias.name}") for alias in node.names]
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in ("import_module", "__import__"):
                found.append((node.lineno, str(node.args[0].value)))
    return found


def violations(path: str, source: str) -> list[str]:
    """What a file, named by its path from the checkout, does against the floor plan."""
    tree = ast.parse(source)
    parts = Path(path).with_suffix("").parts
    room = parts[1]
    front = room in FRONT_DOORS and len(parts) == 2
    wrong = []
    for line, name in imported(tree, list(parts[:-1])):
        words = name.split(".")
        if words[0] in DATABASE_PACKAGES and room not in SPEAK_SQL:
            wrong.append(f"{path}:{line}: {room} does not speak to databases, so not {words[0]}")
        if words[0] != "app" or len(words) < 2 or words[1] == room:
            continue
        target = words[1]
        if target in FRONT_DOORS:
            if not front:
                wrong.append(f"{path}:{line}: nobody uses the front door {target}")
        elif target not in FLOORS:
            wrong.append(f"{path}:{line}: {target} is not a room")
        elif not front and FLOORS[target] >= FLOORS.get(room, 0):
            wrong.append(f"{path}:{line}: {room} is not above {target}")
        elif target == "storage" and room not in OPEN_STORAGE:
            wrong.append(f"{path}:{line}: {room} does not open storage")
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            owner, names = node.module or "", {alias.name for alias in node.names}
        elif isinstance(node, ast.Attribute):
            owner, names = getattr(node.value, "id", ""), {node.attr}
        else:
            continue
        if owner == "os" and names & ENVIRONMENT and not front:
            wrong.append(f"{path}:{node.lineno}: only the front doors read the environment")
        if room != "storage" and (names & CONNECTORS or (owner == "asyncpg" and "connect" in names)):
            wrong.append(f"{path}:{node.lineno}: only storage opens a database")
    return wrong


def test_no_door_opens_to_the_same_or_a_higher_floor() -> None:
    files = sorted((CHECKOUT / "app").rglob("*.py"))

    found = [
        line
        for file in files
        if file != CHECKOUT / "app" / "__init__.py"
        for line in violations(file.relative_to(CHECKOUT).as_posix(), file.read_text(encoding="utf-8"))
    ]

    assert files
    assert not found, "\n".join(found)


def test_app_holds_the_ten_rooms_and_the_front_doors_and_nothing_else() -> None:
    folders = {entry.name for entry in (CHECKOUT / "app").iterdir() if entry.is_dir() and any(entry.glob("*.py"))}
    modules = {entry.stem for entry in (CHECKOUT / "app").glob("*.py")}

    assert folders <= set(FLOORS)
    assert modules <= {"__init__", *FRONT_DOORS}


def test_the_top_level_holds_only_what_a_newcomer_looks_for() -> None:
    listing = ["git", "-c", "safe.directory=*", "ls-files", "--cached", "--others", "--exclude-standard"]
    try:
        done = subprocess.run(listing, cwd=CHECKOUT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no git here to tell our files from what was left lying about")
    names = {line.strip('"').split("/")[0] for line in done.stdout.splitlines()}

    assert {name for name in names if not name.startswith(".")} <= TOP_LEVEL


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("app/base/money.py", "from app.billing import ledger"),
        ("app/base/money.py", "import app.storage.engine"),
        ("app/billing/ledger.py", "from app.accounts.keys import KeyRing"),
        ("app/billing/ledger.py", "from app import accounts"),
        ("app/billing/ledger.py", "from ..accounts import keys"),
        ("app/billing/ledger.py", "from .. import accounts"),
        ("app/billing/ledger.py", "def late():\n    from app.turns.chat import begin"),
        ("app/billing/ledger.py", "if TYPE_CHECKING:\n    from app.api.chat import ChatController"),
        ("app/billing/ledger.py", "importlib.import_module('app.turns.chat')"),
        ("app/clinic/dosing.py", "from app.storage.engine import Database"),
        ("app/api/chat.py", "from app.storage.engine import Database"),
        ("app/turns/chat.py", "from app.api.sse import as_sse"),
        ("app/turns/chat.py", "from app.main import build"),
        ("app/turns/chat.py", "from app.utils import anything"),
        ("app/clinic/dosing.py", "import sqlalchemy as sa"),
        ("app/api/chat.py", "from asyncpg import Record"),
        ("app/main.py", "import asyncpg"),
        ("app/billing/ledger.py", "pool = asyncpg.create_pool(url)"),
        ("app/billing/ledger.py", "from asyncpg import connect"),
        ("app/billing/ledger.py", "from sqlalchemy.ext.asyncio import create_async_engine"),
        ("app/engines/builtin.py", "home = os.environ['HOME']"),
        ("app/engines/builtin.py", "from os import getenv"),
        ("app/api/main.py", "os.getenv('HOME')"),
    ],
)
def test_the_linter_catches(path: str, source: str) -> None:
    assert violations(path, source)


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("app/billing/ledger.py", "from app.base.money import dollars\nfrom app.billing.prices import Price"),
        ("app/billing/ledger.py", "from . import prices\nfrom .prices import Price"),
        ("app/billing/ledger.py", "from app.storage.engine import Database\nfrom sqlalchemy import text"),
        ("app/storage/engine.py", "import asyncpg\npool = asyncpg.create_pool('')"),
        ("app/turns/chat.py", "from app.billing import ledger\nfrom app.storage import statements"),
        ("app/api/chat.py", "from app.turns.chat import begin\nfrom app.accounts.keys import KeyRing"),
        ("app/cli.py", "from app.main import build\nfrom app.storage import embedded\nos.environ"),
        ("app/api/chat.py", "application.connect(); os.path.join('a')"),
    ],
)
def test_the_linter_lets_pass(path: str, source: str) -> None:
    assert not violations(path, source)
