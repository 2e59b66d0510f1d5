"""The tables. They hold facts and have no behaviour; secrets are sealed before they come here.

The big picture stands last in its row, because SQLite reads through it to reach what follows.
"""

from datetime import datetime
from typing import Any, Final, cast

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, Integer, LargeBinary, MetaData, String, Table, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from auth_contract.limits import USERNAME_MAX_CHARS
from auth_server.store.types import EvidenceDateTime, EvidenceFlag, UtcDateTime

OVER_ALL = "*"
"""Stands for all of a person's own kiosks in `lockouts`; no kiosk id can be spelt so."""

IN_A_ROW = "**"
"""Like `OVER_ALL`, but the count that is never begun anew by the passing of time."""

ANYWHERE = "*a"
"""Like `OVER_ALL`, for the actions that need no own kiosk, wherever they were tried."""

ANYWHERE_IN_A_ROW = "**a"
"""Like `IN_A_ROW`, for those actions."""

THROUGH_GATEWAYS, THROUGH_GATEWAYS_IN_A_ROW = "*g", "**g"
"""Like those two, for all gateways, where anybody may try who reaches one."""

AUDIT_NAME_MAX_CHARS = USERNAME_MAX_CHARS + 1
"""A name that was cut for the audit log carries one more character, which says so."""

_Long = BigInteger().with_variant(Integer, "sqlite")


class Base(DeclarativeBase):
    """Names constraints alike on every database, so that a migration can name them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class User(Base):
    """One account. `*_enc` columns are sealed by the account's own data key for this table, column and row."""

    __tablename__ = "users"

    username: Mapped[str] = mapped_column(String(USERNAME_MAX_CHARS), primary_key=True)
    password_hash: Mapped[bytes] = mapped_column(LargeBinary)
    totp_secret_enc: Mapped[bytes] = mapped_column(LargeBinary)
    totp_last_step: Mapped[int] = mapped_column(_Long)
    face_model: Mapped[str] = mapped_column(String(64))
    enabled: Mapped[bool]
    face_enabled: Mapped[bool]
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    face_template_enc: Mapped[bytes] = mapped_column(LargeBinary)
    face_image_enc: Mapped[bytes] = mapped_column(LargeBinary)


class UserKey(Base):
    """The key under which an account's secrets are sealed, itself sealed by the site's field keys.

    It stands apart from the account: destroying this row makes every copy of the secrets unreadable.
    Submissions of attempts opened before `factors_changed_at` are refused.
    """

    __tablename__ = "user_keys"

    username: Mapped[str] = mapped_column(ForeignKey("users.username", ondelete="CASCADE"), primary_key=True)
    data_key_enc: Mapped[bytes] = mapped_column(LargeBinary)
    factors_changed_at: Mapped[datetime] = mapped_column(UtcDateTime)


class UserDevice(Base):
    """A device that an account is bound to."""

    __tablename__ = "user_devices"

    username: Mapped[str] = mapped_column(ForeignKey("users.username", ondelete="CASCADE"), primary_key=True)
    mac_address: Mapped[str] = mapped_column(String(17), primary_key=True)


class Exemption(Base):
    """A movement that a person cannot do, and is therefore never asked for."""

    __tablename__ = "exemptions"

    username: Mapped[str] = mapped_column(ForeignKey("users.username", ondelete="CASCADE"), primary_key=True)
    movement: Mapped[str] = mapped_column(String(16), primary_key=True)


class FaceTemplate(Base):
    """One more template of an account, beside the enrolled one in `users`, sealed by the account's own data key.

    `kind` is `migrated` (the enrolled picture under another model) or `followed` (moved by good logins).
    """

    __tablename__ = "face_templates"

    username: Mapped[str] = mapped_column(ForeignKey("users.username", ondelete="CASCADE"), primary_key=True)
    model: Mapped[str] = mapped_column(String(64), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16), primary_key=True)
    made_at: Mapped[datetime] = mapped_column(UtcDateTime)
    template_enc: Mapped[bytes] = mapped_column(LargeBinary)


