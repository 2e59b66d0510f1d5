"""What stands in a key file: it is read as it was written, and refused when it was not."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from auth_server.key_forms import (
    ASSERTION,
    AUDIT,
    DATABASE,
    FIELD,
    FORMS,
    RETIRED_AUDIT,
    Key,
    KeyForm,
    State,
    key_id,
    old,
    secret_id,
    taken,
    unused,
    waiting,
)

NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
forms = st.sampled_from(list(FORMS.values()))
times = st.none() | st.datetimes(timezones=st.just(UTC))
every_form = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)


@st.composite
def rings(draw) -> tuple[KeyForm[Any], list[Key[Any]]]:
    """A key in use, perhaps one that waits, any number of old ones."""
    form = draw(forms)
    keys = [form.new(draw(times), State.IN_USE)]
    if draw(st.booleans()):
        keys.append(form.new(draw(times), State.NEXT))
    for _ in range(draw(st.integers(0, 3))):
        made = form.new(draw(times), State.OLD)
        keys.append(Key(made.id, made.material, State.OLD, made.added_at, draw(times)))
    return form, keys


def same(one: Key[Any], other: Key[Any]) -> bool:
    return all(getattr(one, name) == getattr(other, name) for name in ("id", "state", "added_at", "unused_since"))


@given(rings())
def test_a_file_is_read_as_it_was_written(ring: tuple[KeyForm[Any], list[Key[Any]]]):
    form, keys = ring
    read = form.parse(form.spelt(keys))
    assert len(read) == len(keys) and all(map(same, read, keys))
    assert form.spelt(read) == form.spelt(keys)


@given(rings(), st.data())
def test_a_file_that_was_cut_is_refused_or_ends_after_a_whole_key(ring, data: st.DataObject):
    """Nothing of the kind is ever half a key."""
    form, keys = ring
    text = form.spelt(keys)
    cut = text[: data.draw(st.integers(0, len(text) - 1))]
    try:
        read = form.parse(cut)
    except (ValueError, TypeError):
        return
    assert all(map(same, read, keys)), "what is left is what stood there"
    whole = form.spelt(keys[: len(read)]).rstrip(b"\n")
    assert cut.removeprefix(whole).strip() in (b"", b"#", b"# ", b"# i", b"# id")


@every_form
def test_a_file_of_an_earlier_release_is_read(form: KeyForm[Any]):
    """One key, or several of which the first is in use, and not a word about any."""
    keys = [form.make() for _ in range(3)]
    one = form.parse(form.spell(keys[0]) + b"\n")
    assert [(key.state, key.added_at, key.id) for key in one] == [(State.IN_USE, None, form.name(keys[0]))]
    several = form.parse(b"\n".join(map(form.spell, keys)))
    assert [key.state for key in several] == [State.IN_USE, State.OLD, State.OLD]
    assert all(key.unused_since is None for key in several), "nobody knows that they are unused"


def test_field_keys_on_one_line_are_read_as_they_always_were():
    keys = [Fernet.generate_key() for _ in range(2)]
    assert [key.material for key in FIELD.parse(b" ".join(keys))] == keys


def test_a_comment_of_a_person_is_passed_over():
    key = DATABASE.new(NOW)
    text = b"# kept by ann\n\n" + DATABASE.spelt([key]) + b"\n# the end\n"
    assert same(DATABASE.parse(text)[0], key)


def about(line: str, key: bytes) -> bytes:
    return line.format(id=secret_id(bytes.fromhex(key.decode()))).encode() + b"\n" + key + b"\n"


ONE, TWO = b"11" * 32, b"22" * 32
OF_ONE, OF_TWO = secret_id(bytes.fromhex(ONE.decode())), secret_id(bytes.fromhex(TWO.decode()))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"", "no key"),
        (b"# id=1234567890abcdef state=in-use\n", "a line about no key"),
        (ONE[:62], "a byte too few"),
        (ONE + b"33", "a byte too many"),
        (b"zz" * 32, "not hexadecimal"),
        (ONE + b"\n" + ONE, "the same key twice"),
        (f"# id={OF_TWO} state=in-use\n".encode() + ONE, "another key's id"),
        (f"# id={OF_ONE} state=asleep\n".encode() + ONE, "no such state"),
        (f"# id={OF_ONE}\n".encode() + ONE, "no state"),
        (f"# id={OF_ONE} state=next\n".encode() + ONE, "none in use"),
        (f"# id={OF_ONE} state=old\n".encode() + ONE, "an old one first"),
        (f"# id={OF_ONE} state=in-use unused=2026-11-22T00:00:00Z\n".encode() + ONE, "in use and unused"),
        (f"# id={OF_ONE} state=in-use added=2026-11-22T00:00:00\n".encode() + ONE, "a time without an offset"),
        (f"# id={OF_ONE} state=in-use added=yesterday\n".encode() + ONE, "no time"),
        (f"# id={OF_ONE} state=in-use colour=red\n".encode() + ONE, "a word nobody knows"),
        (ONE + f"\n# id={OF_TWO} state=in-use\n".encode() + TWO, "two in use"),
        (f"# id={OF_ONE} state=in-use\n# id={OF_ONE} state=in-use\n".encode() + ONE, "two lines about one key"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_damaged_file_is_refused(text: bytes, why: str):
    with pytest.raises((ValueError, TypeError)):
        DATABASE.parse(text)


@pytest.mark.parametrize("form", [AUDIT, ASSERTION])
def test_a_key_of_another_algorithm_is_refused(form: KeyForm[Any]):
    pem = generate_private_key(SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with pytest.raises(TypeError):
        form.parse(pem)


def test_a_file_of_retired_keys_holds_public_halves_and_may_be_empty():
    key = Ed25519PrivateKey.generate().public_key()
    text = RETIRED_AUDIT.spelt([RETIRED_AUDIT.key(key, State.OLD, NOW)])
    assert b"PRIVATE" not in text
    assert [(read.id, read.state) for read in RETIRED_AUDIT.parse(text)] == [(key_id(key), State.OLD)]
    assert RETIRED_AUDIT.parse(b"") == ()
    with pytest.raises(TypeError):
        RETIRED_AUDIT.make()


@every_form
def test_the_life_of_a_key(form: KeyForm[Any]):
    first = form.new(NOW)
    second = form.new(NOW, State.NEXT)
    assert waiting([first]) is None and old([first]) == []
    assert waiting([first, second]) == second
    present = taken([first, second], None)
    assert [(key.id, key.state) for key in present] == [(second.id, State.IN_USE), (first.id, State.OLD)]
    assert [key.id for key in old(present)] == [first.id]
    assert form.parse(form.spelt(present))
    ended = unused(present, NOW)
    assert [key.unused_since for key in ended] == [None, NOW]
    assert unused(ended, NOW + timedelta(days=1)) == ended, "what is unused already stays so since then"


@every_form
def test_no_repr_of_a_key_shows_it(form: KeyForm[Any]):
    key = form.new(NOW)
    shown = repr(key)
    assert form.spell(key.material).decode() not in shown
    assert "material" not in shown


def test_an_id_tells_nothing_of_a_secret_key_but_which_it_is():
    keys = [Fernet.generate_key() for _ in range(50)]
    assert len({secret_id(key) for key in keys}) == 50
    assert all(len(secret_id(key)) == 16 and secret_id(key) not in key.decode() for key in keys)
