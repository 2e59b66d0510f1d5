"""The session machine, read as a table and then let loose on random events."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth_contract.actions import Action, CaptureHint, Movement, Need
from auth_contract.limits import CONFIRM_TRIES
from auth_contract.messages import GATEWAY_MEMBERS, SUBMISSIONS, AttemptReply, FrameMark
from kiosk_agent import events as e
from kiosk_agent.effects import Capture, Leave, OpenAttempt, OpenDoor, Report, Submit
from kiosk_agent.entering import EXTENSIONS_MAX
from kiosk_agent.events import Ending, Entries, Event, Outcome, Step
from kiosk_agent.flows import FIELDS, FLOWS, MENUS
from kiosk_agent.phrases import Language
from kiosk_agent.session import CAPTURES_MAX, TABLE, Session, advance

ATTEMPT = AttemptReply(attempt_id="A" * 22, nonce="N" * 22, expires_at=datetime(2026, 11, 22, 9, 31, tzinfo=UTC))
PROOF = e.VerifiedAssertion("alice", "j-1", "the.secret.token")
URI = "otpauth://totp/lab:alice?secret=JBSWY3DPEHPK3PXP&issuer=lab"
SECRET = e.NewSecret("C" * 22, URI, 600.0)
WAITS = e.Waits((Need.APPROVAL, Need.TIME), datetime(2026, 11, 22, 10, 30, tzinfo=UTC))
TICKET = "0123456789ABCDEF"
NAMED = Entries(name="alice")
FULL = Entries(
    name="alice",
    person="bob",
    permission=TICKET,
    password="Secret-Pass",
    new_password="Newer-Pass",
    repeated="Newer-Pass",
    code="424242",
)
TYPED = Session(Step.NAME, 7, entries=NAMED)
LOGIN = replace(TYPED, entries=Entries(name="alice", password="Secret-Pass", code="424242"))
REGISTER = Session(Step.NAME, 7, Action.REGISTER, replace(FULL, person="", password="", code=""))
RENEW = Session(Step.NEW_PASSWORD, 7, Action.RECOVER_PASSWORD, Entries(name="alice", new_password="Newer-Pass"))
AT = {
    Step.ATTRACT: Session(ticket=7),
    Step.LANGUAGE: Session(Step.LANGUAGE, 7),
    Step.MENU: Session(Step.MENU, 7),
    Step.RECOVERY: Session(Step.RECOVERY, 7),
    Step.NAME: TYPED,
    Step.PERSON: Session(Step.PERSON, 7, Action.APPROVE, replace(NAMED, person="bob")),
    Step.PERMISSION: replace(REGISTER, step=Step.PERMISSION, entries=replace(NAMED, permission=TICKET)),
    Step.PASSWORD: replace(TYPED, step=Step.PASSWORD, entries=replace(NAMED, password="Secret-Pass")),
    Step.NEW_PASSWORD: RENEW,
    Step.REPEAT: replace(RENEW, step=Step.REPEAT, entries=replace(RENEW.entries, repeated="Newer-Pass")),
    Step.CODE: replace(LOGIN, step=Step.CODE),
    Step.FACE: replace(LOGIN, step=Step.FACE, attempt=ATTEMPT),
    Step.ENROL: replace(REGISTER, step=Step.ENROL, attempt=ATTEMPT),
    Step.SENDING: replace(LOGIN, step=Step.SENDING, action=Action.CANCEL),
    Step.CHECKING: replace(LOGIN, step=Step.CHECKING, captures=1),
    Step.QR: Session(Step.QR, 7, Action.RECOVER_TOTP, replace(NAMED, code="424242"), secret=SECRET),
    Step.CAPTURE_AGAIN: replace(LOGIN, step=Step.CAPTURE_AGAIN, captures=1),
    Step.GRANTED: Session(Step.GRANTED, 7, outcome=Outcome(Ending.GRANTED, "Welcome.", "alice")),
    Step.DONE: Session(Step.DONE, 7, outcome=Outcome(Ending.CHANGED, "Done.", "alice", action=Action.CANCEL)),
    Step.WAITING: Session(Step.WAITING, 7, outcome=Outcome(Ending.PENDING, "Wait.", "alice", waits=WAITS)),
    Step.DENIED: Session(Step.DENIED, 7, outcome=Outcome(Ending.DENIED, "No.")),
    Step.LOCKED: Session(Step.LOCKED, 7, outcome=Outcome(Ending.LOCKED, "Wait.", retry_after_s=30)),
    Step.TIMED_OUT: Session(Step.TIMED_OUT, 7, outcome=Outcome(Ending.TIMED_OUT, "Too long.")),
    Step.OUT_OF_SERVICE: Session(Step.OUT_OF_SERVICE, 7, outcome=Outcome(Ending.UNAVAILABLE, "Down.")),
}
CHECKING_CHANGE = replace(AT[Step.CHECKING], action=Action.RECOVER_PASSWORD, entries=replace(FULL, person=""))
CONFIRMING = replace(AT[Step.QR], step=Step.CHECKING, tries=1)
GRANTED = e.Granted(7, PROOF, "Welcome.")
DOWN = e.ServiceDown(Ending.UNAVAILABLE, "Down.")


def turned(ending: Ending, ticket: int = 7, *, member: str = "", rule: str = "") -> e.Turned:
    return e.Turned(ticket, ending, "A sentence.", 30 if ending is Ending.LOCKED else None, member, rule)


NO_KEYPAD = e.ServiceDown(Ending.KEYPAD_FAULT, "No keys.", e.Cause.KEYPAD)
MODE, MORE = (e.ModeShown("abc"), None), (e.MoreTime(), None)
BROKEN_OFF = [(DOWN, None), (NO_KEYPAD, Step.OUT_OF_SERVICE)]
TYPING = [
    (e.Typed("1"), None),
    (e.Erased(), None),
    (e.Cleared(), None),
    (e.Concealed(), None),
    MODE,
    MORE,
    *BROKEN_OFF,
]
LEAVING = [(e.Cancelled(), Step.ATTRACT), (e.TimedOut(), Step.TIMED_OUT)]
LOOKING = [
    (e.AttemptOpened(7, ATTEMPT), None),
    (e.Guided(7, 1, CaptureHint.TOO_DARK, 4), None),
    (e.Captured(7, (b"jpeg",) * 3), Step.CHECKING),
    (e.Unfit(7, CaptureHint.TOO_DARK, "Too dark."), Step.CAPTURE_AGAIN),
    (e.CameraFailed(7), Step.DENIED),
    (turned(Ending.UNAVAILABLE), Step.DENIED),
    (turned(Ending.KIOSK_REFUSED), Step.OUT_OF_SERVICE),
    (e.Cancelled(), Step.ATTRACT),
    (e.TimedOut(), Step.DENIED),
    MODE,
    *BROKEN_OFF,
]
RESULT = [(e.Entered(), Step.ATTRACT), (e.Cancelled(), Step.ATTRACT), (e.TimedOut(), Step.ATTRACT), MODE, MORE]
# from -> (event, to), where no step means that it stays
MACHINE: dict[Step, list[tuple[Event, Step | None]]] = {
    Step.ATTRACT: [
        (e.Typed("a"), Step.NAME),
        (e.Begun(Action.LOGIN), Step.NAME),
        (e.Entered(), Step.MENU),
        (e.Cleared(), Step.LANGUAGE),
        (e.Cancelled(), None),
        MODE,
        (DOWN, Step.OUT_OF_SERVICE),
    ],
    Step.LANGUAGE: [
        (e.Typed("6"), Step.MENU),
        (e.Typed("7"), Step.ATTRACT),
        (e.Typed("8"), None),
        (e.Entered(), Step.MENU),
        (e.Cancelled(), Step.ATTRACT),
        (e.TimedOut(), Step.ATTRACT),
        MODE,
        MORE,
        (DOWN, Step.OUT_OF_SERVICE),
    ],
    Step.MENU: [
        (e.Typed("1"), Step.NAME),
        (e.Typed("3"), Step.RECOVERY),
        (e.Typed("6"), Step.ATTRACT),
        (e.Typed("7"), None),
        (e.Entered(), Step.NAME),
        (e.Cancelled(), Step.ATTRACT),
        (e.TimedOut(), Step.ATTRACT),
        MODE,
        MORE,
        (DOWN, Step.OUT_OF_SERVICE),
    ],
    Step.RECOVERY: [
        (e.Typed("4"), Step.NAME),
        (e.Typed("5"), Step.MENU),
        (e.Typed("a"), None),
        (e.Entered(), Step.NAME),
        (e.Cancelled(), Step.MENU),
        (e.TimedOut(), Step.ATTRACT),
        MODE,
        MORE,
        (DOWN, Step.OUT_OF_SERVICE),
    ],
    Step.NAME: [*TYPING, (e.Entered(), Step.PASSWORD), *LEAVING],
    Step.PERSON: [*TYPING, (e.Entered(), Step.PASSWORD), *LEAVING],
    Step.PERMISSION: [*TYPING, (e.Entered(), Step.NEW_PASSWORD), *LEAVING],
    Step.PASSWORD: [*TYPING, (e.Entered(), Step.CODE), *LEAVING],
    Step.NEW_PASSWORD: [*TYPING, (e.Entered(), Step.REPEAT), *LEAVING],
    Step.REPEAT: [*TYPING, (e.Entered(), Step.CODE), *LEAVING],
    Step.CODE: [*TYPING, (e.Entered(), Step.FACE), *LEAVING],
    Step.QR: [*TYPING, (e.Entered(), Step.SENDING), *LEAVING],
    Step.FACE: LOOKING,
    Step.ENROL: [*LOOKING, (e.Pictured(7, 2), None)],
    Step.SENDING: [
        (e.AttemptOpened(7, ATTEMPT), Step.CHECKING),
        (turned(Ending.UNAVAILABLE), Step.DENIED),
        (e.Cancelled(), Step.ATTRACT),
        (e.TimedOut(), Step.DENIED),
    ],
    Step.CHECKING: [
        (GRANTED, Step.GRANTED),
        (e.Changed(7, "Done."), None),
        (turned(Ending.DENIED), Step.DENIED),
        (turned(Ending.START_AGAIN), Step.DENIED),
        (turned(Ending.MALFORMED), Step.DENIED),
        (turned(Ending.UNAVAILABLE), Step.DENIED),
        (turned(Ending.UNCERTAIN), Step.DENIED),
        (turned(Ending.NOT_PROVEN), Step.DENIED),
        (turned(Ending.LOCKED), Step.LOCKED),
        (turned(Ending.CAPTURE_AGAIN), Step.CAPTURE_AGAIN),
        (turned(Ending.KIOSK_REFUSED), Step.OUT_OF_SERVICE),
        (e.Cancelled(), Step.ATTRACT),
        (e.TimedOut(), Step.DENIED),
    ],
    Step.CAPTURE_AGAIN: [
        (e.Entered(), Step.FACE),
        (e.TimedOut(), Step.FACE),
        (e.Cancelled(), Step.ATTRACT),
        MORE,
        *BROKEN_OFF,
    ],
    Step.GRANTED: [*RESULT, (e.DoorFailed(7), None)],
    Step.DONE: RESULT,
    Step.WAITING: RESULT,
    Step.DENIED: RESULT,
    Step.LOCKED: RESULT,
    Step.TIMED_OUT: [
        (e.Typed("x"), None),
        (e.Erased(), None),
        (e.Cleared(), None),
        (e.Entered(), Step.NAME),
        (e.Cancelled(), Step.ATTRACT),
        (e.TimedOut(), Step.ATTRACT),
    ],
    Step.OUT_OF_SERVICE: [
        (e.ServiceUp(), Step.ATTRACT),
        (e.ServiceDown(Ending.UNAVAILABLE, "Still down."), None),
        (e.Cancelled(), None),
    ],
}
TRANSITIONS = [(step, event, to or step) for step, pairs in MACHINE.items() for event, to in pairs]


@pytest.mark.parametrize(("step", "event", "expected"), TRANSITIONS)
def test_each_transition(step: Step, event: Event, expected: Step) -> None:
    after, _ = advance(AT[step], event)
    assert after.step is expected


def test_the_table_above_is_the_whole_machine() -> None:
    assert {(step, type(event)) for step, event, _ in TRANSITIONS} == set(TABLE)
    assert set(AT) == set(Step)


def test_cancel_is_possible_wherever_a_person_waits_or_types() -> None:
    assert {step for step, event in TABLE if event is e.Cancelled} == set(Step)


def test_every_step_but_rest_and_out_of_service_ends_by_itself() -> None:
    assert {step for step, event in TABLE if event is e.TimedOut} == set(Step) - {Step.ATTRACT, Step.OUT_OF_SERVICE}


# --- whole sessions


MENU_KEYS = {
    Action.LOGIN: "1",
    Action.REGISTER: "2",
    Action.RECOVER_TOTP: "31",
    Action.RECOVER_PASSWORD: "32",
    Action.RECOVER_FACE: "33",
    Action.UPDATE_MAC: "34",
    Action.APPROVE: "4",
    Action.CANCEL: "5",
}
ANSWERS = {
    Step.NAME: "Alice",
    Step.PERSON: "Bob",
    Step.PERMISSION: "0123-4567-89ab-cdef",
    Step.PASSWORD: "Secret-Pass",
    Step.NEW_PASSWORD: "Newer-Pass",
    Step.REPEAT: "Newer-Pass",
    Step.CODE: "424242",
}
ENTERED = {
    Action.LOGIN: Entries(name="alice", password="Secret-Pass", code="424242"),
    Action.REGISTER: Entries(name="alice", permission=TICKET, new_password="Newer-Pass", repeated="Newer-Pass"),
    Action.RECOVER_TOTP: Entries(name="alice", password="Secret-Pass"),
    Action.RECOVER_PASSWORD: Entries(name="alice", new_password="Newer-Pass", repeated="Newer-Pass", code="424242"),
    Action.RECOVER_FACE: Entries(name="alice", password="Secret-Pass", code="424242"),
    Action.UPDATE_MAC: Entries(name="alice", password="Secret-Pass", code="424242"),
    Action.APPROVE: Entries(name="alice", person="bob", password="Secret-Pass", code="424242"),
    Action.CANCEL: Entries(name="alice", password="Secret-Pass", code="424242"),
}
FRAMES = (b"jpeg",) * 5


def play(session: Session, *events: Event) -> tuple[Session, list]:
    """The session after events, which get its ticket, and all effects."""
    seen = []
    for event in events:
        if hasattr(event, "ticket"):
            event = replace(event, ticket=session.ticket)
        session, effects = advance(session, event)
        seen += effects
    return session, seen


def entered(session: Session) -> Session:
    """Every entry of the session's action typed, to where the attempt is being opened."""
    while session.step in ANSWERS:
        session, _ = play(session, *map(e.Typed, ANSWERS[session.step]), e.Entered())
    return session


