"""The words that a client reads: useful to a person, and never which factor failed."""

import base64
from datetime import UTC, datetime

import cv2
import numpy as np
import pytest

from auth_contract.actions import Action, CaptureHint, Need, Reason
from auth_contract.messages import ChangeReply, ErrorReply, LoginReply, PendingChange
from auth_server.errors import CaptureAgain, Denied, KioskRefused, Locked, Malformed, Unavailable, UseKiosk
from auth_server.gateway.answers import granted, refused
from auth_server.replies import SENTENCES, refusal
from demo.qr_reader import read_qr

NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
URI = "otpauth://totp/4Auth:ann?secret=JBSWY3DPEHPK3PXP&issuer=4Auth"
SAID = [
    (Denied("the code was used"), "That did not work."),
    (Locked(retry_after_s=30), "Too many tries in a row. Please wait before the next one. (30 s)"),
    (CaptureAgain(CaptureHint.TOO_DARK), "The picture is too dark. Please face the light."),
    (UseKiosk("no"), "This cannot be done from here. Please go to a kiosk."),
    (KioskRefused("no"), "The service cannot be used now. Please tell a member of staff."),
    (Unavailable("no", retry_after_s=2), "The service is not available right now. Please try again shortly. (2 s)"),
    (
        Malformed("new_password", "needs 8 characters"),
        "Something you entered has a form that cannot be used. password: needs 8 characters",
    ),
]


@pytest.mark.parametrize(("error", "message"), SAID)
def test_a_refusal_is_a_sentence(error, message):
    said = refused(Action.REGISTER, refusal(error))
    assert (said.status, said.message) == ("error", message)
    assert said.qr_png_b64 is None and said.provisioning_uri is None


@pytest.mark.parametrize("reason", Reason)
def test_no_reason_names_a_factor(reason):
    said = refused(Action.LOGIN, ErrorReply(reason=reason, message=SENTENCES[reason]))
    assert not [word for word in ("password", "code", "totp", "face", "mac", "device") if word in said.message.lower()]


def test_a_login_brings_a_sentence_alone():
    reply = LoginReply(username="ann", granted_at=NOW, message="Access granted.", assertion="ey.x")
    said = granted(reply)
    assert said.model_dump(exclude_none=True) == {"status": "ok", "message": "Access granted."}


def _read(png: str) -> str:
    return read_qr(cv2.imdecode(np.frombuffer(base64.b64decode(png), np.uint8), cv2.IMREAD_COLOR))


def test_a_new_secret_comes_as_a_uri_and_as_a_picture_of_it():
    reply = ChangeReply(username="ann", granted_at=NOW, message="Done.", provisioning_uri=URI)
    said = granted(reply)
    assert said.is_ok and said.provisioning_uri == URI and _read(said.qr_png_b64 or "") == URI


def test_so_does_one_that_still_waits():
    waits = PendingChange(change_id="C" * 22, needs=(Need.APPROVAL,), expires_at=NOW, provisioning_uri=URI)
    reply = ChangeReply(username="ann", granted_at=NOW, message="A supervisor has to approve.", pending=waits)
    assert granted(reply).provisioning_uri == URI
