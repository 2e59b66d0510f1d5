"""What a site asks for beyond the table of actions: it can tighten an action, and never loosen one."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from auth_contract.actions import Action
from auth_server.domain import Factor
from auth_server.policy import ActionPolicy, tightened


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ActionSettings(_Section):
    """What a site asks for beyond the table of actions; it can take nothing away."""

    enabled: bool = Field(default=True, description="Whether kiosks may do this at all")
    also: tuple[Factor, ...] = Field(default=(), description="More factors, of those that its message carries anyway")


class RecoverySettings(ActionSettings):
    """The same for an action that replaces a factor of somebody who has an account."""

    second_person: bool = Field(default=False, description="A supervisor logs in at another kiosk to approve")
    approval_window_s: int = Field(default=900, ge=60, le=86_400, description="How long the approval may take")
    cooling_off_s: int = Field(default=0, ge=0, le=30 * 86_400, description="During which it can be cancelled")


class LoginSettings(ActionSettings):
    """Log in cannot be switched off: disable a kiosk, or stop the server."""

    enabled: Literal[True] = True


class ActionsSettings(_Section):
    """A section for each action, named as in the log; what is left out is as in the table of actions."""

    # `register` itself is a method of every class of this kind.
    model_config = ConfigDict(serialize_by_alias=True)

    login: LoginSettings = LoginSettings()
    register_: ActionSettings = Field(default=ActionSettings(), alias="register")
    recover_totp: RecoverySettings = RecoverySettings()
    recover_password: RecoverySettings = RecoverySettings()
    recover_face: RecoverySettings = RecoverySettings()
    update_mac: RecoverySettings = RecoverySettings()
    confirm: LoginSettings = LoginSettings()
    approve: ActionSettings = ActionSettings()
    cancel: ActionSettings = ActionSettings()

    def policies(self) -> Mapping[Action, ActionPolicy]:
        """The site's policy of every action."""
        return {action: _policy(action, self._of(action)) for action in Action}

    def _of(self, action: Action) -> ActionSettings:
        name = "register_" if action is Action.REGISTER else action.value
        found: ActionSettings = getattr(self, name)
        return found

    @model_validator(mode="after")
    def _is_never_looser(self) -> "ActionsSettings":
        self.policies()
        return self

    @model_validator(mode="after")
    def _who_waits_can_be_helped(self) -> "ActionsSettings":
        waiting = [action.value for action, policy in self.policies().items() if policy.second_person]
        if waiting and not self.approve.enabled:
            raise ValueError(
                f"{', '.join(waiting)} needs a second person, and approve.enabled = false lets nobody be one"
            )
        return self


def _policy(action: Action, asked: ActionSettings) -> ActionPolicy:
    policy = replace(tightened(action, asked.also), is_enabled=asked.enabled)
    if not isinstance(asked, RecoverySettings):
        return policy
    return replace(
        policy,
        second_person=asked.second_person,
        approval_window_s=asked.approval_window_s,
        cooling_off_s=asked.cooling_off_s,
    )
