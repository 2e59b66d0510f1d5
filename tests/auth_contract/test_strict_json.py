"""One unambiguous JSON object, or a StrictJsonError that says which rule is broken."""

import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth_contract.limits import BODY_MAX_BYTES, JSON_MAX_DEPTH, JSON_MAX_VALUES
from auth_contract.strict_json import StrictJsonError, parse_object


def nested(levels: int) -> bytes:
    return b'{"a":' * (levels - 1) + b"{}" + b"}" * (levels - 1)


@pytest.mark.parametrize(
    ("text", "members"),
    [
        (b"{}", {}),
        (b' {"a" : 1} \n', {"a": 1}),
        ('{"a":"é"}'.encode(), {"a": "é"}),
        (b'{"a":"\\u00e9"}', {"a": "é"}),
        (b'{"a":"\\ud83d\\ude00"}', {"a": "😀"}),
        (b'{"a":{"b":1},"b":2}', {"a": {"b": 1}, "b": 2}),
        (b'{"a":[1.5,-2e3,true,null]}', {"a": [1.5, -2000.0, True, None]}),
    ],
)
def test_an_object_is_read(text: bytes, members: dict[str, object]) -> None:
    assert parse_object(text) == members


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        (b"", "not JSON"),
        (b"null", "not a JSON object"),
        (b"[]", "not a JSON object"),
        (b'"a"', "not a JSON object"),
        (b"7", "not a JSON object"),
        (b"{", "not JSON"),
        (b"{}{}", "not JSON"),
        (b"{}\x00", "not JSON"),
        (b"{'a':1}", "not JSON"),
        (b'{"a":1,}', "not JSON"),
        (b'{"a":01}', "not JSON"),
        (b'{"a":"\n"}', "not JSON"),
        (b'{"a":1}//', "not JSON"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        (b'{"a":"\xff"}', "not UTF-8"),
        ('{"a":1}'.encode("utf-16"), "not UTF-8"),
        (b'{"a":"\xed\xa0\x80"}', "not UTF-8"),
        (b'{"a":1,"a":1}', "stands twice"),
        (b'{"a":1,"\\u0061":2}', "stands twice"),
        (b'{"x":[{"a":1,"a":2}]}', "stands twice"),
        (b'{"a":NaN}', "NaN and Infinity"),
        (b'{"a":Infinity}', "NaN and Infinity"),
        (b'{"a":-Infinity}', "NaN and Infinity"),
        (b'{"a":1e999}', "too large"),
        (b'{"a":-1e999}', "too large"),
        (b'{"a":' + b"9" * 5000 + b"}", "too many digits"),
        (b'{"a":"\\ud800"}', "surrogate"),
        (b'{"\\udfff":1}', "surrogate"),
        (b'{"a":["x\\ude00\\ud83d"]}', "surrogate"),
        (nested(JSON_MAX_DEPTH + 1), "deeper than 8"),
        (nested(100), "deeper than 8"),
        (b'{"a":' + b"[" * 3000 + b"]" * 3000 + b"}", "deeper than 8"),
        (b'{"a":[' + b"[]," * JSON_MAX_VALUES + b"[]]}", "more than 4096"),
    ],
)
def test_anything_else_is_refused_by_name(text: bytes, rule: str) -> None:
    with pytest.raises(StrictJsonError, match=rule):
        parse_object(text)


def test_the_deepest_object_is_read() -> None:
    assert parse_object(nested(JSON_MAX_DEPTH)) is not None


@pytest.mark.parametrize("filling", [b"{}", b"[]", b"1", b'""', b'{"a":0}'])
def test_a_body_full_of_tiny_values_is_refused_before_it_is_parsed(filling: bytes) -> None:
    text = b'{"a":[' + b",".join([filling] * (BODY_MAX_BYTES // (len(filling) + 1))) + b"]}"
    tracemalloc.start()
    with pytest.raises(StrictJsonError, match="brackets and commas"):
        parse_object(text)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100_000


@given(st.binary(max_size=200) | st.text(alphabet='{}[]",:\\u0dDeE19-. \x00é', max_size=100).map(str.encode))
def test_no_input_gives_any_other_exception(text: bytes) -> None:
    try:
        members = parse_object(text)
    except StrictJsonError:
        return
    assert json.loads(text) == members


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


def depth(value: object) -> int:
    if isinstance(value, dict | list):
        return 1 + max(map(depth, value.values() if isinstance(value, dict) else value), default=0)
    return 0


@given(st.dictionaries(st.text(), JSON_VALUES, max_size=4))
def test_what_json_writes_is_read_back(members: dict[str, object]) -> None:
    text = json.dumps(members).encode()
    if depth(members) <= JSON_MAX_DEPTH:
        assert parse_object(text) == members
    else:
        with pytest.raises(StrictJsonError):
            parse_object(text)


@pytest.mark.parametrize(
    "text", [b'{"password":"hunter2" x}', b'{"password":"hunter2\xff"}', b'{"hunter2":1,"hunter2":2}', b'{"a":"hunter2']
)
def test_the_error_holds_nothing_of_the_text(text: bytes) -> None:
    with pytest.raises(StrictJsonError) as caught:
        parse_object(text)
    chain: BaseException | None = caught.value
    while chain is not None:
        # A decoder's own error carries the whole document in an attribute.
        assert "hunter2" not in f"{chain!r} {vars(chain)} {chain.args}"
        chain = chain.__cause__ or chain.__context__
