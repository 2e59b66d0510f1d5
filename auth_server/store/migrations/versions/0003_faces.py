"""Faces: movements of an attempt, exemptions from them, more templates for an account, pictures of refused attempts."""

import sqlalchemy as sa
from alembic import op

from auth_server.store.types import UtcDateTime

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_LONG = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the new tables; what is there stays as it is."""
    op.add_column("attempts", sa.Column("movements", sa.JSON, nullable=False, server_default="[]"))
    op.create_table(
        "exemptions",
        sa.Column("username", sa.String(64), nullable=False),
        sa.Column("movement", sa.String(16), nullable=False),
        sa.PrimaryKeyConstraint("username", "movement", name="pk_exemptions"),
        sa.ForeignKeyConstraint(["username"], ["users.username"], name="fk_exemptions_username", ondelete="CASCADE"),
    )
    op.create_table(
        "face_templates",
        sa.Column("username", sa.String(64), nullable=False),
        sa.Column("model", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("made_at", UtcDateTime, nullable=False),
        sa.Column("template_enc", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("username", "model", "kind", name="pk_face_templates"),
        sa.ForeignKeyConstraint(
            ["username"], ["users.username"], name="fk_face_templates_username", ondelete="CASCADE"
        ),
    )
    op.create_table(
        "snapshots",
        sa.Column("id", _LONG, autoincrement=True, nullable=False),
        sa.Column("username", sa.String(64)),
        sa.Column("kiosk_id", sa.String(32), nullable=False),
        sa.Column("action", sa.String(32), nullable=False),
        sa.Column("attempt_id", sa.String(22), nullable=False),
        sa.Column("taken_at", UtcDateTime, nullable=False),
        sa.Column("expires_at", UtcDateTime, nullable=False),
        sa.Column("picture_enc", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_snapshots"),
        sa.UniqueConstraint("attempt_id", name="uq_snapshots_attempt_id"),
    )
    op.create_index("ix_snapshots_expires_at", "snapshots", ["expires_at"])


def downgrade() -> None:
    """Refuse: the release before knows neither movements nor a second template."""
    raise NotImplementedError("schema 0003 has no way back: restore the backup that was made before the upgrade")
