"""The agent as a whole: real client and TLS, scripted keypad, replayed pictures, a door that counts.

Time is moved by the inbox: when nothing waits in it and no key comes, its time-out passes at once.
"""

import json
from collections import deque
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from email.utils import format_datetime
from itertools import cycle

import numpy as np
import pytest
from structlog.testing import capture_logs

from auth_contract.actions import Action, Movement
from auth_contract.paths import SUBMISSION
from kiosk_agent.agent import Agent, Until
from kiosk_agent.bootstrap import build
from kiosk_agent.deadlines import QUIET_S
from kiosk_agent.errors import DoorFault
from kiosk_agent.events import (
    Begun,
    Cancelled,
    Cause,
    Ending,
    Entered,
    Entries,
    Erased,
    ServiceDown,
    ServiceUp,
    Step,
    Typed,
)
from kiosk_agent.languages import Speakers
from kiosk_agent.nic import has_carrier
from kiosk_agent.speech.prompt import prompt
from kiosk_agent.vocabulary import CameraState
from tests.kiosk_agent.conftest import FakeAuthServer
from tests.kiosk_agent.people import Person
from tests.kiosk_agent.places import Nobody

NONCE = "N" * 22
LINES = (
    {"step": "name", "text": "Alice"},
    {"step": "password", "text": "Secret-Pass"},
    {"step": "code", "text": "424242"},
)


class Door:
    """Counts whom it let in."""

    def __init__(self) -> None:
        self.opened_for: list[str] = []

    def open_for(self, assertion) -> None:
        self.opened_for.append(assertion.username)

    def close(self) -> None:
        pass


class Screen:
    """Remembers what it showed."""

    def __init__(self) -> None:
        self.titles: list[str] = []
        self.lines: list[str] = []
        self.problems: list[str] = []
        self.uris: set[str] = set()
        self.everything = ""

    def show(self, shown) -> None:
        self.everything += repr(shown)
        self.uris |= {shown.uri} - {""}
        self.lines += [line for line in shown.lines if line not in self.lines]
        if shown.problem not in ["", *self.problems[-1:]]:
            self.problems.append(shown.problem)
        if self.titles[-1:] != [shown.title]:
            self.titles.append(shown.title)

    def close(self) -> None:
        pass


class StillInbox:
    """First what was put in, then the keypad's keys; when both are silent, time passes."""

    def __init__(self, keypad, clock) -> None:
        self._keypad = keypad
        self._clock = clock
        self._events: deque = deque()
        self.waited_s = 0.0

    def put(self, event) -> None:
        self._events.append(event)

    def get(self, timeout_s):
        if self._events:
            return self._events.popleft()
        key = self._keypad.read(0)
        if key is None:
            self._clock.moved_s += timeout_s
            self.waited_s += timeout_s
        return key


class Kiosk:
    """An agent whose every part is at hand; after `errands_max` errands the rest never end."""

    def __init__(self, services, clock, errands_max: int) -> None:
        self.door, self.screen = Door(), Screen()
        self.services = replace(services, door=self.door, screen=self.screen)
        self.inbox = StillInbox(services.keypad, clock)
        self.agent = Agent(self.services, self.inbox, self._start)
        self._errands_left = errands_max

    def _start(self, errand) -> None:
        self._errands_left -= 1
        if self._errands_left >= 0:
            errand()

    def once(self):
        outcome = self.agent.run(Until.ENDED)
        self.services.close()
        return outcome


@pytest.fixture
def site(tmp_path, server, make_settings, around, clock):
    """Makes a kiosk of this server, with other lines or settings on request."""

    def make(*, lines=LINES, errands_max=99, camera_object=None, **changes) -> Kiosk:
        (tmp_path / "script").write_text("\n".join(map(json.dumps, lines)))
        where = {"url": server.url, "pins": [server.pin]} | changes.pop("server", {})
        services = build(make_settings(server=where, **changes), around)
        if camera_object is not None:
            services = replace(services, errands=replace(services.errands, camera=camera_object))
        server.kiosk_key = services.identity.key.public_key()
        return Kiosk(services, clock, errands_max)

    return make


def test_one_login_through_the_whole_kiosk(site, server) -> None:
    kiosk = site()
    outcome = kiosk.once()
    assert (outcome.ending, outcome.username, kiosk.door.opened_for) == (Ending.GRANTED, "alice", ["alice"])
    assert outcome.assertion is not None and outcome.assertion.token.startswith("eyJ")
    assert kiosk.screen.titles == [
        "Your name",
        "Your password",
        "Your code",
        "Look at the camera",
        "One moment",
        "Welcome, alice",
    ]
    assert [request.path for request in server.requests] == ["/v1/attempts", "/v1/login", "/.well-known/jwks.json"]
    assert server.signature_faults == []
    (submission,) = server.at("/v1/login")
    sent = submission.json
    assert submission.signature_nonce == NONCE, "signed over the attempt's nonce"
    assert (sent["username"], sent["mac"], len(sent["frames"])) == ("alice", "00:1b:21:0a:0b:0c", 3)
    assert not kiosk.agent.session.has_secret


class Listener:
    """Hears what would be said aloud."""

    def __init__(self) -> None:
        self.before = None
        self.prompts: list[str] = []

    def follow(self, shown) -> None:
        said = prompt(self.before, shown, Speakers().of(shown.language).say)
        self.before = shown
        self.prompts += [said.text] if said is not None else []

    def close(self) -> None:
        pass


