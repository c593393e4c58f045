"""What was made of a text is kept, and room is never exceeded."""

from __future__ import annotations

from collections.abc import Callable

from app.base.memo import Memo


def counted() -> tuple[list[str], Callable[[str], Callable[[], str]]]:
    made: list[str] = []

    def maker(text: str) -> Callable[[], str]:
        def make() -> str:
            made.append(text)
            return text.upper()

        return make

    return made, maker


def test_a_result_is_made_once_while_there_is_room() -> None:
    made, maker = counted()
    memo: Memo[str, str] = Memo(room=10, largest=4)
    assert [memo.of(text, len(text), maker(text)) for text in ("ab", "cd", "ab")] == ["AB", "CD", "AB"]
    assert made == ["ab", "cd"]


def test_a_full_room_is_emptied_and_filled_again() -> None:
    made, maker = counted()
    memo: Memo[str, str] = Memo(room=4, largest=4)
    for text in ("ab", "cd", "ef", "ab", "ef"):
        assert memo.of(text, len(text), maker(text)) == text.upper()
    assert made == ["ab", "cd", "ef", "ab"]


def test_what_is_larger_than_allowed_is_made_each_time() -> None:
    made, maker = counted()
    memo: Memo[str, str] = Memo(room=100, largest=4)
    for _ in range(2):
        assert memo.of("abcde", 5, maker("abcde")) == "ABCDE"
    assert made == ["abcde", "abcde"]


def test_a_key_is_more_than_its_text() -> None:
    _, maker = counted()
    memo: Memo[tuple[str, int], str] = Memo(room=100, largest=50)
    assert memo.of(("a", 1), 1, maker("one")) == "ONE"
    assert memo.of(("a", 2), 1, maker("two")) == "TWO"
