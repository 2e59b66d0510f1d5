"""A login that is granted, the ways in which one is refused, and the other actions, each performed for real."""

import http.client
import json
import ssl
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from cryptography.hazmat.primitives.serialization import load_pem_private_key

from auth_client.client import AuthClient, real_surroundings
from auth_client.errors import Refused
from auth_client.settings import ServerSettings
from auth_contract import paths
from auth_contract.actions import Action
from auth_contract.messages import AttemptReply, FrameMark, LoginRequest
from demo import wire
from demo.impostor import Impostor
from demo.newcomer import Newcomer, at_kiosk
from demo.pictures import poses
from demo.puppet import record
from demo.site import CommandFailed
from demo.stage import MACS, PASSWORD, Stage

_RECORDED_S = 4.0
"""How long `record`'s recordings say that they took: the server compares it with its own clock."""

Recorded = tuple[tuple[bytes, ...], tuple[FrameMark, ...]]


def granted(stage: Stage) -> str:
    """All four factors are right."""
    code = stage.fresh_code()
    seen = stage.enter(code=code)
    stage.used(code)
    return seen


def used_code(stage: Stage) -> str:
    """The code of the login that was granted."""
    return stage.enter(code=stage.last_code)


def wrong_password(stage: Stage) -> str:
    """One letter off."""
    return stage.enter(password=PASSWORD + "x")


def wrong_code(stage: Stage) -> str:
    """A code of no step near now."""
    right = stage.fresh_code()
    return stage.enter(code=f"{(int(right) + 1) % 1_000_000:06d}")


def another_face(stage: Stage) -> str:
    """Somebody who knows the password and holds the phone."""
    return stage.enter(person=stage.pictures.eve)


def photograph(stage: Stage) -> str:
    """A good photograph, held before the camera."""
    return stage.enter(person=stage.pictures.still)


def stepping_in(stage: Stage) -> str:
    """The right face at the beginning and the end, and another one for the movements."""
    return stage.enter(person=stage.pictures.stepping)


def other_sequence(stage: Stage) -> str:
    """Everything right, but the recording answers what an attempt before had asked for."""

    def recorded(attempt: AttemptReply) -> Recorded:
        frames, marks = record(stage.puppet, attempt.movements[1:] + attempt.movements[:1])
        return frames, marks

    return _sent(stage, recorded)


def copied(stage: Stage) -> str:
    """Everything right, and in place of a recording the picture from which Ada was enrolled."""

    def recorded(attempt: AttemptReply) -> Recorded:
        _, marks = record(stage.puppet, attempt.movements)
        return (poses(stage.pictures)[0].read_bytes(),) * len(marks), marks

    return _sent(stage, recorded)


def too_dark(stage: Stage) -> str:
    """The light is off: the kiosk says so while Ada still stands there, and sends nothing."""
    return stage.enter(person=stage.pictures.dark)


def no_face(stage: Stage) -> str:
    """A cup of coffee."""
    return stage.enter(person=stage.pictures.empty)


def two_faces(stage: Stage) -> str:
    """Two people before the camera of a kiosk that has no models to guide by: the server says so."""
    return stage.elsewhere("kiosk-1", stage.pictures.two, capture={})


def another_mac(stage: Stage) -> str:
    """A registered kiosk that claims the MAC of the one to which the account is bound."""
    return stage.elsewhere("kiosk-2", mac_override=MACS["kiosk-1"])


def clock_off(stage: Stage) -> str:
    """The kiosk's clock is 121 s late."""
    return stage.elsewhere("kiosk-1", clock_offset_s=-121.0)


def unregistered(stage: Stage) -> str:
    """A kiosk whose key the server does not know."""
    return stage.elsewhere("kiosk-9")


def sent_twice(stage: Stage) -> str:
    """One good submission, sent again as it was: the first is granted, the second is not."""
    code = stage.fresh_code()
    with closing(_client(stage)) as client:
        attempt = client.open_attempt(Action.LOGIN, "ada")
        submission = _submission(attempt, code, record(stage.puppet, attempt.movements))
        time.sleep(_RECORDED_S)
        client.submit(Action.LOGIN, submission, attempt.nonce)
        stage.used(code)
        return _refusal(client, submission, attempt)


def unsigned(stage: Stage) -> str:
    """A request that no kiosk signed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # a stranger pins nothing
    connection = http.client.HTTPSConnection("127.0.0.1", stage.site.port, context=context, timeout=10)
    connection.request("POST", paths.LOGIN, b"{}", {"Content-Type": "application/json"})
    reply = connection.getresponse()
    members = json.loads(reply.read())
    connection.close()
    return f"{reply.status} {members['reason']}: {members['message']}"


def not_pinned(stage: Stage) -> str:
    """Another server in the place of ours: the kiosk sends it nothing."""
    impostor = Impostor(stage.site.folder)
    url = f"https://127.0.0.1:{impostor.port}"
    server = {"url": url, "pins": [stage.site.pin], "retries": 0}
    try:
        seen = stage.elsewhere("kiosk-1", server=server)
    finally:
        impostor.close()
    told = f"{seen} ({impostor.handshakes} handshakes, {impostor.received} bytes sent to it)"
    # Without a handshake there was no key to compare, and one byte sent would be one too many.
    return told if impostor.handshakes and not impostor.received else f"NOT REFUSED IN TIME: {told}"


def sixth_try(stage: Stage) -> str:
    """Everything right, after the five before were not."""
    return stage.enter()


def _newcomer(stage: Stage) -> Newcomer:
    if stage.newcomer is None:
        raise CommandFailed("nobody sits at the kiosk's terminal")
    return stage.newcomer


def registered(stage: Stage) -> str:
    """Somebody who was invited registers, and scans the code from the kiosk's own screen."""
    _newcomer(stage).register()
    return _newcomer(stage).confirm()


