"""Where each exchange lives. Requests are POST and JSON; the two documents are GET."""

from types import MappingProxyType
from typing import Final

from auth_contract.actions import Action

ATTEMPTS: Final = "/v1/attempts"
HEARTBEAT: Final = "/v1/heartbeat"
GATEWAY_REFUSALS: Final = "/v1/gateway/refusals"
JWKS: Final = "/.well-known/jwks.json"
OPENAPI: Final = "/openapi.json"

SUBMISSION: Final = MappingProxyType(
    {
        Action.LOGIN: "/v1/login",
        Action.REGISTER: "/v1/register",
        Action.RECOVER_TOTP: "/v1/recover/totp",
        Action.RECOVER_PASSWORD: "/v1/recover/password",
        Action.RECOVER_FACE: "/v1/recover/face",
        Action.UPDATE_MAC: "/v1/recover/mac",
        Action.CONFIRM: "/v1/confirm",
        Action.APPROVE: "/v1/approve",
        Action.CANCEL: "/v1/cancel",
    }
)
"""The path to which an attempt at each action is submitted."""

LOGIN: Final = SUBMISSION[Action.LOGIN]