def test_a_login_in_german_seen_and_heard(site) -> None:
    """From the first key to the door; of what is typed nothing is heard."""
    kiosk = site(screen={"kind": "terminal", "language": "de"})
    ears = Listener()
    kiosk.services = replace(kiosk.services, speech=ears)
    kiosk.agent = Agent(kiosk.services, kiosk.inbox, kiosk._start)
    assert kiosk.once().ending is Ending.GRANTED
    assert kiosk.screen.titles[:3] == ["Ihr Name", "Ihr Passwort", "Ihr Code"]
    assert kiosk.screen.titles[-1] == "Willkommen, alice"
    heard = " ".join(ears.prompts)
    assert "Geben Sie Ihr Passwort ein" in heard and "Willkommen, alice" in heard
    assert ears.prompts.count("Punkt.") == len("Alice" + "Secret-Pass" + "424242")
    assert not any(secret in heard for secret in ("Secret", "4242", "Alice"))


@pytest.mark.parametrize(
    "changes",
    [
        {"kiosk": "back-door"},
        {"nonce": "M" * 22},
        {"sub": "bob"},
        {"aud": "elsewhere"},
        {"iss": "4auth:elsewhere"},
        {"exp": 1},
        {"amr": ["pwd"]},
        {"kid": "unknown"},
        {"key": "another"},
    ],
)
def test_the_door_never_opens_without_a_verified_assertion(changes, site, server, assertions) -> None:
    """The server says granted, over the pinned channel; that is not enough."""
    if "key" in changes:
        changes = {"key": type(assertions)().key}  # under the name of the good one
    server.answer("/v1/login", server.grant(**changes))
    kiosk = site()
    assert kiosk.once().ending is Ending.NOT_PROVEN
    assert kiosk.door.opened_for == []
    assert kiosk.screen.titles[-1] == "Not logged in"


@pytest.mark.parametrize(
    ("reason", "status", "ending", "title"),
    [
        ("denied", 403, Ending.DENIED, "Access denied"),
        ("locked", 423, Ending.LOCKED, "Please wait"),
        ("start_again", 409, Ending.START_AGAIN, "Not logged in"),
        ("malformed", 422, Ending.MALFORMED, "Not logged in"),
        ("unavailable", 503, Ending.UNAVAILABLE, "Not logged in"),
        ("kiosk_refused", 401, Ending.KIOSK_REFUSED, "Out of service"),
    ],
)
@pytest.mark.parametrize("path", ["/v1/attempts", "/v1/login"])
def test_each_refusal_is_shown_and_opens_nothing(path, reason, status, ending, title, site, server) -> None:
    server.answer(path, server.refusal(reason, status))
    kiosk = site()
    outcome = kiosk.once()
    assert (outcome.ending, outcome.message) == (ending, f"Because {reason}.")
    assert (kiosk.door.opened_for, kiosk.screen.titles[-1]) == ([], title)
    assert len(server.at("/v1/login")) == (path == "/v1/login"), "a submission is sent once"


def test_new_pictures_are_sent_with_a_new_attempt_and_without_typing(site, server, assertions) -> None:
    again = server.refusal("capture_again", capture_hint="too_dark")
    server.answer("/v1/login", again, server.grant())
    kiosk = site()
    assert kiosk.once().ending is Ending.GRANTED
    assert (len(server.at("/v1/attempts")), len(server.at("/v1/login"))) == (2, 2)
    assert kiosk.screen.titles[-4:] == ["Once more, please", "Look at the camera", "One moment", "Welcome, alice"]


def test_a_lost_reply_is_told_and_nothing_is_sent_again(site, server) -> None:
    server.answer("/v1/login", "drop")
    kiosk = site()
    assert kiosk.once().ending is Ending.UNCERTAIN
    assert len(server.at("/v1/login")) == 1
    assert kiosk.door.opened_for == []


def test_a_server_with_another_key_gets_nothing(site, server) -> None:
    kiosk = site(server={"pins": ["0" * 64]})
    outcome = kiosk.once()
    server.close()
    assert (outcome.ending, server.app_bytes) == (Ending.UNAVAILABLE, 0)
    assert "sent it nothing" in outcome.message


def test_a_camera_fault_ends_the_session_and_is_reported(site, server) -> None:
    kiosk = site(camera={"kind": "replay", "sources": ["fault:Device or resource busy"]})
    assert kiosk.once().ending is Ending.CAMERA_FAULT
    assert server.at("/v1/login") == []
    assert "busy" in kiosk.services.health.faults["camera"]


@pytest.mark.parametrize(
    ("step", "typed", "errands_max"),
    [("name", 0, 0), ("password", 1, 0), ("code", 2, 0), ("face", 3, 0), ("checking", 3, 2)],
)
def test_cancelling_at_any_step_leaves_nothing(step, typed, errands_max, site) -> None:
    kiosk = site(lines=[*LINES[:typed], {"step": step, "keys": ["cancel"]}], errands_max=errands_max)
    assert kiosk.once().ending is Ending.CANCELLED
    assert kiosk.agent.session.step is Step.ATTRACT
    assert not kiosk.agent.session.has_secret
    assert kiosk.door.opened_for == []


def test_a_grant_that_comes_after_cancelling_opens_nothing(site) -> None:
    kiosk = site(lines=[*LINES, {"step": "checking", "keys": ["cancel"]}], errands_max=2)
    late = []
    kiosk.agent._start_errand = lambda errand: late.append(errand) if len(late) == 2 else late.append(0) or errand()
    kiosk.once()
    late[2]()
    kiosk.agent.turn()
    assert kiosk.agent.session.step is Step.ATTRACT
    assert kiosk.door.opened_for == []


@pytest.mark.parametrize("errands_max", [0, 1, 2])
def test_a_server_or_camera_that_never_answers_ends_the_session(errands_max, site) -> None:
    kiosk = site(errands_max=errands_max)
    assert kiosk.once().ending is Ending.TIMED_OUT
    assert not kiosk.agent.session.has_secret


