"""The words of a decision, as frozen data.

Pure: no I/O, no clock, no Flask. Everything here is a plain value, so that a decision can be
made, stored, explained and tested without a server.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from auth_contract.actions import Action, CaptureHint, Movement
from auth_contract.messages import FrameMark

Evidence = Mapping[str, str | int | float | bool | None]
"""What an auditor needs to follow a verdict: numbers and names, never a secret or a picture."""


class Factor(StrEnum):
    """The checks that an action may ask for, in the order in which evidence is listed."""

    PASSWORD = "password"  # noqa: S105 - the factor's name
    TOTP = "totp"
    FACE = "face"
    DEVICE = "device"
    """The kiosk is what it says, and one of the person's own."""

    KIOSK = "kiosk"
    """The kiosk is what it says, whosever it is."""

    CLOCK = "clock"
    PERMISSION = "permission"
    """An enrolment ticket for this name, or an administrator's secret."""

    NEW_FACE = "new_face"
    """The new face can be enrolled, and is a live person's."""

    NEW_TOTP = "new_totp"
    """A first code of the new secret."""

    SUPERVISOR = "supervisor"
    """Who acts may approve for others."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One factor's finding.

    `capture_hint` is set only where the pictures could not be judged at all, which is neither a
    match nor a mismatch: `passed` is then false and the person is asked for new pictures.
    """

    factor: Factor
    passed: bool
    evidence: Evidence = field(default_factory=dict)
    capture_hint: CaptureHint | None = None


@dataclass(frozen=True, slots=True)
class Kiosk:
    """A registered kiosk. `public_key` is its raw Ed25519 key, 32 bytes.

    `faults` are what it last reported, `state` the members of the contract's `KioskState`, empty where it sent none.
    """

    kiosk_id: str
    public_key: bytes
    mac_address: str | None
    enabled: bool
    last_seen_at: datetime | None = None
    agent_version: str | None = None
    faults: tuple[str, ...] = ()
    state: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_gateway(self) -> bool:
        """Whether it stands nowhere and speaks for clients elsewhere: such a one is registered without a MAC."""
        return self.mac_address is None


@dataclass(frozen=True, slots=True)
class Attempt:
    """An opened attempt; `used_at` is set once, by the submission that consumed it. `movements` were drawn for it."""

    attempt_id: str
    kiosk_id: str
    action: Action
    nonce: str
    opened_at: datetime
    expires_at: datetime
    used_at: datetime | None = None
    movements: tuple[Movement, ...] = ()


@dataclass(frozen=True, slots=True)
class Template:
    """An enrolled face: a unit-length embedding (little-endian float32) and the model it is of."""

    model: str
    embedding: bytes


@dataclass(frozen=True, slots=True)
class Enrolment:
    """All that the factors compare a person's claims with.

    For an unknown name `accounts` hands out a decoy of the same shape (`is_decoy`), so that the
    same work is done and every factor fails. `totp_last_step` is the newest RFC 6238 time step
    already used; a code is accepted only for a later one. `factors_changed_at` tells later whether
    what was compared is still in force. `template` is of the server's model where there is one of it.
    `face_png` is the enrolled aligned picture, RGB of 128 x 128, or of 112 x 112 from an earlier release.
    `followed` is the template that good logins moved, where the site has it follow, and `followed_at` when
    it last did.
    """

    username: str
    password_hash: bytes = field(repr=False)
    totp_secret: str = field(repr=False)
    totp_last_step: int
    template: Template = field(repr=False)
    mac_addresses: frozenset[str]
    enabled: bool
    face_enabled: bool
    is_decoy: bool = False
    factors_changed_at: datetime | None = None
    face_png: bytes = field(default=b"", repr=False)
    followed: Template | None = field(default=None, repr=False)
    followed_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What one submission asserts about its person, device and time; what an action does not ask for is empty.

    `peer` is the client for whom a gateway speaks, and `new_mac` what that client is to be bound to.
    """

    username: str
    mac: str
    client_ts_utc: datetime
    password: str = field(default="", repr=False)
    totp: str = field(default="", repr=False)
    frames: tuple[bytes, ...] = field(default=(), repr=False)
    marks: tuple[FrameMark, ...] = ()
    permission: str = field(default="", repr=False)
    new_password: str = field(default="", repr=False)
    new_frames: tuple[bytes, ...] = field(default=(), repr=False)
    new_totp: str = field(default="", repr=False)
    change_id: str = ""
    person: str = ""
    peer: str | None = None
    new_mac: str | None = None


@dataclass(frozen=True, slots=True)
class Granted:
    """Who gave the leave to register: `kind` is `ticket` or `admin`, `by` the administrator's name.

    `ticket_hash` comes with a ticket, and `mac_addresses`, to which the account will be bound in the place
    of the kiosk at which the person registers.
    """

    kind: str
    by: str
    ticket_hash: str | None = None
    mac_addresses: frozenset[str] = frozenset()


def through_gateway_of(peer: str | None) -> Mapping[str, object]:
    """What a row's detail says of a gateway's client; nothing where there is none."""
    return {} if peer is None else {"gateway": {"peer": peer}}


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """What one audit row says, before the log gives it a number, a salt and a hash.

    `outcome_reason` is the coarse word the person was given; `detail` holds every verdict with
    its evidence, or why a request never reached the factors.
    """

    action: str
    success: bool
    outcome_reason: str
    username: str | None
    kiosk_id: str | None
    source_address: str | None
    detail: Mapping[str, object]
