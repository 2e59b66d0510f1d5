"""Which movements an attempt asks for, by its action's policy and the site's settings."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from auth_contract.actions import Action, Movement
from auth_server.domain import Factor
from auth_server.face.challenge import draw
from auth_server.policy import ActionPolicy

FACES: Final = frozenset({Factor.FACE, Factor.NEW_FACE})

_TURNS: Final = frozenset({Movement.TURN_LEFT, Movement.TURN_RIGHT})
"""An enrolment asks for one of them, or there might be one pose only; 54 of 60 sequences of three are left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """Draws movements. `count` is 0 where the site asks for none; `rng` must be one that nobody can foresee.

    `exemptions` gives the movements that a person cannot do, and none for a name that no account has.
    """

    policies: Mapping[Action, ActionPolicy]
    count: int
    exemptions: Callable[[str], frozenset[Movement]]
    rng: random.Random

    def movements(self, action: Action, username: str | None) -> tuple[Movement, ...]:
        """Return what to ask for in an attempt at an action, whoever it may be where no name is known."""
        if not self.count or not FACES & set(self.policies[action].factors):
            return ()
        exempt = self.exemptions(username) if username is not None else frozenset()
        wanted = _TURNS - exempt if Factor.NEW_FACE in self.policies[action].factors else frozenset()
        while True:
            drawn = draw(tuple(Movement), self.count, exempt, self.rng)
            if not wanted or wanted & set(drawn):
                return drawn