def test_silence_ends_a_session_after_the_idle_time(site, clock) -> None:
    kiosk = site(lines=[{"step": "name", "text": "alice"}, {"step": "password", "text": "Secret", "enter": False}])
    assert kiosk.once().ending is Ending.TIMED_OUT
    assert clock.moved_s == kiosk.services.settings.session.idle_s
    assert not kiosk.agent.session.has_secret


def test_the_rest_of_a_password_is_not_shown_when_its_entry_timed_out(site, clock) -> None:
    """However slowly it is typed, while no two keys are 2 s apart; after that, keys are a name again."""
    kiosk = site(lines=[])
    for event in [*map(Typed, "alice"), Entered(), *map(Typed, "Secr")]:
        kiosk.agent.handle(event)
    clock.moved_s += kiosk.services.settings.session.idle_s
    kiosk.agent.turn()
    for character in "et-Pass":
        assert kiosk.agent.session.step is Step.TIMED_OUT
        kiosk.inbox.put(Typed(character))
        kiosk.agent.turn()
        clock.moved_s += QUIET_S - 0.1
    kiosk.agent.turn()
    assert (kiosk.agent.session.step, kiosk.agent.session.entries) == (Step.TIMED_OUT, Entries())
    assert not any(character in kiosk.screen.everything for character in ("et-", "P_", "entry='e'"))
    kiosk.agent.turn()
    assert kiosk.agent.session.step is Step.ATTRACT
    kiosk.agent.handle(Typed("b"))
    assert (kiosk.agent.session.step, kiosk.agent.session.entries) == (Step.NAME, Entries(name="b"))
    kiosk.services.close()


@pytest.mark.parametrize(("event", "step"), [(Entered(), Step.NAME), (Cancelled(), Step.ATTRACT)])
def test_who_timed_out_need_not_wait(event, step, site, clock) -> None:
    kiosk = site(lines=[])
    kiosk.agent.handle(Begun(Action.LOGIN))
    clock.moved_s += kiosk.services.settings.session.idle_s
    kiosk.agent.turn()
    kiosk.agent.handle(event)
    assert kiosk.agent.session.step is step
    kiosk.services.close()


def test_endless_typing_ends_after_the_step_time(site, clock) -> None:
    kiosk = site(lines=[])

    keys = cycle([Typed("a"), Erased()])

    def press(_timeout_s: float):
        clock.moved_s += 0.5
        assert clock.moved_s < 300
        return next(keys)

    kiosk.inbox.get = press
    assert kiosk.once().ending is Ending.TIMED_OUT
    assert clock.moved_s == pytest.approx(kiosk.services.settings.session.step_s, abs=1.0)


def test_an_unforeseen_fault_ends_one_session_and_not_the_kiosk(site, server, capsys) -> None:
    class Broken:
        def prepare(self) -> None:
            raise RuntimeError("Secret-Pass")

        def close(self) -> None:
            pass

    assert site(camera_object=Broken()).once().ending is Ending.UNAVAILABLE
    out = capsys.readouterr()
    assert "errand_broke" in out.out + out.err
    assert "Secret-Pass" not in out.out + out.err


def test_a_server_that_went_away_before_the_submission_is_told_as_unreachable(site, server) -> None:
    class LastPicture:
        """The server goes while the person looks at the camera."""

        def prepare(self) -> None:
            server.close()

        def grab(self):
            return np.zeros((48, 64, 3), np.uint8)

        def follow(self, movement) -> None:
            pass

        def close(self) -> None:
            pass

    outcome = site(camera_object=LastPicture()).once()
    assert (outcome.ending, outcome.message) == (Ending.UNAVAILABLE, "The login service cannot be reached.")
    assert server.at("/v1/login") == []


def test_sessions_follow_one_another(site, server, clock) -> None:
    lines = [LINES[0] | {"step": "attract"}, *LINES[1:]]
    kiosk = site(lines=[*lines, *lines])
    kiosk.services.keypad.follow(Step.ATTRACT)
    while len(kiosk.door.opened_for) < 2 and clock.moved_s < 600:
        kiosk.agent.turn()
    assert kiosk.door.opened_for == ["alice", "alice"]
    while kiosk.agent.session.step is not Step.ATTRACT:
        kiosk.agent.turn()
    assert server.signature_faults == []
    kiosk.services.close()


# --- a recording with movements


@pytest.fixture
def recorded(site, server):
    """A kiosk whose server asks for movements, with somebody before its camera who does them."""
    server.answer("/v1/attempts", server.attempt("turn_left", "blink"))

    def make(person=None, *, lines=LINES, **changes):
        person = person or Person()
        kiosk = site(lines=lines, camera_object=person, **changes)
        errands = replace(kiosk.services.errands, guide=person)
        kiosk.services = replace(kiosk.services, errands=errands)
        kiosk.agent._services = kiosk.services
        return kiosk

    return make


def test_a_login_with_movements_through_the_whole_kiosk(recorded, server) -> None:
    kiosk = recorded()
    assert kiosk.once().ending is Ending.GRANTED
    assert kiosk.screen.titles[3:-1] == [
        "Look at the camera",
        "<---  Turn your head to the left",
        ">-<  Shut your eyes for a moment",
        "Look at the camera again",
        "One moment",
    ]
    assert server.at("/v1/attempts")[0].json == {"action": "login", "username": "alice"}
    sent = server.at("/v1/login")[0].json
    parts = [mark["part"] for mark in sent["marks"]]
    assert (len(parts), set(parts)) == (len(sent["frames"]), {0, 1, 2, 3})
    assert server.contract_faults == []


