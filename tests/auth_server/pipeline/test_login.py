"""What a login decides, what the person reads, and what the audit row keeps."""

import json
from datetime import timedelta

import jwt
import pytest

from auth_contract import paths
from auth_contract.actions import Reason
from auth_contract.limits import ATTEMPT_TTL_S


def test_four_right_factors_are_granted_with_an_assertion_and_a_row(site):
    reply = site.login()
    assert (reply.status_code, reply.json["outcome"], reply.json["username"]) == (200, "granted", "ada")
    key = jwt.PyJWK(site.client.get(paths.JWKS).json["keys"][0])
    options = {"verify_exp": False, "verify_iat": False, "verify_nbf": False}
    claims = jwt.decode(reply.json["assertion"], key.key, ["EdDSA"], audience="test", options=options)
    assert (claims["sub"], claims["kiosk"], claims["exp"] - claims["iat"]) == ("ada", "kiosk-1", 60)
    row = site.last_row()
    assert (row["success"], row["username"], row["kiosk"]) == (True, "ada", "kiosk-1")
    assert row["detail"]["assertion"] == claims["jti"]
    assert site.verdicts() == dict.fromkeys(["password", "totp", "face", "device", "clock"], True)


DENIALS = {
    "wrong password": ({"password": "Wrong horse 7"}, "password"),
    "wrong code": ({"totp": "000000"}, "totp"),
    "another person's face": ({"who": "eve"}, "face"),
    "a print of the right face": ({"who": "print of ada"}, "face"),
    "another kiosk's MAC": ({"mac": "02:00:5e:10:00:02"}, "device"),
    "clock 121 s off": ({"client_ts_utc": "2026-11-22T09:32:06+00:00"}, "clock"),
    "a fault inside the face engine": ({"who": "broken"}, "face"),
}


@pytest.mark.parametrize("case", DENIALS)
def test_one_wrong_factor_denies_without_saying_which(site, case):
    changes, failed = DENIALS[case]
    reply = site.login(**changes)
    assert (reply.status_code, reply.json) == (
        403,
        {"outcome": "refused", "reason": "denied", "message": "That did not work."},
    )
    assert [name for name, passed in site.verdicts().items() if not passed] == [failed]
    assert (site.last_row()["success"], site.last_row()["reason"]) == (False, "denied")


def test_an_unknown_name_reads_the_same_and_is_judged_in_full(site):
    known, unknown = site.login(password="Wrong horse 7"), site.login(username="nobody")
    assert (unknown.status_code, unknown.json) == (known.status_code, known.json)
    assert site.last_row()["detail"]["account"] == "unknown"
    assert set(site.verdicts()) == {"password", "totp", "face", "device", "clock"}


def test_a_name_is_the_same_in_any_case_and_composition(site):
    assert site.login(username="ADA").status_code == 200


def test_a_disabled_account_reads_like_a_denial(site):
    site.services.accounts.set_enabled("ada", False)
    assert site.login().json["reason"] == "denied"
    assert site.last_row()["detail"]["account"] == "disabled"


def test_a_code_is_accepted_once(site):
    code = site.code()
    assert site.login(totp=code).status_code == 200
    assert site.login(totp=code).json["reason"] == "denied"
    assert site.verdicts()["totp"] is False
    site.time.moment += timedelta(seconds=30)
    assert site.login().status_code == 200


def test_a_denied_attempt_leaves_the_code_good(site):
    code = site.code()
    site.login(totp=code, password="Wrong horse 7")
    assert site.login(totp=code).status_code == 200


@pytest.mark.parametrize("hint", ["no_face", "several_faces", "too_dark", "blurred"])
def test_pictures_that_cannot_be_judged_are_asked_for_again_and_count_nothing(site, hint):
    replies = [site.login(who=hint, password=f"Wrong horse {n}") for n in range(8)]
    right = site.login(who=hint)
    assert {(r.status_code, r.json["capture_hint"]) for r in replies} == {(403, hint)}
    assert right.json == replies[0].json
    assert site.login().status_code == 200


def test_five_failures_lock_for_thirty_seconds_then_longer(site):
    for _ in range(5):
        assert site.login(password="Wrong horse 7").json["reason"] == "denied"
    locked = site.login()
    assert (locked.status_code, locked.json["reason"], locked.json["retry_after_s"]) == (423, "locked", 30)
    assert locked.headers["Retry-After"] == "30"
    assert site.last_row()["reason"] == "locked"
    site.time.moment += timedelta(seconds=30)
    assert site.login(password="Wrong horse 7").json["reason"] == "denied"
    assert site.login().json["retry_after_s"] == 60
    site.time.moment += timedelta(seconds=60)
    assert site.login().status_code == 200


def test_failures_at_a_strangers_kiosk_do_not_touch_the_own_one(site):
    for _ in range(6):
        site.login(kiosk=site.other_kiosk, mac=site.other_kiosk.mac, password="Wrong horse 7")
    assert site.login(kiosk=site.other_kiosk, mac=site.other_kiosk.mac).json["reason"] == "locked"
    assert site.login().status_code == 200


def test_a_full_face_queue_says_when_to_come_back_and_counts_nothing(site):
    for _ in range(6):
        reply = site.login(who="queue full")
        assert (reply.status_code, reply.json["reason"], reply.headers["Retry-After"]) == (503, "unavailable", "2")
    assert site.login().status_code == 200


def test_a_wrong_server_clock_refuses_everything(site):
    site.time.is_wrong = True
    reply = site.post(paths.ATTEMPTS, b'{"action":"login"}', nonce="A" * 22)
    assert (reply.status_code, reply.json["reason"]) == (503, "unavailable")


def test_an_attempt_is_good_for_sixty_seconds_one_kiosk_and_one_use(site):
    attempt = site.open()
    body = json.dumps(site.fields(attempt)).encode()
    foreign = site.post(paths.LOGIN, body, nonce=attempt["nonce"], kiosk=site.other_kiosk)
    assert (foreign.status_code, foreign.json["reason"]) == (409, "start_again")
    assert site.post(paths.LOGIN, body, nonce=attempt["nonce"]).status_code == 200
    again = site.post(paths.LOGIN, body, nonce=attempt["nonce"])
    assert (again.status_code, again.json["reason"]) == (409, "start_again")
    assert "used" in json.dumps(site.last_row()["detail"])
    late = site.open()
    site.time.moment += timedelta(seconds=ATTEMPT_TTL_S)
    expired = site.post(paths.LOGIN, json.dumps(site.fields(late)).encode(), nonce=late["nonce"])
    assert (expired.status_code, expired.json["reason"]) == (409, "start_again")
    assert "expired" in json.dumps(site.last_row()["detail"])


def test_an_attempt_is_used_up_by_a_malformed_body_too(site):
    attempt = site.open()
    assert site.post(paths.LOGIN, b"{}", nonce=attempt["nonce"]).status_code == 422
    body = json.dumps(site.fields(attempt)).encode()
    assert site.post(paths.LOGIN, body, nonce=attempt["nonce"]).json["reason"] == "start_again"


def test_every_reason_has_a_sentence():
    from auth_server.replies import HINTS, SENTENCES

    assert set(SENTENCES) == set(Reason)
    assert all(sentence.endswith(".") for sentence in [*SENTENCES.values(), *HINTS.values()])
