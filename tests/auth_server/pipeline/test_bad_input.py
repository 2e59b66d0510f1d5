"""What a broken or hostile request gets: its own clear error, an audit row, and a server that goes on."""

import base64
import io
import json
import struct
import time
from datetime import timedelta

import pytest
from PIL import Image

from auth_contract import paths
from auth_contract.limits import BODY_MAX_BYTES, FRAME_MAX_BYTES
from auth_server.bootstrap import new_token
from auth_server.row_budget import BURST, ROWS_PER_S

JPEG = b"\xff\xd8\xff"


def frame(data: bytes) -> list[str]:
    return [base64.b64encode(data).decode()]


def jpeg_claiming(width: int, height: int) -> bytes:
    """A real JPEG whose header is rewritten to claim another size."""
    out = io.BytesIO()
    Image.new("RGB", (16, 16)).save(out, "JPEG")
    data = bytearray(out.getvalue())
    start = data.index(b"\xff\xc0") + 5
    data[start : start + 4] = struct.pack(">HH", height, width)
    return bytes(data)


BAD_FIELDS = {
    "a name of 300 letters": ({"username": "a" * 300}, "username", "64"),
    "a name with NUL": ({"username": "ada\0"}, "username", "letters, digits"),
    "a name with an escape sequence": ({"username": "ada\x1b[2J"}, "username", "letters, digits"),
    "a name with a right-to-left override": ({"username": "ada\u202e"}, "username", "letters, digits"),
    "an empty name": ({"username": ""}, "username", "at least 1"),
    "a name that is a number": ({"username": 7}, "username", "string"),
    "a password above 72 bytes": ({"password": "ü" * 40}, "password", "72 bytes"),
    "a password with a control character": ({"password": "abc\x07defgh"}, "password", "control"),
    "a password that is a number": ({"password": 12345678}, "password", "string"),
    "a code with a letter": ({"totp": "12345a"}, "totp", "pattern"),
    "a code in Arabic digits": ({"totp": "١٢٣٤٥٦"}, "totp", "pattern"),
    "a code of seven digits": ({"totp": "1234567"}, "totp", "6"),
    "no frame": ({"frames": []}, "frames", "at least 1"),
    "33 frames": ({"frames": frame(JPEG) * 33}, "frames", "at most 32"),
    "marks for other frames": ({"marks": [{"at_ms": 1, "part": 0}] * 2}, "marks", "one for each frame"),
    "a part that there cannot be": ({"marks": [{"at_ms": 1, "part": 6}]}, "marks.0.part", "less than or equal to 5"),
    "a frame above 1 MiB": ({"frames": frame(JPEG + b"\0" * FRAME_MAX_BYTES)}, "frames.0", "1048576"),
    "a frame that is not base64": ({"frames": ["not base64!"]}, "frames.0", "base64"),
    "a frame that is a PNG": ({"frames": frame(b"\x89PNG\r\n\x1a\n")}, "frames.0", "JPEG"),
    "a frame of nothing but a beginning": ({"frames": frame(JPEG + b"\xe0")}, "frames.0", "JPEG"),
    "a frame of 13 megapixels": ({"frames": frame(jpeg_claiming(4000, 3250))}, "frames.0", "12"),
    "a frame of 65535 x 65535": ({"frames": frame(jpeg_claiming(65535, 65535))}, "frames.0", "12"),
    "a MAC that is a word": ({"mac": "not-a-mac-address"}, "mac", "hexadecimal"),
    "a MAC of zeros": ({"mac": "00:00:00:00:00:00"}, "mac", "zero"),
    "a time without its offset": ({"client_ts_utc": "2026-11-22T09:31:07"}, "client_ts_utc", "offset"),
    "a time that is a number": ({"client_ts_utc": 1.5}, "client_ts_utc", "datetime"),
    "a missing key": ({"mac": None}, "mac", "required"),
    "an unknown key": ({"is_admin": True}, "is_admin", "not permitted"),
    "an unknown key that may be a secret": ({"Correct horse 7": True}, "(unknown key)", "not permitted"),
}