def ticket_used_twice(stage: Stage) -> str:
    """The ticket that has made an account."""
    return _newcomer(stage).register()


def new_totp(stage: Stage) -> str:
    """The phone is lost: password and face bring a new secret, which counts after its first code."""
    _newcomer(stage).recover_totp()
    return _newcomer(stage).confirm()


def log_in_after(stage: Stage) -> str:
    """With what was made at the kiosk."""
    return _newcomer(stage).log_in()


def old_phone(stage: Stage) -> str:
    """The lost phone was found."""
    return _newcomer(stage).log_in(_newcomer(stage).old_phone)


def new_password(stage: Stage) -> str:
    """The password is forgotten."""
    return _newcomer(stage).recover_password()


def moved(stage: Stage) -> str:
    """The person works elsewhere now."""
    newcomer = _newcomer(stage)
    with at_kiosk(stage.site, "kiosk-2", MACS["kiosk-2"], stage.pictures.eve) as seat:
        return replace(newcomer, seat=seat).move()


def _client(stage: Stage) -> AuthClient:
    """The main kiosk's own client and key, so that a submission can be sent by hand."""
    key: Any = load_pem_private_key((stage.site.folder / "kiosk-1" / "key" / "device.pem").read_bytes(), None)
    server = ServerSettings(url=f"https://127.0.0.1:{stage.site.port}", pins=(stage.site.pin,))
    return AuthClient(server, "kiosk-1", key, real_surroundings())


def _submission(attempt: AttemptReply, code: str, recorded: Recorded) -> LoginRequest:
    frames, marks = recorded
    return LoginRequest(
        attempt_id=attempt.attempt_id,
        username="ada",
        password=PASSWORD,
        totp=code,
        frames=frames,
        marks=marks,
        mac=MACS["kiosk-1"],
        client_ts_utc=datetime.now(UTC),
    )


def _sent(stage: Stage, recorded: Callable[[AttemptReply], Recorded]) -> str:
    """What comes of pictures that are sent by hand by a registered kiosk."""
    with closing(_client(stage)) as client:
        attempt = client.open_attempt(Action.LOGIN, "ada")
        submission = _submission(attempt, stage.fresh_code(), recorded(attempt))
        time.sleep(_RECORDED_S)
        return _refusal(client, submission, attempt)


def _refusal(client: AuthClient, submission: LoginRequest, attempt: AttemptReply) -> str:
    try:
        client.submit(Action.LOGIN, submission, attempt.nonce)
    except Refused as refused:
        return f"{refused.status} {refused.reply.reason}: {refused.reply.message}"
    return "granted"


@dataclass(frozen=True, slots=True)
class Case:
    """One performance: its title, what must be read and what the audit row must say."""

    title: str
    perform: Callable[[Stage], str]
    seen: str
    reason: str


NOTHING_SENT = "no row: nothing was sent"

CASES = (
    Case("all four factors are right", granted, "Welcome, ada", "granted"),
    Case("a code used twice", used_code, "Access denied", "denied"),
    Case("wrong password", wrong_password, "Access denied", "denied"),
    Case("wrong code", wrong_code, "Access denied", "denied"),
    Case("another kiosk's MAC", another_mac, "Access denied", "denied"),
    Case("a submission sent twice", sent_twice, "409 start_again", "start_again"),
    Case("another person's face", another_face, "Access denied", "denied"),
    Case("no face", no_face, "Once more, please: No face", NOTHING_SENT),
    Case("no light", too_dark, "Once more, please: It is too dark", NOTHING_SENT),
    Case("two faces", two_faces, "Once more, please", "capture_again"),
    Case("a photograph that does not move", photograph, "Once more, please", "capture_again"),
    Case("somebody else who steps in for the movements", stepping_in, "Access denied", "denied"),
    Case("a recording of what another attempt asked for", other_sequence, "403 ", "capture_again"),
    Case("the enrolled picture in place of a recording", copied, "403 denied", "denied"),
    Case("a sixth try after five failures", sixth_try, "Please wait", "locked"),
    Case("a clock 121 s off", clock_off, "Out of service", "kiosk_refused"),
    Case("an unsigned request", unsigned, "401 kiosk_refused", "kiosk_refused"),
    Case("a kiosk that is not registered", unregistered, "Out of service", "kiosk_refused"),
    Case("a server whose key is not the pinned one", not_pinned, "Not logged in", NOTHING_SENT),
    Case("registering with a ticket", registered, "Registered", "granted"),
    Case("a ticket used twice", ticket_used_twice, "Request denied", "denied"),
    Case("a new authenticator app", new_totp, "New authenticator in force", "granted"),
    Case("a code of the old app", old_phone, "Access denied", "denied"),
    Case("a code of the new app", log_in_after, "Welcome, grace", "granted"),
    Case("a new password", new_password, "New password in force", "granted"),
    Case("a client of the wire protocol", wire.granted, "Access granted.", "granted"),
    Case("the same with a wrong password", wire.wrong_password, "That did not work.", "denied"),
    Case("the same with a kiosk's MAC", wire.claimed_mac, "That did not work.", "denied"),
    Case("the same with a code that nobody knows", wire.unknown_code, "This request has a form", "malformed"),
    Case("another kiosk in place of the old one", moved, "This kiosk is yours now", "granted"),
)
