"""Every row that this program writes is explained in plain words, and no row of any shape stops it."""

import ast
import json
import re
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth_contract.actions import Action, CaptureHint, Need, Reason
from auth_server import audit_words
from auth_server.audit_chain import AuditRow
from auth_server.audit_verdicts import FACTORS, verdict_words
from auth_server.audit_words import why
from auth_server.domain import Factor

PROJECT = Path(__file__).resolve().parents[2]
AT = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)


def row(
    action: str = "login",
    reason: str = "denied",
    detail: dict[str, Any] | str | None = None,
    *,
    success: bool = False,
    username: str | None = "ann",
    kiosk_id: str | None = "lobby-1",
    source_address: str | None = "192.0.2.7",
) -> AuditRow:
    text = json.dumps(detail) if isinstance(detail, dict) else detail
    return AuditRow(7, AT, username, kiosk_id, source_address, action, success, reason, text, b"salt", "", "")


def told(*args: Any, **kwargs: Any) -> str:
    return "\n".join(why(row(*args, **kwargs)))


GOOD = {
    "password": {"passed": True},
    "totp": {"passed": True, "step": 59, "drift_steps": -1, "reused": False},
    "face": {
        **{"passed": True, "distance": 0.21, "threshold": 0.61, "presence": 0.99, "presence_threshold": 0.5},
        **{"is_one_person": True, "spread": 0.08, "frames": 3, "face_height_px": 212, "model": "4auth"},
    },
    "device": {"passed": True, "mac": "02:00:5e:10:00:01", "is_kiosks_own": True, "is_bound": True},
    "clock": {"passed": True, "skew_s": -0.5},
}


def test_a_granted_login_tells_every_factor_with_its_numbers():
    assert why(row(reason="granted", success=True, detail={"verdicts": GOOD, "assertion": "j1", "attempt": "a1"})) == (
        "2026-11-22 09:30:00 UTC: ann asked to be let in at kiosk lobby-1 from 192.0.2.7.",
        "The door was opened: every factor passed.",
        "Password: passed: it is the one enrolled.",
        "Code: passed: it is the right code of the time step before (step 59).",
        "Face: passed: distance 0.21 from the enrolled face, within the limit of 0.61; presence 0.99 where 0.5 is "
        "needed: a real person; 3 pictures, the face 212 pixels high, judged by 4auth.",
        "Device: passed: MAC 02:00:5e:10:00:01; the MAC is the kiosk's own; the account is bound to it.",
        "Clock: passed: the kiosk's clock was 0.5 s behind the server's, where 120 s are allowed.",
        "The assertion that was handed out has the id j1.",
        "Attempt: a1.",
    )


@pytest.mark.parametrize(
    ("factor", "verdict", "words"),
    [
        ("password", {"passed": False}, "failed: it is not the one enrolled"),
        ("password", {"passed": False, "problem": "the claim is above 72 bytes"}, "could not be judged (the claim is"),
        ("totp", {"passed": False, "step": None, "reused": False}, "belongs to no time step"),
        ("totp", {"passed": False, "step": 59, "drift_steps": 0, "reused": True}, "each code counts once"),
        ("new_totp", {"passed": True, "step": 59, "drift_steps": 1, "reused": False}, "First code: passed"),
        ("face", {"passed": False, "distance": 0.9, "threshold": 0.61}, "beyond the limit of 0.61"),
        ("face", {"passed": False, "presence": 0.1, "presence_threshold": 0.5}, "not a real person but a picture"),
        ("face", {"passed": True, "presence": None, "presence_threshold": None}, "was not checked"),
        ("face", {"passed": False, "is_one_person": False, "spread": 1.2}, "two different people (spread 1.2)"),
        ("face", {"passed": False, "unusable_frame": 1}, "Face: not judged: picture 2 could not be used"),
        *(("face", {"passed": False, "hint": h.value}, "could not be used, because") for h in CaptureHint),
        ("face", {"passed": False, "incident": "87f8b1c6"}, "incident 87f8b1c6, which counts as failed"),
        ("new_face", {"passed": False, "presence": 0.1, "presence_threshold": 0.5}, "New face: failed"),
        ("device", {"passed": False, "is_kiosks_own": False, "is_bound": True}, "is not the one registered"),
        ("device", {"passed": False, "is_kiosks_own": True, "is_bound": False}, "the account is not bound to it"),
        ("kiosk", {"passed": False, "is_kiosks_own": False}, "is not the one registered"),
        ("kiosk", {"passed": False, "mac": "02:00:5e:10:00:02", "is_kiosks_own": False}, "MAC 02:00:5e:10:00:02; the"),
        ("device", {"passed": False, "claimed_mac": "02:00:5e:10:00:02", "has_leave": False}, "claimed MAC 02:00:5e:1"),
        ("clock", {"passed": False, "skew_s": 121}, "121 s ahead of the server's, where 120 s"),
        ("permission", {"passed": False, "kind": "unknown"}, "no ticket and no administrator's secret"),
        ("permission", {"passed": True, "kind": "admin", "by": "eve"}, "the secret of administrator eve"),
        ("permission", {"passed": False, "kind": "ticket", "by": "eve", "is_for_this_name": False}, "another name"),
        ("supervisor", {"passed": False, "role": None}, "no role at the site"),
        ("supervisor", {"passed": True, "role": "supervisor"}, "this name's role is supervisor"),
        ("aura", {"passed": True, "hue": 7}, "aura: passed: hue 7"),
        ("aura", "odd", "aura: odd"),
    ],
)
def test_each_verdict(factor: str, verdict: object, words: str):
    assert words in verdict_words(factor, verdict)