class Snapshot(Base):
    """A picture of a refused attempt, sealed by the site's field keys; kept only where the site says so."""

    __tablename__ = "snapshots"

    id: Mapped[int] = mapped_column(_Long, primary_key=True, autoincrement=True)
    username: Mapped[str | None] = mapped_column(String(USERNAME_MAX_CHARS))
    kiosk_id: Mapped[str] = mapped_column(String(32))
    action: Mapped[str] = mapped_column(String(32))
    attempt_id: Mapped[str] = mapped_column(String(22), unique=True)
    taken_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    picture_enc: Mapped[bytes] = mapped_column(LargeBinary)


class KioskRow(Base):
    """A registered kiosk; `public_key` is its raw Ed25519 key. A gateway is one without a MAC."""

    __tablename__ = "kiosks"

    kiosk_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    public_key: Mapped[bytes] = mapped_column(LargeBinary(32))
    mac_address: Mapped[str | None] = mapped_column(String(17))
    enabled: Mapped[bool]
    last_seen_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    agent_version: Mapped[str | None] = mapped_column(String(32))
    faults: Mapped[list[str]] = mapped_column(JSON)
    state: Mapped[dict[str, Any]] = mapped_column(JSON, server_default="{}")


class GatewayName(Base):
    """A name that may come through a gateway, whether it has an account yet or not."""

    __tablename__ = "gateway_names"

    username: Mapped[str] = mapped_column(String(64), primary_key=True)


class AttemptRow(Base):
    """An opened attempt; `used_at` goes from null to a time once."""

    __tablename__ = "attempts"

    attempt_id: Mapped[str] = mapped_column(String(22), primary_key=True)
    nonce: Mapped[str] = mapped_column(String(22), unique=True)
    kiosk_id: Mapped[str] = mapped_column(ForeignKey("kiosks.kiosk_id"))
    action: Mapped[str] = mapped_column(String(32))
    opened_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    movements: Mapped[list[str]] = mapped_column(JSON, server_default="[]")


class RequestNonce(Base):
    """A nonce that a kiosk has signed with, kept for as long as the signature could be fresh."""

    __tablename__ = "request_nonces"

    kiosk_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    nonce: Mapped[str] = mapped_column(String(22), primary_key=True)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)


class LockoutRow(Base):
    """Consecutive failures of a name at one kiosk or at its own ones; names may be unknown."""

    __tablename__ = "lockouts"

    username: Mapped[str] = mapped_column(String(USERNAME_MAX_CHARS), primary_key=True)
    kiosk_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    failures: Mapped[int]
    first_failure_at: Mapped[datetime] = mapped_column(UtcDateTime)
    last_failure_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)


class AdminRow(Base):
    """A named administrator; `secret_hash` is the SHA-256 of a secret of 125 random bits."""

    __tablename__ = "admins"

    name: Mapped[str] = mapped_column(String(USERNAME_MAX_CHARS), primary_key=True)
    role: Mapped[str] = mapped_column(String(16))
    secret_hash: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Ticket(Base):
    """A one-time leave to register under a name; the ticket itself is handed out once and stored as its SHA-256."""

    __tablename__ = "tickets"

    ticket_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    username: Mapped[str] = mapped_column(String(USERNAME_MAX_CHARS), unique=True)
    invited_by: Mapped[str] = mapped_column(String(AUDIT_NAME_MAX_CHARS))
    mac_addresses: Mapped[list[str]] = mapped_column(JSON)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)


