"""Codes that are handed out once."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth_contract.fields import canonical_permission
from auth_server.secret_codes import code_hash, grouped, new_admin_secret, new_ticket

ALL_ONES = b"\xff" * 16


def test_the_codes_of_known_bits():
    assert new_ticket(lambda size: bytes(size)) == "0" * 16
    assert new_admin_secret(lambda size: bytes(size)) == "0" * 25
    assert new_ticket(lambda size: ALL_ONES[:size]) == "Z" * 16
    assert new_admin_secret(lambda size: ALL_ONES[:size]) == "Z" * 25
    assert new_ticket(lambda _: bytes([0b00001_000, 0b10_00011_0, 0b0100_0010, 0b1_00110_00, 0b111_01000] * 2)) == (
        "12345678" * 2
    )


@pytest.mark.parametrize(("make", "bits"), [(new_ticket, 80), (new_admin_secret, 125)])
def test_every_random_bit_counts(make, bits):
    size = len(make()) * 5
    assert size == bits
    seen = set()
    for place in range(bits):
        width = (bits + 7) // 8 * 8
        seen.add(make(lambda asked, p=place, w=width: (1 << (w - 1 - p)).to_bytes(asked, "big")))
    assert len(seen) == bits


def test_two_codes_differ():
    assert new_ticket() != new_ticket()
    assert new_admin_secret() != new_admin_secret()


def test_a_code_is_handed_out_in_groups():
    assert re.fullmatch(r"([0-9A-Z]{4}-){3}[0-9A-Z]{4}", grouped(new_ticket()))
    assert re.fullmatch(r"([0-9A-Z]{5}-){4}[0-9A-Z]{5}", grouped(new_admin_secret()))


@given(st.sampled_from([new_ticket, new_admin_secret]), st.binary(min_size=16, max_size=16))
def test_however_a_code_is_typed_its_hash_is_one(make, bits):
    code = make(lambda size: bits[:size])
    assert canonical_permission(code) == code
    for typed in (
        grouped(code),
        code.lower(),
        grouped(code).replace("-", " "),
        code.replace("0", "o").replace("1", "l"),
    ):
        assert code_hash(typed) == code_hash(code)


def test_a_hash_is_not_the_plain_one_and_not_another_codes():
    import hashlib

    assert code_hash("0" * 16) != hashlib.sha256(b"0" * 16).hexdigest()
    assert code_hash("0" * 16) != code_hash("0" * 15 + "1")
    assert re.fullmatch("[0-9a-f]{64}", code_hash("0" * 25))


@pytest.mark.parametrize("text", ["", "0" * 15, "0" * 17, "U" * 16, "0" * 26, "ö" * 16])
def test_what_can_be_no_code_has_no_hash(text):
    with pytest.raises(ValueError, match="an enrolment ticket has 16"):
        code_hash(text)