def test_every_factor_is_known():
    assert set(FACTORS) == {factor.value for factor in Factor}


def test_what_failed_is_told_first():
    verdicts = {**GOOD, "device": {"passed": False, "is_kiosks_own": True, "is_bound": False}}
    lines = why(row(detail={"verdicts": verdicts, "account": "enabled"}))
    assert [line.split(":")[0] for line in lines[2:7]] == ["Device", "Password", "Code", "Face", "Clock"]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("login", "locked", {"locked_for_s": 240}), "The next try is let in 240 s later."),
        (("login", "capture_again", {"verdicts": {}}), "A wrong password or code would have been answered in the same"),
        (("login", "denied", {"account": "unknown"}), "No account has this name."),
        (("login", "denied", {"account": "disabled"}), "The account is disabled"),
        (("login", "denied", {"account": "face disabled"}), "`4auth-provision user unlock` ends it"),
        (("login", "start_again", {"attempt": "used", "why": "the attempt was used before"}), "is accepted once"),
        (("login", "start_again", {"attempt": "foreign", "opened_by": "lobby-2"}), "opened by: lobby-2"),
        (("login", "kiosk_refused", {"why": "the kiosk is disabled", "authenticated": True}), "signature was right"),
        (("login", "kiosk_refused", {"why": "unsigned", "authenticated": False}), "No signature proves"),
        (("login", "kiosk_refused", {"skew_s": -300, "authenticated": True}), "300 s behind the server's"),
        (("login", "kiosk_refused", {"unwritten_before": 12}), "12 refusals of this source have no rows"),
        (("login", "malformed", {"why": "frames.0: no JPEG", "field": "frames.0"}), "Reason: frames.0: no JPEG."),
        (("login", "unavailable", {"incident": "87f8b1c6"}), "the server's own log says more"),
        (("refusals", "kiosk_refused", {"unwritten": 900}), "more refused requests than have rows"),
        (("heartbeat", "faults", {"faults": ["no camera"]}), "Faults: no camera."),
        (
            ("recover_totp", "granted", {"change": {"id": "c1", "action": "recover_totp", "needs": ["code"]}}),
            "waits for",
        ),
        (("change_in_force", "in_force", {"change": {"id": "c1", "approved_by": "sue"}}), "approved by sue"),
        (("approve", "granted", {"person": "bob", "change": {"id": "c1", "needs": []}}), "whose change it is: bob"),
        (("login", "granted", {"change": {"in_force_at": "2026-11-23T09:30:00"}}), "unless it is cancelled before"),
        (("admin.user.disable", "done", {"administrator": "root (login sue)"}), "By root (login sue)."),
        (("admin.user.disable", "refused", {"why": "there is no account"}), "It was refused, and nothing was changed."),
        (("erase_details", "erased", {"rows": 12}), "Their hashes stay"),
        (("tomorrow", "unheard", {"shape": [1, 2]}), "shape: [1, 2]"),
    ],
)
def test_what_it_says(args: tuple[str, str, dict[str, Any]], words: str):
    assert words in told(*args)


