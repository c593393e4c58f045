"""Keys as text: form, check characters, and the Authorization header."""

from __future__ import annotations

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.accounts.plain_keys import KEY_CHARACTERS, Pepper, read_bearer, redacted
from app.base.errors import Unauthenticated

PEPPER = Pepper(b"a master key of these tests only")
KEY = PEPPER.mint().encode()
BASE62 = string.ascii_letters + string.digits


def test_a_key_is_a_prefix_and_thirty_six_letters_and_digits() -> None:
    for _ in range(100):
        assert re.fullmatch(r"vt_key_[0-9A-Za-z]{36}", PEPPER.mint())


def test_a_thousand_keys_are_a_thousand_keys() -> None:
    assert len({PEPPER.mint() for _ in range(1_000)}) == 1_000


def test_a_minted_key_is_ours() -> None:
    assert all(PEPPER.is_ours(PEPPER.mint().encode()) for _ in range(100))


@given(place=st.integers(min_value=7, max_value=KEY_CHARACTERS - 1), other=st.sampled_from(BASE62))
def test_a_key_with_one_other_character_is_not_ours(place: int, other: str) -> None:
    changed = KEY[:place] + other.encode() + KEY[place + 1 :]

    assert PEPPER.is_ours(changed) is (changed == KEY)


@given(st.text(alphabet=BASE62, min_size=36, max_size=36))
def test_a_guessed_key_is_not_ours(rest: str) -> None:
    assert not PEPPER.is_ours(b"vt_key_" + rest.encode())


def test_another_master_key_makes_other_digests_and_other_check_characters() -> None:
    other = Pepper(b"another key, of another service.")

    assert other.digest(KEY) != PEPPER.digest(KEY)
    assert not other.is_ours(KEY)


def test_the_digest_and_the_redacted_value_do_not_hold_the_key() -> None:
    plain = PEPPER.mint()

    assert plain[7:37] not in PEPPER.digest(plain.encode()).hex()
    assert redacted(plain) == f"vt_key_…{plain[-4:]}"
    assert repr(PEPPER) == "Pepper()"


@pytest.mark.parametrize(
    "values",
    [
        [b"Bearer " + KEY],
        [b"bearer " + KEY],
        [b"BEARER  " + KEY + b" "],
    ],
)
def test_the_scheme_is_read_in_any_case(values: list[bytes]) -> None:
    assert read_bearer(values) == KEY


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ([], "missing_api_key"),
        ([b""], "missing_api_key"),
        ([b"Bearer"], "missing_api_key"),
        ([b"Bearer   "], "missing_api_key"),
        ([KEY], "missing_api_key"),
        ([b"Basic dXNlcjpwYXNz"], "missing_api_key"),
        ([b"Bearer\t" + KEY], "missing_api_key"),
        ([b"Bearer sk-something-else"], "invalid_api_key"),
        ([b"Bearer " + KEY + b"x"], "invalid_api_key"),
        ([b"Bearer " + KEY[:-1]], "invalid_api_key"),
        ([b"Bearer " + KEY + b"\n"], "invalid_api_key"),
        ([b"Bearer " + KEY[:20] + b" " + KEY[21:]], "invalid_api_key"),
        ([b"Bearer " + KEY + b", Bearer " + KEY], "invalid_api_key"),
        ([b"Bearer vt_key_" + "é".encode() * 18], "invalid_api_key"),
        ([b"Bearer \xff\xfe\x00"], "invalid_api_key"),
        ([b"Bearer " + b"x" * 100_000], "invalid_api_key"),
        ([b"Bearer " + KEY, b"Bearer " + KEY], "invalid_api_key"),
        ([b"Bearer " + KEY, b"Basic dXNlcjpwYXNz"], "invalid_api_key"),
    ],
)
def test_what_is_no_key_is_refused_with_its_code(values: list[bytes], code: str) -> None:
    with pytest.raises(Unauthenticated) as refused:
        read_bearer(values)

    assert refused.value.code == code
    assert refused.value.status == 401


@given(st.binary(max_size=120))
def test_any_bytes_are_a_key_or_a_refusal(value: bytes) -> None:
    try:
        assert len(read_bearer([value])) == KEY_CHARACTERS
    except Unauthenticated as refused:
        assert refused.code in ("missing_api_key", "invalid_api_key")


def test_a_refusal_does_not_repeat_the_key() -> None:
    with pytest.raises(Unauthenticated) as refused:
        read_bearer([b"Bearer " + KEY + b"x"])

    assert KEY.decode() not in refused.value.message
