"""What was made of a text, kept for when it comes again."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class Memo(Generic[K, T]):
    """Results of a function that changes nothing, by what they were made of; all are forgotten when the room is full.

    Two threads may make the same result; neither gets a wrong one.

    Args:
        room: characters of text that all the keys together may hold.
        largest: characters of one; what is longer is made each time.
    """

    def __init__(self, room: int, largest: int) -> None:
        self._room = room
        self._largest = largest
        self._kept: dict[K, T] = {}
        self._characters = 0

    def of(self, key: K, characters: int, make: Callable[[], T]) -> T:
        """The result for a key that holds so many characters."""
        known = self._kept.get(key)
        if known is not None:
            return known
        made = make()
        if characters <= self._largest:
            if self._characters + characters > self._room:
                self._kept.clear()
                self._characters = 0
            self._kept[key] = made
            self._characters += characters
        return made
