"""Gateways: kiosks without a MAC of their own, and the names that may come through one."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Let a kiosk have no MAC, and make the table of names."""
    # SQLite changes a column by making its table anew, which it refuses while attempts point to it.
    op.execute("CREATE TABLE attempts_kept AS SELECT * FROM attempts")
    op.execute("DELETE FROM attempts")
    with op.batch_alter_table("kiosks") as kiosks:
        kiosks.alter_column("mac_address", existing_type=sa.String(17), nullable=True)
    op.execute("INSERT INTO attempts SELECT * FROM attempts_kept")
    op.drop_table("attempts_kept")
    op.create_table(
        "gateway_names",
        sa.Column("username", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("username", name="pk_gateway_names"),
    )


def downgrade() -> None:
    """Refuse: the release before would take a gateway for a kiosk and ask it for its MAC."""
    raise NotImplementedError("schema 0005 has no way back: restore the backup that was made before the upgrade")
