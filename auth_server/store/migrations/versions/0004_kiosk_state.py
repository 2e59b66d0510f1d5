"""Kiosks: what each last told of itself."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; kiosks that told nothing yet have an empty one."""
    op.add_column("kiosks", sa.Column("state", sa.JSON, nullable=False, server_default="{}"))


def downgrade() -> None:
    """Refuse: the release before does not write it, and would list what a kiosk told long ago."""
    raise NotImplementedError("schema 0004 has no way back: restore the backup that was made before the upgrade")