def test_movements_that_the_server_did_not_see_are_asked_for_anew(recorded, server) -> None:
    server.answer("/v1/login", server.refusal("capture_again", capture_hint="movement"), server.grant())
    kiosk = recorded()
    assert kiosk.once().ending is Ending.GRANTED
    assert kiosk.screen.titles.count("<---  Turn your head to the left") == 2
    first, second = (request.json["marks"] for request in server.at("/v1/login"))
    assert second[0]["at_ms"] == first[0]["at_ms"], "timed from its own attempt"


def test_pictures_that_cannot_be_judged_are_not_sent(recorded, server) -> None:
    kiosk = recorded(Person(at_rest=lambda _number: None))
    outcome = kiosk.once()
    assert (outcome.ending, outcome.message) == (Ending.CAPTURE_AGAIN, "No face is seen. Look into the camera.")
    assert kiosk.screen.problems[0] == "No face is seen. Look into the camera"
    assert (len(server.at("/v1/attempts")), server.at("/v1/login")) == (3, []), "three rounds, and nothing was sent"
    assert not kiosk.agent.session.has_secret


def test_a_cancelled_recording_lets_go_of_the_camera_before_the_next_person(recorded, server) -> None:
    """In the middle of the first movement; what was taken is sent nowhere."""
    person = Person(refuses=frozenset(Movement))
    kiosk = recorded(person)
    looks = person.look

    def look_and_cancel(picture):
        if len(person.shown) == 6:
            kiosk.agent.handle(Cancelled())
        return looks(picture)

    person.look = look_and_cancel
    assert kiosk.once().ending is Ending.CANCELLED
    assert len(person.shown) == 6
    assert server.at("/v1/login") == []


# --- all other actions, from the menu to what is done

TICKET = "0123-4567-89AB-CDEF"
STEPS = {
    "name": "Alice",
    "person": "Bob",
    "permission": TICKET,
    "password": "Secret-Pass",
    "new_password": "Newer-Pass",
    "repeat": "Newer-Pass",
    "code": "424242",
}
SECRETS = (
    "Secret-Pass",
    "Newer-Pass",
    TICKET,
    TICKET.replace("-", ""),
    "424242",
    "JBSWY3DP",
    "/9j/",
    "N" * 22,
    "C" * 22,
)
CHOOSE = {
    Action.REGISTER: ["2"],
    Action.RECOVER_TOTP: ["3", "1"],
    Action.RECOVER_PASSWORD: ["3", "2"],
    Action.RECOVER_FACE: ["3", "3"],
    Action.UPDATE_MAC: ["3", "4"],
    Action.APPROVE: ["4"],
    Action.CANCEL: ["5"],
}
ENTRIES = {
    Action.REGISTER: ["name", "permission", "new_password", "repeat"],
    Action.RECOVER_TOTP: ["name", "password"],
    Action.RECOVER_PASSWORD: ["name", "new_password", "repeat", "code"],
    Action.RECOVER_FACE: ["name", "password", "code"],
    Action.UPDATE_MAC: ["name", "password", "code"],
    Action.APPROVE: ["name", "person", "password", "code"],
    Action.CANCEL: ["name", "password", "code"],
}
SENT = {
    Action.REGISTER: {"permission": TICKET.replace("-", ""), "new_password": "Newer-Pass", "new_frames": 5},
    Action.RECOVER_TOTP: {"password": "Secret-Pass", "frames": 3},
    Action.RECOVER_PASSWORD: {"new_password": "Newer-Pass", "totp": "424242", "frames": 3},
    Action.RECOVER_FACE: {"password": "Secret-Pass", "totp": "424242", "new_frames": 5},
    Action.UPDATE_MAC: {"password": "Secret-Pass", "totp": "424242", "frames": 3},
    Action.APPROVE: {"person": "bob", "password": "Secret-Pass", "totp": "424242", "frames": 3},
    Action.CANCEL: {"password": "Secret-Pass", "totp": "424242"},
}
DONE = {
    Action.REGISTER: "Registered",
    Action.RECOVER_TOTP: "New authenticator in force",
    Action.RECOVER_PASSWORD: "New password in force",
    Action.RECOVER_FACE: "New face in force",
    Action.UPDATE_MAC: "This kiosk is yours now",
    Action.APPROVE: "Approved",
    Action.CANCEL: "Request cancelled",
}


def typed(step: str, text: str, *, enter: bool = True) -> dict:
    return {"step": step, "text": text, "enter": enter}


def session_of(action: Action, *more: dict) -> list[dict]:
    """The keypad's script of a session at an action, from rest, with lines of its own after the entries."""
    menus = [typed(menu, key, enter=False) for menu, key in zip(["menu", "recovery"], CHOOSE[action], strict=False)]
    entries = [typed(step, STEPS[step]) for step in ENTRIES[action]]
    return [{"step": "attract", "keys": ["enter"]}, *menus, *entries, *more]


@pytest.fixture
def run_session(site, server, capsys):
    """Runs one session from rest to its outcome; whatever came of it, no secret is left anywhere."""
    ended = []

    def run(action: Action, *more: dict, lines=None, **changes):
        kiosk = site(lines=lines or session_of(action, *more), **changes)
        kiosk.services.keypad.follow(Step.ATTRACT)
        while kiosk.agent._outcome is None:
            kiosk.agent.turn()
        ended.append(kiosk)
        kiosk.agent.turn()
        return kiosk, kiosk.agent._outcome

    yield run
    assert server.signature_faults == []
    for kiosk in ended:
        assert kiosk.door.opened_for == [], "only a login opens the door"
        assert not kiosk.agent.session.has_secret
        kiosk.services.close()
        out = capsys.readouterr()
        for secret in SECRETS:
            assert secret not in kiosk.screen.everything + out.out + out.err


