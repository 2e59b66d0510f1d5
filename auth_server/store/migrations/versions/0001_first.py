"""The first schema."""

import sqlalchemy as sa
from alembic import op

from auth_server.store.types import EvidenceDateTime, EvidenceFlag, UtcDateTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_LONG = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make all tables."""
    op.create_table(
        "users",
        sa.Column("username", sa.String(64), nullable=False),
        sa.Column("password_hash", sa.LargeBinary, nullable=False),
        sa.Column("totp_secret_enc", sa.LargeBinary, nullable=False),
        sa.Column("totp_last_step", _LONG, nullable=False),
        sa.Column("face_model", sa.String(64), nullable=False),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("face_enabled", sa.Boolean, nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("face_template_enc", sa.LargeBinary, nullable=False),
        sa.Column("face_image_enc", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("username", name="pk_users"),
    )
    op.create_table(
        "user_devices",
        sa.Column("username", sa.String(64), nullable=False),
        sa.Column("mac_address", sa.String(17), nullable=False),
        sa.PrimaryKeyConstraint("username", "mac_address", name="pk_user_devices"),
        sa.ForeignKeyConstraint(["username"], ["users.username"], name="fk_user_devices_username", ondelete="CASCADE"),
    )
    op.create_table(
        "kiosks",
        sa.Column("kiosk_id", sa.String(32), nullable=False),
        sa.Column("public_key", sa.LargeBinary(32), nullable=False),
        sa.Column("mac_address", sa.String(17), nullable=False),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("last_seen_at", UtcDateTime),
        sa.Column("agent_version", sa.String(32)),
        sa.Column("faults", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("kiosk_id", name="pk_kiosks"),
    )
    op.create_table(
        "attempts",
        sa.Column("attempt_id", sa.String(22), nullable=False),
        sa.Column("nonce", sa.String(22), nullable=False),
        sa.Column("kiosk_id", sa.String(32), nullable=False),
        sa.Column("action", sa.String(32), nullable=False),
        sa.Column("opened_at", UtcDateTime, nullable=False),
        sa.Column("expires_at", UtcDateTime, nullable=False),
        sa.Column("used_at", UtcDateTime),
        sa.PrimaryKeyConstraint("attempt_id", name="pk_attempts"),
        sa.UniqueConstraint("nonce", name="uq_attempts_nonce"),
        sa.ForeignKeyConstraint(["kiosk_id"], ["kiosks.kiosk_id"], name="fk_attempts_kiosk_id"),
    )
    op.create_index("ix_attempts_expires_at", "attempts", ["expires_at"])
    op.create_table(
        "request_nonces",
        sa.Column("kiosk_id", sa.String(32), nullable=False),
        sa.Column("nonce", sa.String(22), nullable=False),
        sa.Column("expires_at", UtcDateTime, nullable=False),
        sa.PrimaryKeyConstraint("kiosk_id", "nonce", name="pk_request_nonces"),
    )
    op.create_index("ix_request_nonces_expires_at", "request_nonces", ["expires_at"])
    op.create_table(
        "lockouts",
        sa.Column("username", sa.String(64), nullable=False),
        sa.Column("kiosk_id", sa.String(32), nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("first_failure_at", UtcDateTime, nullable=False),
        sa.Column("last_failure_at", UtcDateTime, nullable=False),
        sa.PrimaryKeyConstraint("username", "kiosk_id", name="pk_lockouts"),
    )
    op.create_index("ix_lockouts_last_failure_at", "lockouts", ["last_failure_at"])
    op.create_table(
        "access_logs",
        sa.Column("id", _LONG, autoincrement=False, nullable=False),
        sa.Column("ts_utc", EvidenceDateTime, nullable=False),
        sa.Column("username", sa.String(65)),
        sa.Column("kiosk_id", sa.String(65)),
        sa.Column("source_address", sa.String(65)),
        sa.Column("action", sa.String(65), nullable=False),
        sa.Column("success", EvidenceFlag, nullable=False),
        sa.Column("reason", sa.String(65), nullable=False),
        sa.Column("detail", sa.Text),
        sa.Column("detail_salt", sa.LargeBinary(16)),
        sa.Column("detail_hash", sa.String(64), nullable=False),
        sa.Column("row_hash", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_access_logs"),
    )
    op.create_index("ix_access_logs_username_id", "access_logs", ["username", "id"])
    op.create_table(
        "site",
        sa.Column("key", sa.String(32), nullable=False),
        sa.Column("value", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_site"),
    )


def downgrade() -> None:
    """Refuse: there is nothing before the first schema but an empty file."""
    raise NotImplementedError("the first schema has none before it: delete the database file instead")
