"""A client of the wire protocol, as it stood before there were kiosks: one picture, one connection."""

import time
from datetime import UTC, datetime
from typing import Any

from auth_contract.wire_client import LogIn, WireClient, WireReply, trusting
from demo.stage import MACS, PASSWORD, Stage

MAC = "02:00:5e:77:00:01"
"""What the client claims to have."""


def granted(stage: Stage) -> str:
    """All four factors are right; the picture is judged by its look alone."""
    code = stage.fresh_code()
    reply = _ask(stage, totp=code)
    if reply.is_ok:
        stage.used(code)
    return reply.message


def wrong_password(stage: Stage) -> str:
    """One letter off."""
    return _ask(stage, password=PASSWORD + "x").message


def claimed_mac(stage: Stage) -> str:
    """Ada's account is bound to that kiosk, which would have signed."""
    return _ask(stage, mac=MACS["kiosk-1"]).message


def unknown_code(stage: Stage) -> str:
    """None of the six codes; it is written down under the name that came with it."""
    return _ask(stage, cmd="999").message


def _ask(stage: Stage, **changes: Any) -> WireReply:
    # Another picture than the enrolled one, of which a copy is refused.
    picture = (stage.pictures.ada / "come_closer" / "003.jpg").read_bytes()
    right = {
        "username": "ada",
        "password": PASSWORD,
        "totp": "000000",
        "faceID": picture,
        "mac": MAC,
        "client_ts_utc": datetime.fromtimestamp(time.time(), UTC),
    }
    request = LogIn.model_construct(**{"cmd": "100", **right, **changes})
    context = trusting(stage.site.gateway_certificate)
    with WireClient("127.0.0.1", stage.site.gateway_port, context=context) as client:
        return client.send(request)
