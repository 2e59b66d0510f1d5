"""Which factors an action needs and what it does, as data. Adding an action is adding a row.

Pure. The README's table of actions is compared with this one by a test. A site may add factors
and take none away.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum, auto
from types import MappingProxyType
from typing import Final

from auth_contract.actions import Action
from auth_contract.messages import SUBMISSIONS
from auth_server.domain import Factor


class Effect(Enum):
    """What a granted submission does."""

    LET_IN = auto()
    CHANGE = auto()
    CONFIRM = auto()
    APPROVE = auto()
    CANCEL = auto()


class Counting(Enum):
    """Where failures count."""

    OWN_KIOSKS = auto()
    """At this kiosk; at the person's own ones also over all of them."""

    ANYWHERE = auto()
    """The same, and elsewhere over all other kiosks: the action needs no own one, so it could be tried at each."""

    GATEWAYS = auto()
    """Over all gateways: strangers may try there, and must close nothing at a kiosk."""

    REGISTRATIONS = auto()
    """At this kiosk for whoever is registered, so that nobody's log in is held up."""

    TRIES = auto()
    """In the pending change itself, which allows five."""


@dataclass(frozen=True, slots=True)
class ActionPolicy:
    """The factors that must all pass, what is then done, and where a failure counts.

    A change waits for what else a site asks for: a supervisor's approval within `approval_window_s`,
    and `cooling_off_s` during which it can be cancelled. A new TOTP secret waits for its first code as well.
    """

    factors: tuple[Factor, ...]
    effect: Effect
    counting: Counting = Counting.OWN_KIOSKS
    is_enabled: bool = True
    asks_first_code: bool = True
    second_person: bool = False
    approval_window_s: int = 0
    cooling_off_s: int = 0

    @property
    def has_account(self) -> bool:
        """Whether the factors are compared with an account's enrolment."""
        return self.counting in {Counting.OWN_KIOSKS, Counting.ANYWHERE, Counting.GATEWAYS}

    @property
    def clears_failures(self) -> bool:
        """Whether success forgets earlier failures: all of a person's factors were shown, none was passed by.

        With fewer, whoever holds some factors could reset the count between guesses at another.
        """
        return set(_ALL) <= set(self.factors)


_ALL: Final = (Factor.PASSWORD, Factor.TOTP, Factor.FACE, Factor.DEVICE, Factor.CLOCK)

POLICY: Final[Mapping[Action, ActionPolicy]] = MappingProxyType(
    {
        Action.LOGIN: ActionPolicy(_ALL, Effect.LET_IN),
        Action.REGISTER: ActionPolicy(
            (Factor.PERMISSION, Factor.KIOSK, Factor.NEW_FACE), Effect.CHANGE, Counting.REGISTRATIONS
        ),
        Action.RECOVER_TOTP: ActionPolicy((Factor.PASSWORD, Factor.FACE, Factor.DEVICE, Factor.CLOCK), Effect.CHANGE),
        Action.RECOVER_PASSWORD: ActionPolicy((Factor.TOTP, Factor.FACE, Factor.DEVICE, Factor.CLOCK), Effect.CHANGE),
        Action.RECOVER_FACE: ActionPolicy(
            (Factor.PASSWORD, Factor.TOTP, Factor.DEVICE, Factor.CLOCK, Factor.NEW_FACE), Effect.CHANGE
        ),
        Action.UPDATE_MAC: ActionPolicy(
            (Factor.PASSWORD, Factor.TOTP, Factor.FACE, Factor.KIOSK, Factor.CLOCK), Effect.CHANGE, Counting.ANYWHERE
        ),
        Action.CONFIRM: ActionPolicy((Factor.NEW_TOTP, Factor.KIOSK, Factor.CLOCK), Effect.CONFIRM, Counting.TRIES),
        Action.APPROVE: ActionPolicy((*_ALL, Factor.SUPERVISOR), Effect.APPROVE),
        Action.CANCEL: ActionPolicy(
            (Factor.PASSWORD, Factor.TOTP, Factor.KIOSK, Factor.CLOCK), Effect.CANCEL, Counting.ANYWHERE
        ),
    }
)

WIRE_ACTIONS: Final = frozenset(
    {
        Action.LOGIN,
        Action.REGISTER,
        Action.RECOVER_TOTP,
        Action.RECOVER_PASSWORD,
        Action.RECOVER_FACE,
        Action.UPDATE_MAC,
    }
)
"""The actions that the wire protocol has a code for."""

RECOVERIES: Final = (Action.RECOVER_TOTP, Action.RECOVER_PASSWORD, Action.RECOVER_FACE, Action.UPDATE_MAC)
"""The actions that replace a factor of somebody who has an account."""

_CLAIMED_BY: Final = MappingProxyType(
    {
        Factor.PASSWORD: "password",
        Factor.TOTP: "totp",
        Factor.FACE: "frames",
        Factor.DEVICE: "mac",
        Factor.CLOCK: "client_ts_utc",
    }
)
"""The field of a submission that each factor of a person is judged by."""


def addable(action: Action) -> frozenset[Factor]:
    """The factors that a site may ask for besides those of the table: those that the submission carries anyway."""
    fields = SUBMISSIONS[action].model_fields
    known = {factor for factor, name in _CLAIMED_BY.items() if name in fields}
    own = {Factor.DEVICE} if not POLICY[action].has_account else set()
    return frozenset(known - own - set(POLICY[action].factors))


def through_gateway(policy: ActionPolicy) -> ActionPolicy:
    """The same for a client of a gateway, which could be anywhere and has no message for a first code.

    Failures count over all gateways and nowhere else, so they close nothing at a kiosk.
    """
    counting = Counting.GATEWAYS if policy.has_account else policy.counting
    return replace(policy, counting=counting, asks_first_code=False)


def tightened(action: Action, also: tuple[Factor, ...]) -> ActionPolicy:
    """The action's policy with more factors. Raises ValueError for one that cannot be added, and takes none away."""
    policy = POLICY[action]
    wrong = [factor.value for factor in also if factor not in addable(action)]
    if wrong:
        possible = ", ".join(sorted(addable(action))) or "none"
        raise ValueError(f"{', '.join(wrong)} cannot be added to {action.value}: possible are {possible}")
    return replace(policy, factors=policy.factors + tuple(dict.fromkeys(also)))