@pytest.mark.parametrize("action", CHOOSE)
def test_each_action_through_the_whole_kiosk(action, run_session, server) -> None:
    kiosk, outcome = run_session(action, typed("qr", server.first_code()))
    assert (outcome.ending, outcome.action, outcome.username) == (Ending.CHANGED, action, "alice")
    has_secret = action in {Action.REGISTER, Action.RECOVER_TOTP}
    path = SUBMISSION[action]
    confirmed = ["/v1/attempts", "/v1/confirm"] if has_secret else []
    assert [request.path for request in server.requests] == ["/v1/attempts", path, *confirmed]
    assert server.opened == [action, Action.CONFIRM][: 1 + has_secret]
    assert server.contract_faults == []
    sent = server.at(path)[0].json
    frames = {name: len(sent[name]) for name in ("frames", "new_frames") if name in sent}
    envelope = {"attempt_id": "A" * 22, "username": "alice", "mac": "00:1b:21:0a:0b:0c"}
    envelope |= {"marks": []} if frames else {}
    assert sent | frames == SENT[action] | envelope | {"client_ts_utc": sent["client_ts_utc"]}
    if has_secret:
        confirmation = server.at("/v1/confirm")[0].json
        assert (confirmation["change_id"], confirmation["new_totp"]) == ("C" * 22, server.first_code())
    assert kiosk.screen.uris == ({server.uri("alice")} if has_secret else set())
    assert kiosk.screen.titles[-1] == DONE[action]


@pytest.mark.parametrize("action", CHOOSE)
@pytest.mark.parametrize(
    ("reason", "status", "ending", "title"),
    [
        ("denied", 403, Ending.DENIED, "Request denied"),
        ("locked", 423, Ending.LOCKED, "Please wait"),
        ("start_again", 409, Ending.START_AGAIN, "Not done"),
        ("unavailable", 503, Ending.UNAVAILABLE, "Not done"),
        ("kiosk_refused", 401, Ending.KIOSK_REFUSED, "Out of service"),
    ],
)
def test_each_refusal_of_each_action_is_shown(action, reason, status, ending, title, run_session, server) -> None:
    server.answer(SUBMISSION[action], server.refusal(reason, status))
    kiosk, outcome = run_session(action)
    assert (outcome.ending, kiosk.screen.titles[-1]) == (ending, title)
    assert len(server.at(SUBMISSION[action])) == 1, "a submission is sent once"


@pytest.mark.parametrize("action", CHOOSE)
def test_a_lost_reply_to_a_change_is_told_and_nothing_is_sent_again(action, run_session, server) -> None:
    server.answer(SUBMISSION[action], "drop")
    kiosk, outcome = run_session(action)
    assert (outcome.ending, kiosk.screen.titles[-1]) == (Ending.UNCERTAIN, "Perhaps not done")
    assert len(server.at(SUBMISSION[action])) == 1


@pytest.mark.parametrize("action", CHOOSE)
def test_a_grant_of_a_login_in_the_place_of_a_change_is_no_answer(action, run_session, server) -> None:
    server.answer(SUBMISSION[action], server.grant())
    assert run_session(action)[1].ending is Ending.UNCERTAIN


@pytest.mark.parametrize(
    "reply",
    [
        lambda server: server.change("bob"),
        lambda server: server.change(needs=["code"]),
        lambda server: server.change(needs=["code"], provisioning_uri="https://elsewhere.example/"),
    ],
    ids=["another name", "no secret", "no secret's address"],
)
def test_a_new_secret_that_cannot_be_meant_is_not_shown(reply, run_session, server) -> None:
    server.answer("/v1/recover/totp", reply(server))
    kiosk, outcome = run_session(Action.RECOVER_TOTP)
    assert (outcome.ending, kiosk.screen.uris) == (Ending.UNCERTAIN, set())


def test_a_change_that_waits_says_so(run_session, server) -> None:
    server.answer("/v1/recover/password", server.change(needs=["approval", "time"], lifetime_s=3600))
    kiosk, outcome = run_session(Action.RECOVER_PASSWORD)
    assert (outcome.ending, kiosk.screen.titles[-1]) == (Ending.PENDING, "Not in force yet")
    assert "Until then your old password counts." in kiosk.screen.lines


def test_a_confirmed_secret_may_wait_for_an_approval(run_session, server) -> None:
    server.answer("/v1/confirm", server.change(needs=["approval"]))
    kiosk, outcome = run_session(Action.RECOVER_TOTP, typed("qr", server.first_code()))
    assert (outcome.ending, outcome.action) == (Ending.PENDING, Action.RECOVER_TOTP)
    assert "Until then your old authenticator app counts." in kiosk.screen.lines


def test_a_wrong_first_code_is_typed_again_with_the_code_still_there(run_session, server) -> None:
    wrong = typed("qr", f"{(int(server.first_code()) + 1) % 1_000_000:06d}")
    kiosk, outcome = run_session(Action.REGISTER, wrong, wrong, typed("qr", server.first_code()))
    assert outcome.ending is Ending.CHANGED
    assert server.opened == [Action.REGISTER, *[Action.CONFIRM] * 3], "each through an attempt of its own"
    assert kiosk.screen.problems == [
        "That was not the code. 4 tries are left",
        "That was not the code. 3 tries are left",
    ]


def test_after_five_wrong_first_codes_the_secret_is_gone(run_session, server) -> None:
    wrong = typed("qr", f"{(int(server.first_code()) + 1) % 1_000_000:06d}")
    _, outcome = run_session(Action.RECOVER_TOTP, *[wrong] * 9)
    assert (outcome.ending, len(server.at("/v1/confirm"))) == (Ending.DENIED, 5)