def submitted(session: Session) -> tuple[Session, Submit]:
    """From the last entry to the submission."""
    session, effects = play(session, e.AttemptOpened(0, ATTEMPT))
    if session.step is not Step.CHECKING:
        session, effects = play(session, e.Captured(0, FRAMES))
    (submission,) = effects
    return session, submission


def confirming() -> Session:
    """A recovery of the authenticator app, at its QR code."""
    session, _ = submitted(entered(Session(Step.NAME, 7, Action.RECOVER_TOTP)))
    return play(session, e.Changed(0, "Scan it.", e.Waits((Need.CODE,), WAITS.expires_at), SECRET))[0]


@pytest.mark.parametrize("action", MENU_KEYS)
def test_each_action_asks_for_what_its_message_holds_and_sends_it_once(action: Action) -> None:
    session, _ = play(Session(ticket=7), e.Entered(), *map(e.Typed, MENU_KEYS[action]))
    assert (session.step, session.action) == (Step.NAME, action)
    session = entered(session)
    ticket, flow = session.ticket, FLOWS[action]
    takes_pictures = flow[-1] in {Step.FACE, Step.ENROL}
    assert session.step is (flow[-1] if takes_pictures else Step.SENDING)
    session, effects = play(session, e.AttemptOpened(0, ATTEMPT))
    if takes_pictures:
        assert effects == [Capture(ticket, is_enrolment=flow[-1] is Step.ENROL)]
        session, effects = play(session, e.Captured(0, FRAMES))
    frames = FRAMES if takes_pictures else ()
    assert effects == [Submit(ticket, action, ATTEMPT, ENTERED[action], frames)]
    assert session.step is Step.CHECKING


