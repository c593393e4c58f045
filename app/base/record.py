"""Frozen records at the price of plain ones.

A frozen dataclass sets each field with a call of `object.__setattr__`, a fifth of a microsecond; a chat call makes
some three hundred of them. mypy, strict over the whole house, refuses to assign to a frozen record: that is enough for
the records that every call makes. What lives long or is shared stays a frozen `dataclass`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dataclasses import dataclass as record
else:
    from dataclasses import dataclass

    def record(*, frozen, slots):
        """`dataclass`, frozen for the type checker alone; hashed and compared by its fields."""
        return dataclass(slots=slots, unsafe_hash=frozen)


__all__ = ["record"]