class ChangeRow(Base):
    """A registration or recovery that was granted and is not in force yet; one for each name.

    `payload_enc` holds what will be in force, sealed by the site's field keys. What `*_needed` says is
    missing; `in_force_at` is set once only time is.
    """

    __tablename__ = "changes"

    username: Mapped[str] = mapped_column(String(USERNAME_MAX_CHARS), primary_key=True)
    change_id: Mapped[str] = mapped_column(String(22), unique=True)
    action: Mapped[str] = mapped_column(String(32))
    kiosk_id: Mapped[str] = mapped_column(String(32))
    permission: Mapped[str | None] = mapped_column(String(80))
    requested_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    is_code_needed: Mapped[bool]
    tries_left: Mapped[int]
    is_approval_needed: Mapped[bool]
    approved_by: Mapped[str | None] = mapped_column(String(USERNAME_MAX_CHARS))
    cooling_off_s: Mapped[int]
    in_force_at: Mapped[datetime | None] = mapped_column(UtcDateTime, index=True)
    payload_enc: Mapped[bytes] = mapped_column(LargeBinary)


class NotificationRow(Base):
    """A message that waits to be delivered; it is added in the transaction of what it tells of."""

    __tablename__ = "notifications"

    id: Mapped[int] = mapped_column(_Long, primary_key=True, autoincrement=True)
    event: Mapped[str] = mapped_column(String(32))
    username: Mapped[str | None] = mapped_column(String(AUDIT_NAME_MAX_CHARS))
    body: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    next_try_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    tries: Mapped[int]
    last_error: Mapped[str | None] = mapped_column(String(200))


class AccessLog(Base):
    """One audit row. `row_hash` chains it to the row before; ids have no gaps."""

    __tablename__ = "access_logs"
    __table_args__ = (Index("ix_access_logs_username_id", "username", "id"),)

    id: Mapped[int] = mapped_column(_Long, primary_key=True, autoincrement=False)
    ts_utc: Mapped[datetime] = mapped_column(EvidenceDateTime, index=True)
    username: Mapped[str | None] = mapped_column(String(AUDIT_NAME_MAX_CHARS))
    kiosk_id: Mapped[str | None] = mapped_column(String(AUDIT_NAME_MAX_CHARS))
    source_address: Mapped[str | None] = mapped_column(String(AUDIT_NAME_MAX_CHARS))
    action: Mapped[str] = mapped_column(String(AUDIT_NAME_MAX_CHARS))
    success: Mapped[bool] = mapped_column(EvidenceFlag)
    reason: Mapped[str] = mapped_column(String(AUDIT_NAME_MAX_CHARS))
    detail: Mapped[str | None] = mapped_column(Text)
    detail_salt: Mapped[bytes | None] = mapped_column(LargeBinary(16))
    detail_hash: Mapped[str] = mapped_column(String(64))
    row_hash: Mapped[str] = mapped_column(String(64))


class SiteValue(Base):
    """A fact of the whole store, such as the canary."""

    __tablename__ = "site"

    key: Mapped[str] = mapped_column(String(32), primary_key=True)
    value: Mapped[bytes] = mapped_column(LargeBinary)


# The same tables for Core statements, which cost a third of what the ORM's do.
USERS: Final = cast(Table, User.__table__)
USER_KEYS: Final = cast(Table, UserKey.__table__)
USER_DEVICES: Final = cast(Table, UserDevice.__table__)
EXEMPTIONS: Final = cast(Table, Exemption.__table__)
FACE_TEMPLATES: Final = cast(Table, FaceTemplate.__table__)
SNAPSHOTS: Final = cast(Table, Snapshot.__table__)
KIOSKS: Final = cast(Table, KioskRow.__table__)
GATEWAY_NAMES: Final = cast(Table, GatewayName.__table__)
ATTEMPTS: Final = cast(Table, AttemptRow.__table__)
REQUEST_NONCES: Final = cast(Table, RequestNonce.__table__)
LOCKOUTS: Final = cast(Table, LockoutRow.__table__)
ADMINS: Final = cast(Table, AdminRow.__table__)
TICKETS: Final = cast(Table, Ticket.__table__)
CHANGES: Final = cast(Table, ChangeRow.__table__)
NOTIFICATIONS: Final = cast(Table, NotificationRow.__table__)
ACCESS_LOGS: Final = cast(Table, AccessLog.__table__)
SITE: Final = cast(Table, SiteValue.__table__)