@pytest.mark.parametrize(
    ("faces", "words"),
    [
        (
            {"compared": 40, "skipped": 0, "like": "bob", "distance": 0.31, "strangers": 0.0, "refused": True},
            "The new face is like that of bob (distance 0.31), which was refused; among all accounts, chance "
            "would bring 0.0 as near.",
        ),
        (
            {"compared": 40, "skipped": 2, "like": "bob", "distance": 0.31, "strangers": 0.02, "refused": False},
            "(distance 0.31), which was let pass; among all accounts, chance would bring 0.02 as near. The new face "
            "was compared with 40 accounts; 2 more had no template of its model.",
        ),
        ({"compared": 40, "skipped": 2}, "The new face was compared with 40 accounts; 2 more had no template"),
        ({"refused": [1]}, "other faces: "),
        (7, "other faces: 7"),
    ],
)
def test_whose_face_a_new_one_is_like(faces: object, words: str):
    assert words in told("register", detail={"other_faces": faces})


def test_a_denial_although_every_factor_passed_is_told_as_one():
    words = told("register", detail={"why": "the new face is enrolled under another name"})
    assert "denied, although every factor passed" in words and "not every factor" not in words


def test_an_erased_row_says_so_and_tells_the_rest():
    words = told(detail=None)
    assert "The details of this row were erased." in words and "ann asked to be let in" in words


def test_every_action_with_every_reason_has_words_of_its_own():
    actions = [*(action.value for action in Action), "open_attempt", "heartbeat", "none", "refusals"]
    for action, reason in product(actions, Reason):
        words = told(action, reason.value, {"verdicts": GOOD})
        assert f"did {action}" not in words and f"It was refused ({reason})" not in words


def test_every_need_has_words():
    assert set(audit_words._NEEDS) == {need.value for need in Need}


def admin_actions() -> set[str]:
    """What stands in the sources as the name of an administrative act; `*` for a part that is a value."""
    found = set()
    for path in (PROJECT / "provisioning").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Act" and node.args:
                name = node.args[0]
                if isinstance(name, ast.Constant) and isinstance(name.value, str):
                    found.add(name.value)
                elif isinstance(name, ast.JoinedStr):
                    found.add("".join(v.value if isinstance(v, ast.Constant) else "*" for v in name.values))
    return found


def test_every_administrative_act_has_words():
    known = set(audit_words._ACTS)
    assert len(admin_actions()) > 15
    for name in admin_actions():
        pattern = re.compile(re.escape(name).replace(r"\*", ".+"))
        assert any(pattern.fullmatch(one) for one in known), f"{name} has no words in audit_words._ACTS"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
members = st.sampled_from(
    ["verdicts", "change", "why", "faults", "account", "attempt", "skew_s", "needs", "hint", "locked_for_s", "x"]
)
verdicts = st.dictionaries(
    st.sampled_from(FACTORS),
    st.dictionaries(
        st.sampled_from(["passed", "step", "drift_steps", "distance", "threshold", "presence", "presence_threshold"]),
        json_values,
    )
    | json_values,
)


@given(
    st.sampled_from(["login", "heartbeat", "admin.user.add", "change_in_force", "?"]),
    st.text(max_size=20),
    st.dictionaries(members, json_values | verdicts) | json_values,
    st.booleans(),
)
def test_no_row_of_any_shape_stops_it(action: str, reason: str, detail: Any, success: bool):
    text = json.dumps(detail)
    sentences = why(row(action, reason, text, success=success))
    assert len(sentences) >= 2 and all(isinstance(sentence, str) and sentence for sentence in sentences)


@given(st.text())
def test_a_damaged_detail_stops_it_neither(text: str):
    assert why(row(detail=text))


def test_it_knows_whose_act_a_row_is():
    assert "an administrator set out to disable an account, ann" in told("admin.user.disable", "done", success=True)
    assert "a kiosk sent a sign of life (lobby-1)" in told("heartbeat", "sound", {}, username=None, success=True)
    assert "somebody asked" in told("login", "kiosk_refused", {}, username=None, kiosk_id=None)
    assert "the server had waited" in told(
        "change_in_force", "x", {}, username=None, kiosk_id=None, source_address=None
    )
