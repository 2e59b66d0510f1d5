"""The session's rules for keys: menus, entries, and the way from one step of an action to the next. Pure."""

from dataclasses import replace
from typing import Final

from auth_contract.actions import Action
from kiosk_agent.effects import Leave, OpenAttempt
from kiosk_agent.events import Begun, Event, ModeShown, Step, Typed
from kiosk_agent.flows import FIELDS, FLOWS, LENGTHS, PICTURES, Option, read_entry
from kiosk_agent.phrases import Language, Phrase
from kiosk_agent.standing import Next, Session, anew, rest, sentence

_DIGITS: Final = "0123456789"

EXTENSIONS_MAX: Final = 10
"""How often a person may ask for more time in one step (WCAG 2.2, success criterion 2.2.1: at least ten times)."""


# --- beginning


def begin(session: Session, action: Action) -> Session:
    """Return a new session at the first step of an action."""
    return anew(session, FLOWS[action][0], action)


def begin_asked(session: Session, event: Begun) -> Next:
    """A program asked for an action: no menu."""
    return begin(session, event.action), ()


def begin_typing(session: Session, event: Typed) -> Next:
    """A letter at rest begins a login, and is the first of the name; at a terminal client a digit chooses."""
    if session.is_at_home:
        return choose(session, event)
    return type_key(begin(session, Action.LOGIN), event)


def begin_again(session: Session, _event: Event) -> Next:
    """The same action from its first step, after it timed out."""
    return begin(session, session.outcome.action if session.outcome else Action.LOGIN), ()


def open_menu(session: Session, event: Event) -> Next:
    """Enter at rest; at a terminal client the menu is there already."""
    if session.is_at_home:
        return choose_first(session, event)
    return anew(session, Step.MENU), ()


def open_languages(session: Session, _event: Event) -> Next:
    """Clear at rest."""
    return anew(session, Step.LANGUAGE), ()


def leave(session: Session, _event: Event) -> Next:
    """Esc at rest or out of service: a person leaves a terminal client, and nobody a kiosk."""
    return session, (Leave(),) if session.is_client else ()


def choose(session: Session, event: Typed) -> Next:
    """A digit in a menu."""
    options = session.options
    place = "123456789".find(event.character)
    if not 0 <= place < len(options):
        return replace(session, problem=Phrase("Press 1 to {last}", last=len(options))), ()
    return _open(session, options[place])


def choose_first(session: Session, _event: Event) -> Next:
    """Enter in a menu: its first option."""
    return _open(session, session.options[0])


def choose_last(session: Session, _event: Event) -> Next:
    """Esc in a menu: the way back."""
    return _open(session, session.options[-1])


def _open(session: Session, option: Option) -> Next:
    if isinstance(option, Action):
        return begin(session, option), ()
    if session.is_client:
        return _open_at_client(session, option)
    if isinstance(option, Language):
        return replace(anew(session, Step.MENU), language=option), ()
    after = anew(session, option)
    return (replace(after, language=None) if option is Step.ATTRACT else after), ()


def _open_at_client(session: Session, option: Step | Language) -> Next:
    """Its menu is where it rests: each way back leads there, and the one from there is the way out."""
    if option is Step.RECOVERY:
        return anew(session, option), ()
    if isinstance(option, Language):
        return replace(rest(session), language=option), ()
    return (session, (Leave(),)) if session.is_at_home else (rest(session), ())


# --- entries


def type_key(session: Session, event: Typed) -> Next:
    """One more character, where it fits."""
    longest = LENGTHS[session.step]
    if len(session.entry) >= longest:
        return replace(session, problem=Phrase("No more than {longest} characters", longest=longest)), ()
    if session.step in {Step.CODE, Step.QR} and event.character not in _DIGITS:
        return replace(session, problem="Digits only"), ()
    return replace(_with_entry(session, session.entry + event.character), is_revealed=True), ()


def type_at_qr(session: Session, event: Typed) -> Next:
    """A digit of the first code, S to spell the secret out or hide it, M for more time."""
    if event.character in "sS":
        return replace(session, is_spelt=not session.is_spelt), ()
    if event.character in "mM":
        return extend(session, event)
    return type_key(session, event)


def extend(session: Session, _event: Event) -> Next:
    """More time for this step, so often and no more: somebody else may be waiting."""
    if session.extensions == EXTENSIONS_MAX:
        return replace(session, problem="There is no more time for this step"), ()
    return replace(session, extensions=session.extensions + 1, problem=""), ()


def show_mode(session: Session, event: ModeShown) -> Next:
    """A number pad types something else from now on."""
    return replace(session, mode=event.mode), ()


def conceal(session: Session, _event: Event) -> Next:
    """The last character was shown long enough."""
    return replace(session, is_revealed=False), ()


def erase(session: Session, _event: Event) -> Next:
    """One character less."""
    return _with_entry(session, session.entry[:-1]), ()


def clear(session: Session, _event: Event) -> Next:
    """An empty entry."""
    return _with_entry(session, ""), ()


def clear_at_qr(session: Session, event: Event) -> Next:
    """An empty entry; where it is empty, the secret is spelt out or hidden: a number pad has no S."""
    return clear(session, event) if session.entry else (replace(session, is_spelt=not session.is_spelt), ())


def _with_entry(session: Session, entry: str) -> Session:
    entries = replace(session.entries, **{FIELDS[session.step]: entry})
    return replace(session, entries=entries, problem="", is_revealed=False)


def accept(session: Session, _event: Event) -> Next:
    """Enter at an entry: on, where its form is right."""
    try:
        entries = read_entry(session.step, session.entries)
    except ValueError as error:
        return replace(session, problem=sentence(str(error))), ()
    return _go_on(replace(session, entries=entries, problem="", is_revealed=False, extensions=0))


def accept_repeat(session: Session, event: Event) -> Next:
    """Enter at the second typing of a new password: on, where both are the same."""
    after, effects = accept(session, event)
    if after.step is session.step or after.entries.repeated == after.entries.new_password:
        return after, effects
    entries = replace(session.entries, new_password="", repeated="")
    problem = "The two were not the same. Please choose it again"
    return replace(session, step=Step.NEW_PASSWORD, entries=entries, problem=problem), ()


def _go_on(session: Session) -> Next:
    """To the next step of the action for which there is no entry yet; after the last one the action is sent."""
    flow = FLOWS[session.sends]
    for step in flow[flow.index(session.step) + 1 :]:
        if step in PICTURES:
            return look(session, step)
        if not getattr(session.entries, FIELDS[step]):
            return replace(session, step=step), ()
    return replace(session, step=Step.SENDING), (OpenAttempt(session.ticket, session.sends, session.entries.name),)


def look(session: Session, step: Step) -> Next:
    """Return the session before the camera, whose turn begins with a fresh attempt."""
    effect = OpenAttempt(session.ticket, session.sends, session.entries.name)
    after = replace(session, step=step, pictures=0, part=0, hint=None, seconds_left=None, is_good=False)
    return replace(after, outcome=None, problem=""), (effect,)