def test_the_flows_and_the_contract_agree() -> None:
    """Every member of a message is asked for by a step of its action, and none in vain."""
    by_step = {
        Step.NAME: {"username"},
        Step.PERSON: {"person"},
        Step.PERMISSION: {"permission"},
        Step.PASSWORD: {"password"},
        Step.NEW_PASSWORD: {"new_password"},
        Step.REPEAT: set(),
        Step.CODE: {"totp"},
        Step.FACE: {"frames", "marks"},
        Step.ENROL: {"new_frames", "marks"},
        Step.QR: {"new_totp", "change_id", "username"},
    }
    assert set(FLOWS) == set(SUBMISSIONS)
    for action, flow in FLOWS.items():
        asked = set().union(*(by_step[step] for step in flow))
        own = GATEWAY_MEMBERS | {"attempt_id", "mac", "client_ts_utc"}
        assert asked == set(SUBMISSIONS[action].model_fields) - own, action


def test_every_action_but_a_confirmation_is_in_a_menu() -> None:
    shown = {option for options in MENUS.values() for option in options if isinstance(option, Action)}
    assert shown == set(Action) - {Action.CONFIRM}


def test_a_whole_login_asks_for_each_effect_once_and_in_order() -> None:
    session, seen = Session(), []
    keys = [*map(e.Typed, "Alice"), e.Entered(), *map(e.Typed, "Secret-Pass"), e.Entered(), *map(e.Typed, "424242")]
    for event in [*keys, e.Entered()]:
        session, effects = advance(session, event)
        seen += effects
    ticket = session.ticket
    for event in [e.AttemptOpened(ticket, ATTEMPT), e.Captured(ticket, (b"jpeg",)), e.Granted(ticket, PROOF, "Hello.")]:
        session, effects = advance(session, event)
        seen += effects
    granted = Outcome(Ending.GRANTED, "Hello.", "alice", None, PROOF)
    assert seen == [
        OpenAttempt(ticket, Action.LOGIN, "alice"),
        Capture(ticket),
        Submit(ticket, Action.LOGIN, ATTEMPT, ENTERED[Action.LOGIN], (b"jpeg",)),
        OpenDoor(PROOF),
        Report(granted),
    ]
    assert session.outcome == replace(granted, assertion=None), "the token goes to the caller and stays nowhere"