def test_a_server_that_is_away_for_a_moment_does_not_cost_the_new_secret(run_session, server) -> None:
    server.answer("/v1/confirm", server.refusal("unavailable", 503), server.confirm)
    code = typed("qr", server.first_code())
    kiosk, outcome = run_session(Action.RECOVER_TOTP, code, code)
    assert outcome.ending is Ending.CHANGED
    assert kiosk.screen.problems == ["Because unavailable. Please type the code once more"]


def test_a_refused_new_password_is_chosen_again(run_session, server) -> None:
    refused = server.refusal("malformed", 422, field="new_password", rule="this is a common password")
    server.answer("/v1/recover/password", refused, server.change())
    again = [typed("new_password", "Better-Pass"), typed("repeat", "Better-Pass"), typed("code", "535353")]
    kiosk, outcome = run_session(Action.RECOVER_PASSWORD, *again)
    assert outcome.ending is Ending.CHANGED
    assert kiosk.screen.problems == ["This is a common password"]
    first, second = (request.json for request in server.at("/v1/recover/password"))
    assert (second["new_password"], second["totp"], second["username"]) == ("Better-Pass", "535353", "alice")
    assert first["new_password"] == "Newer-Pass"
    assert server.opened == [Action.RECOVER_PASSWORD] * 2


def test_a_name_that_is_taken_is_chosen_again(run_session, server) -> None:
    rule = "is the name of an account already: choose another"
    taken = server.refusal("malformed", 422, field="username", rule=rule)
    server.answer("/v1/register", taken, lambda request: server.new_secret(request.json["username"]))
    kiosk, outcome = run_session(Action.REGISTER, typed("name", "Alina"), typed("qr", server.first_code()))
    assert (outcome.ending, outcome.username) == (Ending.CHANGED, "alina")
    assert kiosk.screen.problems == [f"alice {rule}"]
    assert kiosk.screen.uris == {server.uri("alina")}


def test_enrolment_pictures_are_taken_slowly_and_asked_for_anew(run_session, server, clock) -> None:
    again = server.refusal("capture_again", capture_hint="no_face")
    server.answer("/v1/recover/face", again, server.change())
    kiosk, outcome = run_session(Action.RECOVER_FACE, capture={"enrol_frames": 3, "enrol_interval_s": 1.0})
    assert outcome.ending is Ending.CHANGED
    assert sum(clock.slept) == 4.0, "two waits of a second between three pictures, twice"
    assert [len(request.json["new_frames"]) for request in server.at("/v1/recover/face")] == [3, 3]
    assert kiosk.screen.titles[-4:] == ["Once more, please", "Look at the camera", "One moment", "New face in force"]


def test_an_action_that_the_site_has_switched_off_is_told_as_such(run_session, server) -> None:
    rule = "update_mac is switched off at this site"
    server.answer("/v1/attempts", server.refusal("malformed", 422, field="action", rule=rule))
    _, outcome = run_session(Action.UPDATE_MAC)
    assert (outcome.ending, outcome.message) == (Ending.MALFORMED, "This is switched off at this site.")


@pytest.mark.parametrize("action", CHOOSE)
@pytest.mark.parametrize("key", ["cancel", None])
def test_who_leaves_any_entry_of_any_action_leaves_nothing(action, key, run_session, server) -> None:
    for count in range(1, len(ENTRIES[action]) + 1):
        lines = session_of(action)
        cut = len(lines) - len(ENTRIES[action]) + count
        last = lines[cut - 1] | {"enter": False} | ({"keys": [key]} if key else {})
        _, outcome = run_session(action, lines=[*lines[: cut - 1], last])
        assert outcome.ending is (Ending.CANCELLED if key else Ending.TIMED_OUT)
    assert server.requests == []


# --- time at the QR code


def at_qr(site, server, clock, **changes):
    """A kiosk that shows a new secret."""
    kiosk = site(lines=session_of(Action.RECOVER_TOTP), capture={"interval_s": 0}, **changes)
    kiosk.services.keypad.follow(Step.ATTRACT)
    while kiosk.agent.session.step is not Step.QR:
        kiosk.agent.turn()
    assert clock.moved_s == 0
    return kiosk


def wait(kiosk, clock) -> float:
    """Seconds until the QR code goes by itself."""
    while kiosk.agent.session.step is Step.QR:
        kiosk.agent.turn()
    return clock.moved_s


def test_a_person_has_time_to_scan_and_is_shown_how_much(site, server, clock) -> None:
    kiosk = at_qr(site, server, clock, session={"qr_s": 90.0})
    kiosk.agent.turn()
    assert "seconds_left=90" in kiosk.screen.everything
    assert wait(kiosk, clock) == 90.0
    assert not kiosk.agent.session.has_secret
    kiosk.services.close()


def test_typing_does_not_shorten_the_time_at_the_code(site, server, clock) -> None:
    kiosk = at_qr(site, server, clock)
    clock.moved_s = 100.0
    kiosk.agent.handle(Typed("1"))
    assert wait(kiosk, clock) == 180.0
    kiosk.services.close()


def test_more_time_can_be_asked_for_as_long_as_the_server_keeps_the_secret(site, server, clock) -> None:
    kiosk = at_qr(site, server, clock)
    clock.moved_s = 170.0
    kiosk.agent.handle(Typed("m"))
    kiosk.agent.turn()
    clock.moved_s = 340.0
    assert kiosk.agent.session.step is Step.QR
    while clock.moved_s < 590:
        kiosk.agent.handle(Typed("m"))
        clock.moved_s += 10
    assert wait(kiosk, clock) == 600.0
    kiosk.services.close()


