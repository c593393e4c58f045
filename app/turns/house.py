"""The House: everything a request may need, built once in `main.py` and passed as an argument."""

from __future__ import annotations

from dataclasses import dataclass, field

from app.accounts.accounts import Accounts
from app.accounts.keys import KeyRing
from app.accounts.limits import Limits
from app.base.settings import Settings
from app.billing.ledger import Wallet
from app.billing.tokens import Tokens
from app.billing.usage import Reports
from app.clinic import Clinic
from app.engines import Catalogue, Engines
from app.media import Pictures, Recognition
from app.storage.engine import Database
from app.turns.work import Work


@dataclass(frozen=True, slots=True)
class House:
    """The rooms of one running service.

    Attributes:
        ruleset: content hash of species_data and prompts; `system_fingerprint` is made of it.
        pepper: the master key, for digests and seals; never printed.
        work: the tasks that outlive a response: pumps and settlements.
    """

    settings: Settings
    database: Database
    wallet: Wallet
    reports: Reports
    tokens: Tokens
    accounts: Accounts
    keys: KeyRing
    limits: Limits
    catalogue: Catalogue
    engines: Engines
    clinic: Clinic
    pictures: Pictures
    recognition: Recognition
    work: Work
    ruleset: str
    pepper: bytes = field(repr=False)