def test_a_program_that_asks_for_a_login_gets_no_menu() -> None:
    assert advance(Session(ticket=7), e.Begun(Action.LOGIN))[0] == Session(Step.NAME, 8)


# --- a change, done or waiting


@pytest.mark.parametrize("action", [action for action in ENTERED if action is not Action.LOGIN])
@pytest.mark.parametrize(("waits", "step"), [(None, Step.DONE), (WAITS, Step.WAITING)])
def test_a_change_is_done_or_waits_and_opens_no_door(action: Action, waits: e.Waits | None, step: Step) -> None:
    session, _ = submitted(entered(Session(Step.NAME, 7, action)))
    session, effects = play(session, e.Changed(0, "A sentence.", waits))
    ending = Ending.CHANGED if waits is None else Ending.PENDING
    outcome = Outcome(ending, "A sentence.", "alice", action=action, waits=waits)
    assert (session.step, session.outcome, session.has_secret) == (step, outcome, False)
    assert effects == [Report(outcome)]


@pytest.mark.parametrize("action", [action for action in ENTERED if action is not Action.LOGIN])
def test_a_grant_of_a_login_means_nothing_while_something_else_is_checked(action: Action) -> None:
    session = replace(CHECKING_CHANGE, action=action)
    assert advance(session, GRANTED) == (session, ())


def test_a_change_means_nothing_while_a_login_is_checked() -> None:
    for event in (e.Changed(7, "Done."), e.Changed(7, "Scan.", WAITS, SECRET)):
        assert advance(AT[Step.CHECKING], event) == (AT[Step.CHECKING], ())


# --- a new secret and its first code


@pytest.mark.parametrize("action", [Action.REGISTER, Action.RECOVER_TOTP])
def test_a_new_secret_is_confirmed_by_a_code_through_an_attempt_of_its_own(action: Action) -> None:
    session, _ = submitted(entered(Session(Step.NAME, 7, action)))
    session, effects = play(session, e.Changed(0, "Scan it.", e.Waits((Need.CODE,), WAITS.expires_at), SECRET))
    assert (session.step, session.secret, session.entries, effects) == (Step.QR, SECRET, NAMED, [])
    session, effects = play(session, *map(e.Typed, "123456"), e.Entered())
    assert (session.step, effects) == (Step.SENDING, [OpenAttempt(7, Action.CONFIRM, "alice")])
    session, submission = submitted(session)
    assert submission == Submit(7, Action.CONFIRM, ATTEMPT, replace(NAMED, code="123456"), change_id=SECRET.change_id)
    session, _ = play(session, e.Changed(0, "Done."))
    assert (session.step, session.has_secret) == (Step.DONE, False)
    assert session.outcome is not None and session.outcome.action is action, "worded by what was asked for"


def test_a_wrong_first_code_can_be_typed_again_a_limited_number_of_times() -> None:
    session, told = confirming(), []
    while session.step is Step.QR and len(told) < 9:
        session, _ = play(session, *map(e.Typed, "000000"), e.Entered())
        session, _ = submitted(session)
        session, _ = play(session, turned(Ending.DENIED))
        told.append(session.problem)
        assert session.entries.code == ""
    assert (session.step, session.has_secret, len(told)) == (Step.DENIED, False, CONFIRM_TRIES)
    assert told[0] == "That was not the code. 4 tries are left"
    assert told[-2] == "That was not the code. 1 try is left"