def test_a_secret_that_is_kept_for_less_is_shown_for_less(site, server, clock) -> None:
    server.answer("/v1/recover/totp", server.new_secret("alice", lifetime_s=60))
    kiosk = at_qr(site, server, clock)
    assert wait(kiosk, clock) == 60.0
    kiosk.services.close()


def test_a_menu_that_nobody_uses_goes_away(site, clock) -> None:
    kiosk = site(lines=[])
    kiosk.agent.handle(Entered())
    kiosk.agent.handle(Typed("3"))
    while kiosk.agent.session.step is not Step.ATTRACT:
        kiosk.agent.turn()
    assert clock.moved_s == kiosk.services.settings.session.idle_s
    assert kiosk.agent._outcome is None, "nobody's session has ended"
    kiosk.services.close()


# --- heartbeats


def test_a_heartbeat_reports_what_the_operator_should_know(site, server) -> None:
    kiosk = site()
    kiosk.services.health.camera_fault = "camera 0: cannot be opened; " + "x" * 200
    assert kiosk.services.heartbeat.beat() == ServiceUp()
    (beat,) = server.at("/v1/heartbeat")
    assert server.signature_faults == []
    assert beat.json["mac"] == "00:1b:21:0a:0b:0c"
    assert any("cannot be opened" in fault for fault in beat.json["faults"])
    assert any("mac_override" in fault for fault in beat.json["faults"])
    kiosk.services.close()


def test_a_heartbeat_tells_how_the_kiosk_does(site, server, clock) -> None:
    kiosk = site()
    clock.sleep(75)
    kiosk.services.health.door_fault = "the guard is gone"
    server.answers["/v1/heartbeat"].appendleft(server.refusal("unavailable", 503))
    kiosk.services.heartbeat.beat()
    kiosk.services.heartbeat.beat()
    kiosk.services.heartbeat.beat()
    first, second, third = (beat.json["state"] for beat in server.at("/v1/heartbeat"))
    assert (first["interval_s"], first["uptime_s"], first["keypad"], first["door"]) == (30.0, 75, "ok", "faulty")
    assert first["camera"] in {state.value for state in CameraState}
    assert "clock_offset_s" not in first and third["clock_offset_s"] == 75.0
    assert "503" in second["last_error"], "told when the server can be reached again"
    assert "last_error" not in third, "and once"
    kiosk.services.close()


def test_a_login_goes_on_with_the_server_that_the_heartbeat_found(site, server) -> None:
    with closing(Nobody()) as nobody, capture_logs() as lines:
        kiosk = site(server={"url": [nobody.url, server.url]})
        assert kiosk.services.heartbeat.beat() == ServiceUp()
        outcome = kiosk.once()
    assert (outcome.ending, kiosk.door.opened_for) == (Ending.GRANTED, ["alice"])
    told = [(line["event"], line["address"]) for line in lines if line["event"] in {"server_failed", "server_changed"}]
    assert told == [("server_failed", nobody.url), ("server_changed", server.url)], "and once for both"


def test_a_heartbeat_tells_a_server_that_another_key_is_shown_at_an_address(site, server, assertions, tmp_path) -> None:
    (tmp_path / "another").mkdir()
    with closing(FakeAuthServer(tmp_path / "another", None, assertions)) as stranger:
        kiosk = site(server={"url": [stranger.url, server.url]})
        assert [kiosk.services.heartbeat.beat() for _ in range(2)] == [ServiceUp()] * 2
    first, second = (beat.json["faults"] for beat in server.at("/v1/heartbeat"))
    assert set(second) - set(first) == {f"another key than a pinned one is shown at {stranger.url}"}
    assert stranger.app_bytes == 0
    kiosk.services.close()


@pytest.mark.parametrize(
    ("offset_s", "reason", "cause"),
    [
        (0, "kiosk_refused", Cause.REFUSED),
        (118, "kiosk_refused", Cause.REFUSED),
        (125, "kiosk_refused", Cause.CLOCK),
        (-300, "kiosk_refused", Cause.CLOCK),
        (-300, "unavailable", Cause.SERVER),
    ],
)
def test_a_clock_that_is_off_is_told_from_a_kiosk_that_is_refused(offset_s, reason, cause, site, server) -> None:
    """The server says the same of both; the date of its reply tells them apart."""
    date = format_datetime(server.now() + timedelta(seconds=-offset_s), usegmt=True)
    server.answer("/v1/heartbeat", replace(server.refusal(reason, 401), headers=(("Date", date),)))
    kiosk = site()
    assert kiosk.services.heartbeat.beat().cause is cause
    kiosk.services.close()


def test_a_server_with_another_key_and_a_cable_that_is_out_are_told_apart(site, server, tmp_path) -> None:
    kiosk = site(server={"pins": ["0" * 64]})
    assert kiosk.services.heartbeat.beat().cause is Cause.UNTRUSTED
    kiosk.services.close()
    for text, cause in (("0", False), ("1", True), ("", True)):
        (tmp_path / "class/net/eth0").mkdir(parents=True, exist_ok=True)
        (tmp_path / "class/net/eth0/carrier").write_text(text)
        assert has_carrier("eth0", sys_root=tmp_path) is cause


