"""Which new passwords are taken, and which rule refuses the others."""

import unicodedata

import bcrypt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth_server.errors import PasswordRefused
from auth_server.factors import password as factor
from auth_server.password_policy import check_new_password, hash_password


@pytest.mark.parametrize(
    "password",
    [
        "correct horse battery staple",
        "Tr0ub4dor&3",
        "my dog eats at 7",
        "vexed-otter",
        "Grünkohl-mit-Pinkel",
        "e\u0301te\u0301-\u00e0-la-mer",
        "пароль-Зимой-42",
        "나는아침에빵을먹는다",
        "👍🏽 thumbs up",
        "  so much space  ",
        "abcdefgH",
        "abcdefg7",
        "abcdefg!",
        "Jx4!" * 16,
        "Jx4! " * 14 + "zz",
        "é1ê2" * 12,
    ],
)
def test_a_good_password_is_taken(password: str) -> None:
    check_new_password(password, "maria")


@pytest.mark.parametrize(
    ("password", "rule"),
    [
        ("", "at least 8 characters"),
        ("Ab1!xyz", "at least 8 characters"),
        ("e\u0301" * 7, "at least 8 characters"),
        ("qzxwvtrk", "upper-case letter, digit or special"),
        ("übergröße", "upper-case letter, digit or special"),
        ("Aa1Aa1Aa1", "4 different"),
        ("11111112", "4 different"),
        ("Password", "common"),
        ("password1", "common"),
        ("Password1!", "common"),
        ("P@ssw0rd", "common"),
        ("1qaz2wsx", "common"),
        ("QWERTYUIOP", "common"),
        ("12Dragon34", "common"),
        ("trustno1", "common"),
        ("iloveyou!!", "common"),
        ("Maria-2026", "own name"),
        ("xx-MARIA-xx7", "own name"),
        ("airam-7-airam", "own name"),
        ("m.a.r.i.a.1", "own name"),
        ("My4AuthKey!", "this system"),
        ("4-auth-99-x", "this system"),
        ("fourauth-99", "this system"),
        ("headquarters-7", "this system"),
        ("A1!" + "x" * 70, "at most 72 bytes of UTF-8, this one has 73"),
        ("é" * 37, "at most 72 bytes of UTF-8, this one has 74"),
        ("abc\x00defgh", "control characters"),
        ("abc\tdefgh1", "control characters"),
    ],
)
def test_a_bad_password_is_refused_by_its_rule(password: str, rule: str) -> None:
    with pytest.raises(PasswordRefused, match=rule) as caught:
        check_new_password(password, "Maria", site_words=["headquarters"])
    assert caught.value.rule == str(caught.value)


def test_the_whole_name_is_looked_for_whatever_stands_between() -> None:
    with pytest.raises(PasswordRefused, match="own name"):
        check_new_password("AdaLovelace1", "ada lovelace")
    check_new_password("Ada-was-first", "ada lovelace")


def test_a_very_short_name_forbids_nothing() -> None:
    check_new_password("all aboard 7", "al", site_words=["a", "7", "-", "bo"])


@pytest.mark.parametrize("length", [64, 71, 72])
def test_long_passphrases_are_taken_whole(length: int) -> None:
    password = ("many small words 7 " * 4)[:length]
    check_new_password(password, "maria")
    enrolment = hash_password(password)
    assert factor.verify(claim=password, enrolment=enrolment).passed
    assert not factor.verify(claim=password[:-1], enrolment=enrolment).passed


def test_a_hash_is_bcrypt_of_cost_12_with_its_own_salt() -> None:
    first, second = hash_password("vexed-otter 7"), hash_password("vexed-otter 7")
    assert first.startswith(b"$2b$12$")
    assert first != second
    assert bcrypt.checkpw(b"vexed-otter 7", first)


def test_both_compositions_of_a_letter_are_one_password() -> None:
    assert factor.verify(claim="caf\u00e9-noir", enrolment=hash_password("cafe\u0301-noir")).passed


def test_a_password_above_72_bytes_is_never_hashed() -> None:
    with pytest.raises(PasswordRefused, match="72 bytes"):
        hash_password("x" * 73)


@given(st.text(max_size=100))
def test_every_password_is_taken_and_can_be_hashed_or_is_refused_by_a_rule(tail: str) -> None:
    # Letters that no rule holds, so that finding them means that the password was repeated.
    password = f"q7q{tail}"
    try:
        check_new_password(password, "maria")
    except PasswordRefused as refused:
        assert "q7" not in str(refused)
    else:
        assert len(unicodedata.normalize("NFC", password).encode()) <= 72


@pytest.mark.parametrize(
    "password", ["hunter2", "hunter2\x00!!", "hunter2" * 20, "hunter2maria", "Hunter12", "aaaaaaaA"]
)
def test_no_refusal_repeats_the_password(password: str) -> None:
    with pytest.raises(PasswordRefused) as caught:
        check_new_password(password, "maria")
    assert "unter" not in str(caught.value)
    assert "aaaa" not in str(caught.value)
    assert caught.value.__cause__ is None
