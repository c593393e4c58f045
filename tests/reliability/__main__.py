"""`python -m tests.reliability NAME`: one claim about the running service; exit code 1 if it is refuted."""

from __future__ import annotations

import argparse
import asyncio
import sys
from types import ModuleType

from tests.reliability import drain, exact, kill_database, kill_worker, leave, limits, pictures, upstream
from tests.reliability.running import Claims

COMMANDS: tuple[ModuleType, ...] = (exact, leave, kill_worker, kill_database, upstream, drain, limits, pictures)


def main(arguments: list[str] | None = None) -> int:
    """Run one command."""
    parser = argparse.ArgumentParser(prog="python -m tests.reliability", description=__doc__)
    names = parser.add_subparsers(dest="name", required=True)
    for module in COMMANDS:
        command = names.add_parser(module.NAME, help=module.__doc__)
        command.add_argument("--database", help="postgresql://… instead of an embedded one.")
        command.add_argument("--workers", type=int, default=1, help="Processes that answer requests.")
        command.add_argument("--keep", action="store_true", help="Keep the service's folder with its log.")
        module.options(command)
        command.set_defaults(module=module)
    chosen = parser.parse_args(arguments)
    claims = Claims(chosen.name)
    asyncio.run(chosen.module.run(chosen, claims))
    return claims.tell()


if __name__ == "__main__":
    sys.exit(main())