@pytest.mark.parametrize("ending", [Ending.START_AGAIN, Ending.UNCERTAIN, Ending.MALFORMED, Ending.NOT_PROVEN])
def test_a_confirmation_that_cannot_succeed_ends(ending: Ending) -> None:
    after, _ = advance(CONFIRMING, turned(ending))
    assert (after.step, after.has_secret) == (Step.DENIED, False)


@pytest.mark.parametrize("step", [Step.SENDING, Step.CHECKING])
def test_a_busy_server_does_not_cost_the_new_secret(step: Step) -> None:
    after, _ = advance(replace(CONFIRMING, step=step), turned(Ending.UNAVAILABLE))
    assert (after.step, after.secret, after.entries) == (Step.QR, SECRET, NAMED)
    assert after.problem == "A sentence. Please type the code once more"


def test_keys_at_the_qr_code() -> None:
    session, _ = play(AT[Step.QR], e.Cleared(), e.Typed("s"))
    assert (session.is_spelt, session.entries.code) == (True, "")
    session, _ = play(session, e.Typed("S"), e.Typed("m"), e.Typed("M"), e.Typed("x"))
    assert (session.is_spelt, session.extensions, session.problem) == (False, 2, "Digits only")


def test_a_confirmed_secret_may_still_wait_for_an_approval() -> None:
    after, _ = advance(CONFIRMING, e.Changed(7, "Wait.", WAITS))
    assert (after.step, after.has_secret) == (Step.WAITING, False)


def test_a_secret_that_nobody_asked_for_is_not_shown() -> None:
    after, _ = advance(CHECKING_CHANGE, e.Changed(7, "Scan.", WAITS, SECRET))
    assert (after.step, after.secret) == (Step.WAITING, None)


# --- what the server calls malformed


def test_a_refused_new_password_is_chosen_again_and_the_code_is_fresh() -> None:
    rule = "a password has at least 8 characters"
    before = replace(CHECKING_CHANGE, captures=2)
    after, effects = advance(before, turned(Ending.MALFORMED, member="new_password", rule=rule))
    assert (after.step, after.problem, effects) == (Step.NEW_PASSWORD, "A password has at least 8 characters", ())
    assert after.entries == replace(before.entries, new_password="", repeated="", code="")
    after, effects = play(entered(after), e.AttemptOpened(0, ATTEMPT))
    assert effects == [Capture(7)], "a fresh attempt, and pictures of its own"
    assert after.captures == 0


def test_a_name_that_is_taken_is_asked_for_again_and_nothing_else() -> None:
    before = replace(REGISTER, step=Step.CHECKING, captures=1)
    event = turned(Ending.MALFORMED, member="username", rule="is the name of an account already: choose another")
    after, _ = advance(before, event)
    problem = "alice is the name of an account already: choose another"
    assert (after.step, after.problem) == (Step.NAME, problem)
    assert after.entries == replace(before.entries, name="")
    after, effects = play(after, *map(e.Typed, "alina"), e.Entered())
    assert (after.step, effects) == (Step.ENROL, [OpenAttempt(7, Action.REGISTER, "alina")])
    assert after.entries == replace(before.entries, name="alina")


def test_a_person_without_a_request_is_asked_for_again() -> None:
    before = replace(AT[Step.CHECKING], action=Action.APPROVE, entries=ENTERED[Action.APPROVE])
    after, _ = advance(before, turned(Ending.MALFORMED, member="person", rule="has no request that waits"))
    assert (after.step, after.problem) == (Step.PERSON, "bob has no request that waits")
    assert after.entries == Entries(name="alice", password="Secret-Pass")


@pytest.mark.parametrize(
    ("member", "rule", "message"),
    [
        ("username", "has no change that could be cancelled", "alice has no change that could be cancelled."),
        ("action", "cancel is switched off at this site", "This is switched off at this site."),
        ("frames.0", "a frame is a whole JPEG", "A frame is a whole JPEG."),
    ],
)
def test_anything_else_malformed_ends_with_its_rule(member: str, rule: str, message: str) -> None:
    before = replace(AT[Step.CHECKING], action=Action.CANCEL)
    after, _ = advance(before, turned(Ending.MALFORMED, member=member, rule=rule))
    assert after.step is Step.DENIED
    assert after.outcome is not None and after.outcome.message == message


def test_two_new_passwords_that_differ_are_both_typed_again() -> None:
    before = replace(AT[Step.REPEAT], entries=replace(AT[Step.REPEAT].entries, repeated="Other-Pass"))
    after, effects = advance(before, e.Entered())
    assert (after.step, effects) == (Step.NEW_PASSWORD, ())
    assert (after.entries, after.problem) == (NAMED, "The two were not the same. Please choose it again")


def test_two_spellings_of_one_new_password_are_the_same() -> None:
    entries = replace(NAMED, new_password="caf\u00e9-Pass", repeated="cafe\u0301-Pass")
    assert advance(replace(AT[Step.REPEAT], entries=entries), e.Entered())[0].step is Step.CODE


@pytest.mark.parametrize("event", [e.Cancelled(), e.TimedOut()])
def test_who_leaves_while_a_change_is_checked_is_told_that_it_may_be_done(event: Event) -> None:
    after, _ = advance(CHECKING_CHANGE, event)
    assert after.outcome is not None
    assert (after.step, after.outcome.ending, after.has_secret) == (Step.DENIED, Ending.UNCERTAIN, False)


