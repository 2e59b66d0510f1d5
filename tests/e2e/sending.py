"""Submissions whose answers are kept, so that a test can tell afterwards what each server should know."""

from dataclasses import dataclass, field

import jwt
from sqlalchemy import select

from auth_client.errors import Refused, ReplyLost
from auth_contract.actions import Action
from auth_contract.messages import LoginRequest
from auth_server.store.database import Database
from auth_server.store.models import ATTEMPTS


@dataclass
class Sent:
    """One submission and what came back: `jti` of a grant, the `reason` of a refusal, or that it was lost."""

    kiosk_id: str
    nonce: str = field(repr=False)
    submission: LoginRequest = field(repr=False)
    jti: str | None = None
    reason: str | None = None
    is_lost: bool = False


def submit(client, sent: Sent) -> None:
    """Send a submission and note its answer."""
    try:
        reply = client.submit(Action.LOGIN, sent.submission, sent.nonce)
        claims = jwt.decode(reply.assertion, options={"verify_signature": False})
        assert claims["nonce"] == sent.nonce
        sent.jti = claims["jti"]
    except ReplyLost:
        sent.is_lost = True
    except Refused as refused:
        sent.reason = refused.reply.reason.value


def is_used(database: Database, nonce: str) -> bool:
    """Whether the server has used up the attempt of this nonce."""
    with database.read() as session:
        return session.execute(select(ATTEMPTS.c.used_at).where(ATTEMPTS.c.nonce == nonce)).scalar_one() is not None