@pytest.mark.parametrize("case", BAD_FIELDS)
def test_a_field_that_breaks_a_rule_is_named_and_its_value_is_not_repeated(site, case):
    changes, field, rule = BAD_FIELDS[case]
    attempt = site.open()
    body = {name: value for name, value in {**site.fields(attempt), **changes}.items() if value is not None}
    reply = site.post(paths.LOGIN, json.dumps(body).encode(), nonce=attempt["nonce"])
    assert (reply.status_code, reply.json["reason"]) == (422, "malformed")
    assert reply.json["field"] == field
    assert rule.lower() in reply.json["rule"].lower()
    assert "horse" not in reply.text
    value = changes.get(field.partition(".")[0])
    if isinstance(value, str) and value:
        assert value not in reply.text
    assert (site.last_row()["reason"], site.last_row()["kiosk"]) == ("malformed", "kiosk-1")
    assert site.login().status_code == 200


BAD_BODIES = {
    "not JSON": (b"{", "not JSON"),
    "a blank": (b" ", "not JSON"),
    "not UTF-8": (b'{"action":"\xff"}', "UTF-8"),
    "a list": (b"[]", "object"),
    "a duplicate key": (b'{"action":"login","action":"login"}', "twice"),
    "NaN": (b'{"action":NaN}', "NaN"),
    "Infinity": (b'{"action":-Infinity}', "NaN"),
    "100 levels": (b'{"action":' + b"[" * 100 + b"]" * 100 + b"}", "nested"),
    "a million levels": (b"[" * 1_000_000, "brackets"),
    "a number of 5000 digits": (b'{"action":' + b"9" * 5000 + b"}", "digits"),
}


@pytest.mark.parametrize("case", BAD_BODIES)
def test_a_body_that_is_not_one_plain_json_object_is_refused(site, case):
    body, rule = BAD_BODIES[case]
    reply = site.post(paths.ATTEMPTS, body, nonce=new_token())
    assert (reply.status_code, reply.json["reason"], reply.json["field"]) == (422, "malformed", "body")
    assert rule in reply.json["rule"]
    assert site.last_row()["reason"] == "malformed"


def test_the_audit_row_names_the_person_of_a_malformed_submission(site):
    attempt = site.open()
    body = json.dumps(site.fields(attempt, totp="x", username="Ada")).encode()
    site.post(paths.LOGIN, body, nonce=attempt["nonce"])
    assert site.last_row()["username"] == "ada"


def test_a_body_above_four_mebibytes_is_refused_by_its_declared_size(site):
    body = b'{"action":"login"}'
    headers = site.kiosk.headers(paths.ATTEMPTS, body, new_token())
    declared = {"CONTENT_LENGTH": str(BODY_MAX_BYTES + 1)}
    reply = site.client.post(paths.ATTEMPTS, data=body, headers=headers, environ_overrides=declared)
    assert (reply.status_code, reply.json["field"]) == (413, "content-length")
    assert str(BODY_MAX_BYTES) in reply.json["rule"]


def test_a_body_other_than_the_signed_one_is_refused(site):
    attempt = site.open()
    headers = site.kiosk.headers(paths.LOGIN, json.dumps(site.fields(attempt)).encode(), attempt["nonce"])
    other = json.dumps(site.fields(attempt, username="eve")).encode()
    reply = site.client.post(paths.LOGIN, data=other, headers=headers)
    assert (reply.status_code, reply.json["reason"]) == (422, "malformed")
    assert site.last_row()["kiosk"] == "kiosk-1"


def unsigned(site):
    return site.client.post(paths.LOGIN, data=b"{}", content_type="application/json")


def unregistered(site):
    stranger = type(site.kiosk)("kiosk-9", site.kiosk.mac, site.time.now)
    return site.post(paths.ATTEMPTS, b'{"action":"login"}', nonce=new_token(), kiosk=stranger)


def stolen_name(site):
    thief = type(site.kiosk)("kiosk-1", site.kiosk.mac, site.time.now)
    return site.post(paths.ATTEMPTS, b'{"action":"login"}', nonce=new_token(), kiosk=thief)


def disabled(site):
    site.services.kiosks.set_enabled("kiosk-1", False)
    return site.post(paths.ATTEMPTS, b'{"action":"login"}', nonce=new_token())