# --- entries


@pytest.mark.parametrize(
    ("step", "entry", "problem"),
    [
        (Step.NAME, "", "A name has 1 to 64 characters"),
        (Step.NAME, "a\u202eb", "A name has letters, digits, space"),
        (Step.PERSON, "", "A name has 1 to 64 characters"),
        (Step.PERSON, "Alice", "Somebody else must approve what you asked for"),
        (Step.PERMISSION, "0123-4567", "An enrolment ticket has 16 letters and digits"),
        (Step.PERMISSION, "U" * 16, "An enrolment ticket has 16 letters and digits"),
        (Step.PASSWORD, "", "Please enter your password"),
        (Step.PASSWORD, "\u00e9" * 37, "A password has at most 72 bytes"),
        (Step.NEW_PASSWORD, "", "Please enter a new password"),
        (Step.NEW_PASSWORD, "\u00e9" * 37, "A password has at most 72 bytes"),
        (Step.REPEAT, "", "Please enter the new password once more"),
        (Step.CODE, "12345", "The code has 6 digits"),
        (Step.QR, "12345", "The code has 6 digits"),
    ],
)
def test_an_entry_that_the_server_would_call_malformed_stays_here(step: Step, entry: str, problem: str) -> None:
    before = replace(AT[step], entries=replace(AT[step].entries, **{FIELDS[step]: entry}))
    after, effects = advance(before, e.Entered())
    assert (after.step, effects) == (step, ())
    assert after.problem.startswith(problem)
    assert not entry or entry not in after.problem


@pytest.mark.parametrize(
    ("step", "typed", "kept"),
    [
        (Step.NAME, "n" * 70, 64),
        (Step.PERMISSION, "p" * 41, 40),
        (Step.PASSWORD, "p" * 80, 72),
        (Step.NEW_PASSWORD, "p" * 80, 72),
        (Step.CODE, "1234567", 6),
        (Step.CODE, "12\u0663b", 2),
        (Step.QR, "1234567", 6),
    ],
)
def test_an_entry_has_a_longest_length_and_a_code_has_ascii_digits(step: Step, typed: str, kept: int) -> None:
    session = replace(AT[step], entries=Entries())
    for character in typed:
        session, _ = advance(session, e.Typed(character))
    assert len(session.entry) == kept
    assert session.problem


def test_backspace_and_clear() -> None:
    session, _ = advance(AT[Step.CODE], e.Erased())
    assert session.entries.code == "42424"
    session, _ = advance(session, e.Cleared())
    assert session.entries.code == ""
    assert advance(session, e.Erased())[0].entries.code == ""


@pytest.mark.parametrize("step", FIELDS)
def test_what_is_still_typed_when_an_entry_timed_out_is_kept_nowhere(step: Step) -> None:
    session, effects = advance(AT[step], e.TimedOut())
    action = AT[step].action
    assert effects == (Report(Outcome(Ending.TIMED_OUT, "That took too long.", action=action)),)
    for event in [*map(e.Typed, "rest of it"), e.Erased(), e.Cleared()]:
        before = session
        session, effects = advance(session, event)
        assert (session.entry, session.has_secret, effects) == ("", False, ())
        assert session == replace(before, ticket=before.ticket + 1), "each key begins the wait for silence anew"
    assert advance(session, e.Entered())[0] == Session(Step.NAME, session.ticket + 1, action)


def test_pictures_are_taken_again_a_limited_number_of_times() -> None:
    session = AT[Step.CHECKING]
    rounds = 1
    while session.step is not Step.DENIED and rounds < 10:
        session, _ = advance(session, turned(Ending.CAPTURE_AGAIN))
        if session.step is Step.CAPTURE_AGAIN:
            assert session.has_secret, "the person need not type again"
            for event in (e.TimedOut(), e.AttemptOpened(7, ATTEMPT), e.Captured(7, (b"jpeg",))):
                session, _ = advance(session, event)
            rounds += 1
    assert rounds == CAPTURES_MAX
    assert session.outcome is not None and session.outcome.ending is Ending.CAPTURE_AGAIN


def test_pictures_that_the_kiosk_itself_turns_down_count_as_a_round() -> None:
    """Else a person who went away would leave password and code in a kiosk that waits for a face for ever."""
    session = AT[Step.FACE]
    for rounds in range(1, CAPTURES_MAX + 1):
        session, effects = advance(session, e.Unfit(7, CaptureHint.NO_FACE, "No face is seen."))
        assert not any(isinstance(effect, Submit) for effect in effects)
        if rounds < CAPTURES_MAX:
            assert (session.step, session.has_secret) == (Step.CAPTURE_AGAIN, True)
            session, _ = advance(session, e.TimedOut())
            session, _ = advance(session, e.AttemptOpened(7, ATTEMPT))
    assert (session.step, session.has_secret) == (Step.DENIED, False)


