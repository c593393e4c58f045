"""Idempotency keys: what we keep of one, and answers sealed so that only who got them can have them again."""

from __future__ import annotations

import hmac
import os
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING
from uuid import UUID

from app.base.errors import IdempotencyKeyReused, Invalid
from app.base.record import record

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

KEY_LENGTH_MAX = 255
HEADER = "Idempotency-Key"
_NONCE_BYTES = 12


@record(frozen=True, slots=True)
class Claim:
    """A caller's Idempotency-Key, without the key.

    Attributes:
        key_digest, fingerprint: HMAC-SHA-256; the key's, and that of method, path and body.
    """

    key_digest: bytes
    fingerprint: bytes
    _sealing_key: bytes = field(repr=False)

    def seal(self, answer: bytes) -> bytes:
        """The answer, unreadable without the caller's own keys."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher().encrypt(nonce, answer, self.key_digest)

    def open(self, sealed: bytes) -> bytes:
        """What `seal` was given.

        Raises:
            IdempotencyKeyReused: it was sealed for another API key of the same account.
        """
        from cryptography.exceptions import InvalidTag

        try:
            return self._cipher().decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], self.key_digest)
        except InvalidTag:
            raise IdempotencyKeyReused(
                "This Idempotency-Key was used with another API key; use a new one.", param=HEADER
            ) from None

    def _cipher(self) -> ChaCha20Poly1305:
        from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

        return ChaCha20Poly1305(self._sealing_key)


@dataclass(frozen=True, slots=True)
class Replay:
    """The answer that was settled under the same key before."""

    charge_id: UUID
    answer: bytes = field(repr=False)


def claim(idempotency_key: str, api_key: str, request: bytes, pepper: bytes) -> Claim:
    """The claim of one call.

    Args:
        api_key: the caller's own, in plain; it is not kept.
        request: whatever must be the same when the key comes again: method, path and body.
        pepper: the service's secret.

    Raises:
        Invalid: the key isn't 1 to 255 visible ASCII characters.
    """
    if not 0 < len(idempotency_key) <= KEY_LENGTH_MAX or not all("!" <= c <= "~" for c in idempotency_key):
        raise Invalid("An Idempotency-Key is 1 to 255 visible ASCII characters.", param=HEADER)
    # 7 MB of a worker that only calls with such a key need.
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    key = idempotency_key.encode()
    # The length in front keeps "ab" + "c" and "a" + "bc" apart.
    secret = len(key).to_bytes(2) + key + api_key.encode()
    return Claim(
        hmac.digest(pepper, b"idempotency key:" + key, sha256),
        hmac.digest(pepper, b"idempotent request:" + request, sha256),
        HKDF(SHA256(), 32, salt=pepper, info=b"vetx idempotent answer").derive(secret),
    )
