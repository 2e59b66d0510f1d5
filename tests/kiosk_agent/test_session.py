"""The session machine, read as a table and then let loose on random events."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth_contract.messages import AttemptReply
from kiosk_agent import events as e
from kiosk_agent.events import Ending, Event, Outcome, Step
from kiosk_agent.session import CAPTURES_MAX, TABLE, Session, advance

ATTEMPT = AttemptReply(attempt_id="A" * 22, nonce="N" * 22, expires_at=datetime(2026, 11, 22, 9, 31, tzinfo=UTC))
PROOF = e.VerifiedAssertion("alice", "j-1", "the.secret.token")
TYPED = Session(Step.NAME, 7, name="alice")
AT = {
    Step.ATTRACT: Session(ticket=7),
    Step.NAME: TYPED,
    Step.PASSWORD: replace(TYPED, step=Step.PASSWORD, password="Secret-Pass"),
    Step.CODE: replace(TYPED, step=Step.CODE, password="Secret-Pass", code="424242"),
    Step.FACE: replace(TYPED, step=Step.FACE, password="Secret-Pass", code="424242", attempt=ATTEMPT),
    Step.CHECKING: replace(TYPED, step=Step.CHECKING, password="Secret-Pass", code="424242", captures=1),
    Step.CAPTURE_AGAIN: replace(TYPED, step=Step.CAPTURE_AGAIN, password="Secret-Pass", code="424242", captures=1),
    Step.GRANTED: Session(Step.GRANTED, 7, outcome=Outcome(Ending.GRANTED, "Welcome.", "alice")),
    Step.DENIED: Session(Step.DENIED, 7, outcome=Outcome(Ending.DENIED, "No.")),
    Step.LOCKED: Session(Step.LOCKED, 7, outcome=Outcome(Ending.LOCKED, "Wait.", retry_after_s=30)),
    Step.TIMED_OUT: Session(Step.TIMED_OUT, 7, outcome=Outcome(Ending.TIMED_OUT, "Too long.")),
    Step.OUT_OF_SERVICE: Session(Step.OUT_OF_SERVICE, 7, outcome=Outcome(Ending.UNAVAILABLE, "Down.")),
}
GRANTED = e.Granted(7, PROOF, "Welcome.")


def turned(ending: Ending, ticket: int = 7) -> e.Turned:
    return e.Turned(ticket, ending, "A sentence.", 30 if ending is Ending.LOCKED else None)


TRANSITIONS = [
    # from, event, to
    (Step.ATTRACT, e.Typed("a"), Step.NAME),
    (Step.ATTRACT, e.Entered(), Step.NAME),
    (Step.ATTRACT, e.ServiceDown(Ending.UNAVAILABLE, "Down."), Step.OUT_OF_SERVICE),
    (Step.NAME, e.Typed("x"), Step.NAME),
    (Step.NAME, e.Erased(), Step.NAME),
    (Step.NAME, e.Cleared(), Step.NAME),
    (Step.NAME, e.Entered(), Step.PASSWORD),
    (Step.NAME, e.Cancelled(), Step.ATTRACT),
    (Step.NAME, e.TimedOut(), Step.TIMED_OUT),
    (Step.PASSWORD, e.Typed("x"), Step.PASSWORD),
    (Step.PASSWORD, e.Erased(), Step.PASSWORD),
    (Step.PASSWORD, e.Cleared(), Step.PASSWORD),
    (Step.PASSWORD, e.Entered(), Step.CODE),
    (Step.PASSWORD, e.Cancelled(), Step.ATTRACT),
    (Step.PASSWORD, e.TimedOut(), Step.TIMED_OUT),
    (Step.CODE, e.Typed("1"), Step.CODE),
    (Step.CODE, e.Erased(), Step.CODE),
    (Step.CODE, e.Cleared(), Step.CODE),
    (Step.CODE, e.Entered(), Step.FACE),
    (Step.CODE, e.Cancelled(), Step.ATTRACT),
    (Step.CODE, e.TimedOut(), Step.TIMED_OUT),
    (Step.FACE, e.AttemptOpened(7, ATTEMPT), Step.FACE),
    (Step.FACE, e.Captured(7, (b"jpeg",)), Step.CHECKING),
    (Step.FACE, e.CameraFailed(7), Step.DENIED),
    (Step.FACE, turned(Ending.UNAVAILABLE), Step.DENIED),
    (Step.FACE, turned(Ending.KIOSK_REFUSED), Step.OUT_OF_SERVICE),
    (Step.FACE, e.Cancelled(), Step.ATTRACT),
    (Step.FACE, e.TimedOut(), Step.DENIED),
    (Step.CHECKING, GRANTED, Step.GRANTED),
    (Step.CHECKING, turned(Ending.DENIED), Step.DENIED),
    (Step.CHECKING, turned(Ending.START_AGAIN), Step.DENIED),
    (Step.CHECKING, turned(Ending.MALFORMED), Step.DENIED),
    (Step.CHECKING, turned(Ending.UNAVAILABLE), Step.DENIED),
    (Step.CHECKING, turned(Ending.NOT_PROVEN), Step.DENIED),
    (Step.CHECKING, turned(Ending.LOCKED), Step.LOCKED),
    (Step.CHECKING, turned(Ending.CAPTURE_AGAIN), Step.CAPTURE_AGAIN),
    (Step.CHECKING, turned(Ending.KIOSK_REFUSED), Step.OUT_OF_SERVICE),
    (Step.CHECKING, e.Cancelled(), Step.ATTRACT),
    (Step.CHECKING, e.TimedOut(), Step.DENIED),
    (Step.CAPTURE_AGAIN, e.Entered(), Step.FACE),
    (Step.CAPTURE_AGAIN, e.TimedOut(), Step.FACE),
    (Step.CAPTURE_AGAIN, e.Cancelled(), Step.ATTRACT),
    (Step.GRANTED, e.Entered(), Step.ATTRACT),
    (Step.GRANTED, e.Cancelled(), Step.ATTRACT),
    (Step.GRANTED, e.TimedOut(), Step.ATTRACT),
    (Step.DENIED, e.Entered(), Step.ATTRACT),
    (Step.DENIED, e.Cancelled(), Step.ATTRACT),
    (Step.DENIED, e.TimedOut(), Step.ATTRACT),
    (Step.LOCKED, e.Entered(), Step.ATTRACT),
    (Step.LOCKED, e.Cancelled(), Step.ATTRACT),
    (Step.LOCKED, e.TimedOut(), Step.ATTRACT),
    (Step.TIMED_OUT, e.Typed("x"), Step.TIMED_OUT),
    (Step.TIMED_OUT, e.Erased(), Step.TIMED_OUT),
    (Step.TIMED_OUT, e.Cleared(), Step.TIMED_OUT),
    (Step.TIMED_OUT, e.Entered(), Step.NAME),
    (Step.TIMED_OUT, e.Cancelled(), Step.ATTRACT),
    (Step.TIMED_OUT, e.TimedOut(), Step.ATTRACT),
    (Step.OUT_OF_SERVICE, e.ServiceUp(), Step.ATTRACT),
    (Step.OUT_OF_SERVICE, e.ServiceDown(Ending.UNAVAILABLE, "Still down."), Step.OUT_OF_SERVICE),
]


@pytest.mark.parametrize(("step", "event", "expected"), TRANSITIONS)
def test_each_transition(step: Step, event: Event, expected: Step) -> None:
    after, _ = advance(AT[step], event)
    assert after.step is expected


def test_the_table_above_is_the_whole_machine() -> None:
    assert {(step, type(event)) for step, event, _ in TRANSITIONS} == set(TABLE)


def test_cancel_is_possible_wherever_a_person_waits_or_types() -> None:
    assert {step for step, event in TABLE if event is e.Cancelled} == set(Step) - {Step.ATTRACT, Step.OUT_OF_SERVICE}


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
        e.OpenAttempt(ticket),
        e.Capture(ticket),
        e.Submit(ticket, ATTEMPT, "alice", "Secret-Pass", "424242", (b"jpeg",)),
        e.OpenDoor(PROOF),
        e.Report(granted),
    ]
    assert session.outcome == replace(granted, assertion=None), "the token goes to the caller and stays nowhere"


@pytest.mark.parametrize(
    ("step", "entry", "problem"),
    [
        (Step.NAME, "", "A name has 1 to 64 characters"),
        (Step.NAME, "a\u202eb", "A name has letters, digits, space"),
        (Step.PASSWORD, "", "Please enter your password"),
        (Step.PASSWORD, "\u00e9" * 37, "A password has at most 72 bytes"),
        (Step.CODE, "12345", "The code has 6 digits"),
    ],
)
def test_an_entry_that_the_server_would_call_malformed_stays_here(step: Step, entry: str, problem: str) -> None:
    field = {Step.NAME: "name", Step.PASSWORD: "password", Step.CODE: "code"}[step]
    after, effects = advance(replace(AT[step], **{field: entry}), e.Entered())
    assert (after.step, effects) == (step, ())
    assert after.problem.startswith(problem)
    assert not entry or entry not in after.problem


@pytest.mark.parametrize(
    ("step", "typed", "kept"),
    [(Step.NAME, "n" * 70, 64), (Step.PASSWORD, "p" * 80, 72), (Step.CODE, "1234567", 6), (Step.CODE, "12\u0663b", 2)],
)
def test_an_entry_has_a_longest_length_and_a_code_has_ascii_digits(step: Step, typed: str, kept: int) -> None:
    session = replace(AT[step], name="", password="", code="")
    for character in typed:
        session, _ = advance(session, e.Typed(character))
    assert len(session.entry) == kept
    assert session.problem


def test_backspace_and_clear() -> None:
    session, _ = advance(AT[Step.CODE], e.Erased())
    assert session.code == "42424"
    session, _ = advance(session, e.Cleared())
    assert session.code == ""
    assert advance(session, e.Erased())[0].code == ""


@pytest.mark.parametrize("step", [Step.NAME, Step.PASSWORD, Step.CODE])
def test_what_is_still_typed_when_an_entry_timed_out_is_kept_nowhere(step: Step) -> None:
    session, effects = advance(AT[step], e.TimedOut())
    assert effects == (e.Report(Outcome(Ending.TIMED_OUT, "That took too long.")),)
    for event in [*map(e.Typed, "rest of it"), e.Erased(), e.Cleared()]:
        before = session
        session, effects = advance(session, event)
        assert (session.entry, session.has_secret, effects) == ("", False, ())
        assert session == replace(before, ticket=before.ticket + 1), "each key begins the wait for silence anew"
    assert advance(session, e.Entered())[0] == Session(Step.NAME, session.ticket + 1)


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


@pytest.mark.parametrize("late", [GRANTED, turned(Ending.DENIED), e.AttemptOpened(7, ATTEMPT), e.Captured(7, (b"j",))])
@pytest.mark.parametrize("leave", [e.Cancelled(), e.TimedOut()])
def test_what_arrives_after_its_session_ended_is_ignored(leave: Event, late: Event) -> None:
    """A grant that comes after the person cancelled or another began opens no door."""
    session, _ = advance(AT[Step.CHECKING], leave)
    assert advance(session, late) == (session, ())
    for event in (e.Entered(), e.Entered(), e.Typed("b"), e.Entered(), e.Typed("p"), e.Entered()):
        session, _ = advance(session, event)
        assert advance(session, late) == (session, ())
    while session.step is not Step.CHECKING:
        ticket = session.ticket
        events = [*map(e.Typed, "123456"), e.Entered(), e.AttemptOpened(ticket, ATTEMPT), e.Captured(ticket, (b"j",))]
        for event in events:
            session, _ = advance(session, event)
    assert advance(session, late) == (session, ())


def test_only_a_grant_while_checking_opens_the_door() -> None:
    for step, session in AT.items():
        _, effects = advance(session, GRANTED)
        assert any(isinstance(effect, e.OpenDoor) for effect in effects) == (step is Step.CHECKING)


TICKETS = st.integers(0, 12)
EVENTS = st.one_of(
    st.builds(e.Typed, st.sampled_from("aA1 9\u00e9.")),
    st.sampled_from([e.Erased(), e.Cleared(), e.Entered(), e.Entered(), e.Entered(), e.Cancelled(), e.TimedOut()]),
    st.builds(e.AttemptOpened, TICKETS, st.just(ATTEMPT)),
    st.builds(e.Captured, TICKETS, st.just((b"jpeg",))),
    st.builds(e.CameraFailed, TICKETS),
    st.builds(e.Granted, TICKETS, st.just(PROOF), st.just("Welcome.")),
    st.builds(lambda t, x: turned(x, t), TICKETS, st.sampled_from([x for x in Ending if x is not Ending.GRANTED])),
    st.sampled_from([e.ServiceDown(Ending.UNAVAILABLE, "Down."), e.ServiceUp()]),
)
RESULTS = {Step.GRANTED, Step.DENIED, Step.LOCKED, Step.TIMED_OUT, Step.OUT_OF_SERVICE}


@given(start=st.sampled_from(sorted(AT)), events=st.lists(EVENTS, max_size=60))
def test_no_sequence_of_events_keeps_a_secret_or_gets_stuck(start: Step, events: list[Event]) -> None:
    session = AT[start]
    for event in events:
        before = session
        session, effects = advance(session, event)
        if session.step is Step.ATTRACT:
            assert session == Session(ticket=session.ticket), "at rest nothing is left of anyone"
        if session.step in RESULTS:
            assert not session.has_secret
            assert session.outcome is not None and session.outcome.assertion is None
        if any(isinstance(effect, e.OpenDoor) for effect in effects):
            assert isinstance(event, e.Granted) and before.step is Step.CHECKING and event.ticket == before.ticket
        assert "Secret-Pass" not in repr((session, effects)) and "424242" not in repr((session, effects))
    for _ in range(4 * CAPTURES_MAX):
        session, _ = advance(session, e.TimedOut())
    session, _ = advance(session, e.ServiceUp())
    assert session == Session(ticket=session.ticket), "time alone, and a server that comes back, lead to rest"


def test_events_and_effects_show_no_secret() -> None:
    shown = repr(
        [
            e.Typed("S"),
            AT[Step.CODE],
            GRANTED,
            e.Captured(1, (b"jpegjpeg",)),
            e.Submit(1, ATTEMPT, "alice", "Secret-Pass", "424242", (b"jpegjpeg",)),
            Outcome(Ending.GRANTED, "Welcome.", "alice", None, PROOF),
        ]
    )
    for secret in ("'S'", "Secret-Pass", "424242", "jpegjpeg", "the.secret.token", ATTEMPT.nonce):
        assert secret not in shown