def late_clock(site):
    site.kiosk.skew = timedelta(seconds=-121)
    return site.post(paths.ATTEMPTS, b'{"action":"login"}', nonce=new_token())


def early_clock(site):
    site.kiosk.skew = timedelta(seconds=121)
    return site.post(paths.ATTEMPTS, b'{"action":"login"}', nonce=new_token())


def replayed(site):
    nonce = new_token()
    site.post(paths.ATTEMPTS, b'{"action":"login"}', nonce=nonce)
    return site.post(paths.ATTEMPTS, b'{"action":"login"}', nonce=nonce)


def for_another_path(site):
    headers = site.kiosk.headers(paths.HEARTBEAT, b'{"action":"login"}', new_token())
    return site.client.post(paths.ATTEMPTS, data=b'{"action":"login"}', headers=headers)


def with_a_query(site):
    headers = site.kiosk.headers(paths.ATTEMPTS, b'{"action":"login"}', new_token())
    return site.client.post(paths.ATTEMPTS + "?x=1", data=b'{"action":"login"}', headers=headers)


@pytest.mark.parametrize(
    "send",
    [unsigned, unregistered, stolen_name, disabled, late_clock, early_clock, replayed, for_another_path, with_a_query],
)
def test_a_request_from_no_kiosk_in_good_standing_is_refused_and_audited(site, send):
    reply = send(site)
    assert (reply.status_code, reply.json["reason"]) == (401, "kiosk_refused")
    assert set(reply.json) == {"outcome", "reason", "message"}
    assert (site.last_row()["success"], site.last_row()["reason"]) == (False, "kiosk_refused")
    assert site.last_row()["detail"]["why"]


def test_an_unforeseen_error_is_a_denial_with_a_number_and_nothing_else(site, capsys):
    def broken(*_args, **_kwargs):
        raise RuntimeError("password=Correct horse 7")

    site.services.authenticator.lockouts.clear = broken
    reply = site.login()
    assert reply.status_code == 500
    assert set(reply.json) == {"outcome", "reason", "message", "incident"}
    assert len(reply.json["incident"]) == 8
    assert "Correct horse" not in reply.text + capsys.readouterr().err
    assert site.last_row()["detail"]["incident"] == reply.json["incident"]


@pytest.mark.parametrize(("method", "path", "status"), [("GET", paths.LOGIN, 405), ("POST", "/nowhere", 404)])
def test_routing_errors_have_the_same_form(site, method, path, status):
    reply = site.client.open(path, method=method)
    assert (reply.status_code, reply.json["reason"]) == (status, "malformed")


def test_a_flood_of_unsigned_requests_writes_a_bounded_number_of_rows(site):
    first, began = site.services.audit.head().sequence, time.monotonic()
    replies = [unsigned(site).status_code for _ in range(int(BURST) + 50)]
    due = ROWS_PER_S * (time.monotonic() - began)
    assert set(replies) == {401}
    assert BURST <= site.services.audit.head().sequence - first <= BURST + due + 1
    last = site.services.audit.head().sequence
    rows = [site.services.audit.show(number) for number in range(first + 1, last + 1)]
    # On a slow machine a row comes due meanwhile, and tells of those before it.
    told = sum(json.loads(row.detail).get("unwritten_before", 0) for row in rows)
    assert told + site.services.row_budget.drain().get("127.0.0.1", 0) == len(replies) - (last - first)


def test_a_signed_request_has_its_row_even_in_a_flood(site):
    for _ in range(int(BURST) + 50):
        unsigned(site)
    late_clock(site)
    assert (site.last_row()["reason"], site.last_row()["kiosk"]) == ("kiosk_refused", "kiosk-1")
    site.kiosk.skew = timedelta()
    assert site.login(totp="000000").json["reason"] == "denied"
    assert site.last_row()["reason"] == "denied"


def test_pictures_that_do_not_decode_are_counted_so_that_guesses_are_not_free(site):
    replies = [site.login(who="cut short", password=f"Wrong horse {n}").json["reason"] for n in range(7)]
    assert replies == ["malformed"] * 5 + ["locked"] * 2
