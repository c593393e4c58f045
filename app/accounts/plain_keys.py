"""The key as its holder knows it: how it is made, told from a typo, digested for storage, and read from a request.

A key is `vt_key_`, 30 random base62 characters and 6 check characters. The check characters are made with the master
key, so that nobody else can write a key that is worth a look into the database.
"""

from __future__ import annotations

import hmac
import re
import secrets
import string
from collections.abc import Iterable
from hashlib import sha256

from app.base.errors import Unauthenticated

PREFIX = "vt_key_"
RANDOM_CHARACTERS = 30
CHECK_CHARACTERS = 6
KEY_CHARACTERS = len(PREFIX) + RANDOM_CHARACTERS + CHECK_CHARACTERS
_ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
_FORM = re.compile(rb"vt_key_[0-9A-Za-z]{36}")


class Pepper:
    """The two secrets that keys are checked and stored with, both made from the master key."""

    __slots__ = ("_check", "_store")

    def __init__(self, master_key: bytes) -> None:
        assert master_key
        self._check = hmac.digest(master_key, b"vetx api key check characters", "sha256")
        self._store = hmac.new(hmac.digest(master_key, b"vetx api key digest", "sha256"), digestmod=sha256)

    def __repr__(self) -> str:
        return "Pepper()"

    def digest(self, plain: bytes) -> bytes:
        """What is stored of a key: 32 bytes that can't be turned back."""
        keyed = self._store.copy()
        keyed.update(plain)
        return keyed.digest()

    def mint(self) -> str:
        """A new key: 178 random bits."""
        body = PREFIX + "".join(secrets.choice(_ALPHABET) for _ in range(RANDOM_CHARACTERS))
        return body + self._check_characters(body.encode())

    def is_ours(self, plain: bytes) -> bool:
        """Whether the check characters are right; a key for which they aren't can't be in the database."""
        body, check = plain[:-CHECK_CHARACTERS], plain[-CHECK_CHARACTERS:]
        return hmac.compare_digest(self._check_characters(body).encode(), check)

    def _check_characters(self, body: bytes) -> str:
        number = int.from_bytes(hmac.digest(self._check, body, "sha256")[:8], "big")
        characters = ""
        for _ in range(CHECK_CHARACTERS):
            number, digit = divmod(number, len(_ALPHABET))
            characters += _ALPHABET[digit]
        return characters


def redacted(plain: str) -> str:
    """What lists show of a key; its last characters are check characters, so this gives nothing away."""
    return f"{PREFIX}…{plain[-4:]}"


def missing() -> Unauthenticated:
    """The refusal of a request that brings no key."""
    return Unauthenticated("Send your API key in the header Authorization: Bearer vt_key_….", code="missing_api_key")


def unknown() -> Unauthenticated:
    """The refusal of a key that isn't one of ours, whatever is wrong with it."""
    return Unauthenticated(
        "This API key is not one of ours; check that it was copied whole: vt_key_ and 36 letters and digits.",
        code="invalid_api_key",
    )


def read_bearer(values: Iterable[bytes]) -> bytes:
    """The key in the Authorization headers of a request (all of them, as they came).

    Raises:
        Unauthenticated: missing_api_key: no header, or one that isn't Bearer; invalid_api_key: several headers, or
            something that can't be a key.
    """
    first: bytes | None = None
    for value in values:
        if first is not None:
            raise Unauthenticated("Send one Authorization header, not several.", code="invalid_api_key")
        first = value
    if first is None:
        raise missing()
    scheme, _, plain = first.strip(b" \t").partition(b" ")
    plain = plain.strip(b" ")
    if scheme.lower() != b"bearer" or not plain:
        raise missing()
    if _FORM.fullmatch(plain) is None:
        raise unknown()
    return plain