@pytest.mark.parametrize(
    ("answer", "ending"),
    [
        ("drop", Ending.UNAVAILABLE),
        ("unavailable", Ending.UNAVAILABLE),
        ("kiosk_refused", Ending.KIOSK_REFUSED),
    ],
)
def test_the_kiosk_goes_out_of_service_and_comes_back_by_itself(answer, ending, site, server) -> None:
    kiosk = site(lines=[])
    good = server.answers["/v1/heartbeat"]
    server.answer("/v1/heartbeat", answer if answer == "drop" else server.refusal(answer, 401))
    down = kiosk.services.heartbeat.beat()
    assert isinstance(down, ServiceDown) and down.ending is ending
    kiosk.agent.handle(down)
    assert kiosk.agent.session.step is Step.OUT_OF_SERVICE
    assert "server" in kiosk.services.health.faults
    server.answers["/v1/heartbeat"] = good
    kiosk.agent.handle(kiosk.services.heartbeat.beat())
    assert kiosk.agent.session.step is Step.ATTRACT
    assert kiosk.services.health.faults == {}
    kiosk.services.close()


def test_heartbeats_go_on_until_stopped_and_come_sooner_while_the_server_is_away(site, server) -> None:
    class Stop:
        def __init__(self) -> None:
            self.waited: list[float] = []

        def wait(self, seconds: float) -> bool:
            self.waited.append(seconds)
            return len(self.waited) == 2

    kiosk, stop, found = site(), Stop(), []
    server.answers["/v1/heartbeat"].appendleft(server.refusal("unavailable", 503))
    kiosk.services.heartbeat.run(found.append, stop, 30.0)
    assert [type(event) for event in found] == [ServiceDown, ServiceUp]
    assert stop.waited == [3.0, 30.0]
    kiosk.services.close()


@pytest.mark.parametrize("text", ["a\nb", "a\r\x1b[2J", "\u202e", "\ud800", "x\n" * 200])
def test_a_fault_with_any_text_is_reported_and_the_kiosk_stays_in_service(text, site, server) -> None:
    kiosk = site()
    kiosk.services.health.camera_fault = text
    crowded = replace(kiosk.services.heartbeat, unsafe_variants=("v\n",) * 30)
    assert crowded.beat() == ServiceUp()
    faults = server.at("/v1/heartbeat")[0].json["faults"]
    assert len(faults) == 16
    assert all(fault.isprintable() for fault in faults)
    assert max(map(len, faults)) <= 120
    kiosk.services.close()


def test_heartbeats_survive_an_unforeseen_fault_and_do_not_tell_its_text(site, capsys) -> None:
    kiosk, found = site(), []
    good, tries = kiosk.services.identity.read, iter(range(9))

    def read():
        if next(tries) < 2:
            raise RuntimeError("Secret-Pass")
        return good()

    class Stop:
        def wait(self, _seconds: float) -> bool:
            return len(found) == 3

    beats = replace(kiosk.services.heartbeat, identity=replace(kiosk.services.identity, read=read))
    beats.run(found.append, Stop(), 30.0)
    assert [type(event) for event in found] == [ServiceDown, ServiceDown, ServiceUp]
    assert kiosk.services.health.faults == {}
    out = capsys.readouterr()
    assert (out.out + out.err).count("heartbeat_broke") == 1, "told once, not at every beat"
    assert "RuntimeError" in out.out + out.err
    assert "Secret-Pass" not in out.out + out.err
    kiosk.services.close()


def test_a_clock_that_drifts_is_a_fault_before_logins_fail(site, server, clock) -> None:
    kiosk = site()
    late = server.reply(body={"server_ts_utc": (clock.now() + timedelta(seconds=90)).isoformat()})
    server.answer("/v1/heartbeat", late)
    kiosk.services.heartbeat.beat()
    assert kiosk.services.health.faults == {"clock": "clock is -90 s off the server's"}
    kiosk.services.close()


class Indicators:
    """Remembers what it showed and how often it clicked."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.clicks = 0

    def show(self, step) -> None:
        self.steps.append(step)

    def click(self) -> None:
        self.clicks += 1


def test_lights_follow_the_session_and_each_key_is_heard(site) -> None:
    kiosk, indicators = site(), Indicators()
    kiosk.agent = Agent(replace(kiosk.services, indicators=indicators, door=Door()), kiosk.inbox, kiosk._start)
    assert kiosk.once().ending is Ending.GRANTED
    steps = [Step.NAME, Step.PASSWORD, Step.CODE, Step.FACE, Step.CHECKING, Step.GRANTED]
    assert indicators.steps == steps
    assert indicators.clicks == len("AliceSecret-Pass424242") + 3


class JammedDoor(Door):
    """Does not open, for one reason or another."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error

    def open_for(self, assertion) -> None:
        raise self._error


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (DoorFault("the relay has no guard"), "the relay has no guard"),
        (ZeroDivisionError("alice"), "the door broke: ZeroDivisionError"),
    ],
)
def test_a_door_that_does_not_open_is_told_to_the_person_and_the_site(error, told, site) -> None:
    kiosk = site()
    kiosk.services = replace(kiosk.services, door=JammedDoor(error))
    kiosk.agent = Agent(kiosk.services, kiosk.inbox, kiosk._start)
    kiosk.agent.handle(Begun(Action.LOGIN))
    while kiosk.agent.session.step is not Step.GRANTED or not kiosk.agent.session.problem:
        kiosk.agent.turn()
    kiosk.agent.turn()
    assert kiosk.screen.problems[-1] == "The door did not open. Please tell somebody who works here"
    assert "The door is open." not in kiosk.screen.everything.rpartition("did not open")[2]
    assert kiosk.services.health.faults["door"] == told
    while kiosk.agent.session.step is not Step.ATTRACT:
        kiosk.agent.turn()
    kiosk.services.close()


def test_a_door_that_opens_again_is_no_fault_any_more(site) -> None:
    kiosk = site()
    kiosk.services.health.door_fault = "the relay has no guard"
    assert kiosk.once().ending is Ending.GRANTED
    assert kiosk.services.health.door_fault is None