def test_movements_are_recorded_shown_one_by_one_and_sent_with_their_marks() -> None:
    asked = ATTEMPT.model_copy(update={"movements": (Movement.BLINK, Movement.TURN_LEFT)})
    marks = tuple(FrameMark(at_ms=place, part=place) for place in range(4))
    session, effects = advance(replace(AT[Step.FACE], attempt=None), e.AttemptOpened(7, asked, 12.5))
    assert effects == (Capture(7, False, (Movement.BLINK, Movement.TURN_LEFT), 12.5),)
    session, _ = advance(session, e.Guided(7, 2, CaptureHint.TOO_DARK, 5))
    assert (session.part, session.hint, session.seconds_left) == (2, CaptureHint.TOO_DARK, 5)
    after, (submission,) = advance(session, e.Captured(7, (b"jpeg",) * 4, marks))
    assert isinstance(submission, Submit)
    assert (after.step, submission.marks, len(submission.frames)) == (Step.CHECKING, marks, 4)
    again, _ = play(after, turned(Ending.CAPTURE_AGAIN), e.Entered())
    assert (again.part, again.hint, again.seconds_left) == (0, None, None), "from the beginning"


def test_an_enrolment_that_cannot_be_used_is_taken_again_from_its_first_picture() -> None:
    session = replace(REGISTER, step=Step.CHECKING, captures=1, pictures=4)
    session, effects = play(session, turned(Ending.CAPTURE_AGAIN), e.Entered())
    assert (session.step, session.pictures) == (Step.ENROL, 0)
    assert effects == [OpenAttempt(7, Action.REGISTER, "alice")]


def test_an_action_without_pictures_takes_none_whatever_the_server_says() -> None:
    after, _ = advance(replace(AT[Step.CHECKING], action=Action.CANCEL), turned(Ending.CAPTURE_AGAIN))
    assert after.step is Step.DENIED


@pytest.mark.parametrize("late", [GRANTED, turned(Ending.DENIED), e.AttemptOpened(7, ATTEMPT), e.Captured(7, (b"j",))])
@pytest.mark.parametrize("leave", [e.Cancelled(), e.TimedOut()])
def test_what_arrives_after_its_session_ended_is_ignored(leave: Event, late: Event) -> None:
    """A grant that comes after the person cancelled or another began opens no door."""
    session, _ = advance(AT[Step.CHECKING], leave)
    assert advance(session, late) == (session, ())
    session, _ = advance(session, e.Cancelled())
    for event in (e.Typed("b"), e.Entered(), e.Typed("p"), e.Entered()):
        session, _ = advance(session, event)
        assert advance(session, late) == (session, ())
    while session.step is not Step.CHECKING:
        ticket = session.ticket
        events = [*map(e.Typed, "123456"), e.Entered(), e.AttemptOpened(ticket, ATTEMPT), e.Captured(ticket, (b"j",))]
        for event in events:
            session, _ = advance(session, event)
    assert advance(session, late) == (session, ())


def test_only_a_grant_while_a_login_is_checked_opens_the_door() -> None:
    for step, session in AT.items():
        for action in Action:
            _, effects = advance(replace(session, action=action), GRANTED)
            is_login_checked = step is Step.CHECKING and action is Action.LOGIN
            assert any(isinstance(effect, OpenDoor) for effect in effects) == is_login_checked


TICKETS = st.integers(7, 12)
EVENTS = st.one_of(
    st.builds(e.Typed, st.sampled_from("aA1234569sM \u00e9.")),
    st.sampled_from([e.Erased(), e.Cleared(), e.Entered(), e.Entered(), e.Entered(), e.Cancelled(), e.TimedOut()]),
    st.builds(e.Begun, st.sampled_from([action for action in Action if action is not Action.CONFIRM])),
    st.builds(e.AttemptOpened, TICKETS, st.just(ATTEMPT)),
    st.builds(e.Pictured, TICKETS, st.integers(1, 8)),
    st.builds(e.Guided, TICKETS, st.integers(0, 5), st.sampled_from([None, *CaptureHint]), st.sampled_from([None, 3])),
    st.builds(e.Captured, TICKETS, st.just((b"jpeg",))),
    st.builds(e.Unfit, TICKETS, st.sampled_from(CaptureHint), st.just("Too dark.")),
    st.builds(e.CameraFailed, TICKETS),
    st.builds(e.Granted, TICKETS, st.just(PROOF), st.just("Welcome.")),
    st.builds(
        e.Changed, TICKETS, st.just("Done."), st.sampled_from([None, WAITS]), st.sampled_from([None, SECRET, SECRET])
    ),
    st.builds(
        lambda t, x, m: turned(x, t, member=m, rule="a rule" if m else ""),
        TICKETS,
        st.sampled_from([x for x in Ending if x not in {Ending.GRANTED, Ending.CHANGED, Ending.PENDING}]),
        st.sampled_from(["", "username", "new_password", "person"]),
    ),
    st.sampled_from([DOWN, NO_KEYPAD, e.ServiceUp(), e.MoreTime(), e.Concealed(), e.ModeShown("abc")]),
)
STARTS = [
    *AT.values(),
    CHECKING_CHANGE,
    CONFIRMING,
    *(replace(session, is_client=True) for session in AT.values()),
    *(replace(AT[Step.CHECKING], action=action, entries=FULL) for action in ENTERED),
]
RESULTS = {Step.GRANTED, Step.DONE, Step.WAITING, Step.DENIED, Step.LOCKED, Step.TIMED_OUT, Step.OUT_OF_SERVICE}
SECRETS = ("Secret-Pass", "Newer-Pass", TICKET, "424242", "JBSWY3", "the.secret.token", "C" * 22, "N" * 22)


