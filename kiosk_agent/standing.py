"""Where a person stands on the way to an action, and the two ways out of it.

Pure. Whatever was held ends with `rest` or `end`, which begin from an empty session.
"""

from dataclasses import dataclass, field, replace

from auth_contract.actions import Action, CaptureHint
from auth_contract.messages import AttemptReply
from kiosk_agent.effects import Effect, Report
from kiosk_agent.events import Entries, NewSecret, Outcome, Step
from kiosk_agent.flows import FIELDS, MENUS, Option
from kiosk_agent.phrases import Language


@dataclass(frozen=True, slots=True)
class Session:
    """Where the person stands, on the way to `action`.

    `secret` is a new TOTP secret that waits for its first code, `is_spelt` whether it is also shown
    in letters, `extensions` how often more time was asked for in this step. `pictures` counts those
    of an enrolment. `part` is that of the recording under way, `hint` what is wrong with its last
    picture, `is_good` that nothing is, `seconds_left` what is left for its movement. `problem` says
    what was wrong with the last entry, never repeating a secret. `language` is None until somebody
    chose one, `mode` what a number pad types, `is_revealed` whether the last character is shown.
    `is_client` is the terminal client's: its rest is the menu, which a person leaves for good.
    """

    step: Step = Step.ATTRACT
    ticket: int = 0
    action: Action = Action.LOGIN
    entries: Entries = field(default_factory=Entries)
    attempt: AttemptReply | None = field(default=None, repr=False)
    secret: NewSecret | None = None
    is_spelt: bool = False
    extensions: int = 0
    tries: int = 0
    captures: int = 0
    pictures: int = 0
    part: int = 0
    hint: CaptureHint | None = None
    seconds_left: int | None = None
    is_good: bool = False
    problem: str = ""
    outcome: Outcome | None = None
    language: Language | None = None
    mode: str = ""
    is_revealed: bool = False
    is_client: bool = False

    @property
    def options(self) -> tuple[Option, ...]:
        """What the digits 1, 2, ... open where the session stands; nothing where there is no menu."""
        return MENUS.get(Step.MENU if self.is_at_home else self.step, ())

    @property
    def is_at_home(self) -> bool:
        """Whether it is at rest at the menu of a terminal client."""
        return self.is_client and self.step is Step.ATTRACT

    @property
    def entry(self) -> str:
        """What stands in the entry of this step; a secret but in the steps NAME and PERSON."""
        return str(getattr(self.entries, FIELDS[self.step])) if self.step in FIELDS else ""

    @property
    def sends(self) -> Action:
        """The action that is submitted next: with a new secret in hand, its confirmation."""
        return self.action if self.secret is None else Action.CONFIRM

    @property
    def has_secret(self) -> bool:
        """Whether anything is held that must not outlive the session."""
        return self.entries.has_secret or self.attempt is not None or self.secret is not None


Next = tuple[Session, tuple[Effect, ...]]
"""A session after an event, and what is to be done about it, in order."""


def rest(session: Session) -> Session:
    """Return the session at rest, under the next ticket: the next person may speak another language.

    At a terminal client it is the same person until they leave.
    """
    language = session.language if session.is_client else None
    return Session(ticket=session.ticket + 1, mode=session.mode, language=language, is_client=session.is_client)


def anew(session: Session, step: Step, action: Action = Action.LOGIN) -> Session:
    """Return an empty session of the same person at a step, under the next ticket."""
    return replace(rest(session), step=step, action=action, language=session.language)


def end(session: Session, step: Step, outcome: Outcome) -> Next:
    """Return the session with its outcome and nothing else of it, and the report."""
    outcome = replace(outcome, action=session.action)
    return replace(anew(session, step), outcome=outcome), (Report(outcome),)


def sentence(text: str) -> str:
    """Return the text with its first letter as a capital."""
    return text[:1].upper() + text[1:]
