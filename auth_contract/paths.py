"""Where each exchange lives. Requests are POST and JSON; the two documents are GET."""

from auth_contract.actions import Action

ATTEMPTS = "/v1/attempts"
LOGIN = "/v1/login"
HEARTBEAT = "/v1/heartbeat"
JWKS = "/.well-known/jwks.json"
OPENAPI = "/openapi.json"

SUBMISSION = {Action.LOGIN: LOGIN}
"""The path to which an attempt at each action is submitted."""