@given(start=st.sampled_from(STARTS), events=st.lists(EVENTS, max_size=60))
def test_no_sequence_of_events_keeps_a_secret_or_gets_stuck(start: Session, events: list[Event]) -> None:
    session = start
    for event in events:
        before = session
        session, effects = advance(session, event)
        if session.step in {Step.ATTRACT, *MENUS}:
            bare = Session(session.step, session.ticket, problem=session.problem, mode=session.mode)
            is_there = session.step is not Step.ATTRACT or session.is_client
            in_menu = {"language": session.language} if is_there else {}
            bare = replace(bare, extensions=session.extensions, is_client=start.is_client, **in_menu)
            assert session == bare, "at rest and in a menu nothing is left of anyone, but a language in a menu"
        assert not any(isinstance(effect, Leave) for effect in effects) or start.is_client, "nobody ends a kiosk"
        if session.step in RESULTS:
            assert not session.has_secret
            assert session.outcome is not None and session.outcome.assertion is None
        if session.step is Step.QR:
            assert session.secret is not None
            assert replace(session.entries, code="") == Entries(name=session.entries.name)
        if any(isinstance(effect, OpenDoor) for effect in effects):
            assert isinstance(event, e.Granted) and event.ticket == before.ticket
            assert (before.step, before.action, before.secret) == (Step.CHECKING, Action.LOGIN, None)
        shown = repr((session, effects))
        assert not any(secret in shown for secret in SECRETS)
    for _ in range(4 * CAPTURES_MAX):
        session, _ = advance(session, e.TimedOut())
    session, _ = advance(session, e.ServiceUp())
    bare = Session(ticket=session.ticket, mode=session.mode)
    if start.is_client:  # whoever chose a language, or a line that there is not, is still there
        bare = replace(bare, is_client=True, language=session.language, problem=session.problem)
    assert session == bare, "time alone, and a server that comes back, lead to rest"


def test_events_and_effects_show_no_secret() -> None:
    shown = repr(
        [
            e.Typed("S"),
            AT[Step.CODE],
            GRANTED,
            e.Captured(1, (b"jpegjpeg",)),
            Submit(1, Action.REGISTER, ATTEMPT, FULL, (b"jpegjpeg",), change_id=SECRET.change_id),
            e.Changed(1, "Scan it.", WAITS, SECRET),
            AT[Step.QR],
            CHECKING_CHANGE,
            Outcome(Ending.GRANTED, "Welcome.", "alice", None, PROOF),
        ]
    )
    for secret in ("'S'", "jpegjpeg", *SECRETS):
        assert secret not in shown


# --- language, time, what is shown for a moment


SPANISH = [e.Cleared(), e.Typed("2")]


def test_a_language_holds_for_one_person_and_no_longer() -> None:
    session, _ = play(Session(), *SPANISH)
    assert (session.step, session.language) == (Step.MENU, Language.SPANISH)
    session, _ = play(session, e.Entered(), *map(e.Typed, "Alice"), e.Entered())
    assert (session.step, session.language) == (Step.PASSWORD, Language.SPANISH)
    denied, _ = play(session, e.TimedOut())
    assert (denied.step, denied.language) == (Step.TIMED_OUT, Language.SPANISH), "what went wrong is read in it too"
    for ending in (e.Cancelled(), e.TimedOut()):
        assert play(denied, ending)[0].language is None, "the next person may speak another"


@pytest.mark.parametrize("leave", [e.Cancelled(), e.Typed("7"), e.TimedOut()])
def test_who_leaves_the_language_menu_changes_nothing(leave) -> None:
    session, _ = play(Session(), e.Cleared(), leave)
    assert (session.step, session.language) == (Step.ATTRACT, None)


@pytest.mark.parametrize("step", [Step.NAME, Step.PASSWORD, Step.CODE, Step.QR, Step.MENU, Step.WAITING])
def test_more_time_is_given_ten_times_and_not_for_ever(step) -> None:
    session, _ = play(AT[step], *[e.MoreTime()] * EXTENSIONS_MAX)
    assert (session.extensions, session.problem) == (EXTENSIONS_MAX, "")
    session, _ = play(session, e.MoreTime())
    assert (session.extensions, session.problem) == (EXTENSIONS_MAX, "There is no more time for this step")


def test_the_next_step_has_its_own_ten() -> None:
    session, _ = play(AT[Step.NAME], e.MoreTime(), e.Entered())
    assert (session.step, session.extensions) == (Step.PASSWORD, 0)


def test_the_last_character_typed_is_shown_until_it_is_hidden_erased_or_entered() -> None:
    typed, _ = play(AT[Step.PASSWORD], e.Typed("x"))
    assert typed.is_revealed
    for after in (e.Concealed(), e.Erased(), e.Cleared(), e.Entered()):
        assert not play(typed, after)[0].is_revealed, after
    assert not any(session.is_revealed for session in AT.values())


# While something is sent and checked, its own time-out ends the session, and what comes of it is still told.
@pytest.mark.parametrize(
    "step", [step for step, session in AT.items() if session.has_secret and (step, e.ServiceDown) in TABLE]
)
def test_a_keypad_that_is_gone_ends_the_session_with_its_secrets(step) -> None:
    session, effects = play(AT[step], NO_KEYPAD)
    assert (session.step, session.has_secret, session.entries) == (Step.OUT_OF_SERVICE, False, Entries())
    assert session.outcome.cause is e.Cause.KEYPAD
    assert [effect.outcome.ending for effect in effects] == [Ending.KEYPAD_FAULT]


def test_at_an_empty_first_code_clear_spells_the_secret_out_as_a_number_pad_has_no_s() -> None:
    session, _ = play(replace(AT[Step.QR], entries=Entries(name="alice")), e.Cleared())
    assert session.is_spelt
    session, _ = play(session, e.Typed("4"), e.Cleared())
    assert (session.is_spelt, session.entry) == (True, "")
    assert not play(session, e.Cleared())[0].is_spelt
