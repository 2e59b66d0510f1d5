"""Which factors an action needs, as data. Adding an action is adding a row.

Pure. The README's table of actions is compared with this one by a test.
"""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from auth_contract.actions import Action
from auth_server.domain import Factor


@dataclass(frozen=True, slots=True)
class ActionPolicy:
    """The factors that must all pass."""

    factors: tuple[Factor, ...]


POLICY: Final = MappingProxyType(
    {
        Action.LOGIN: ActionPolicy(
            factors=(Factor.PASSWORD, Factor.TOTP, Factor.FACE, Factor.DEVICE, Factor.CLOCK),
        ),
    }
)
