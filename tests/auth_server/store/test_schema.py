"""The migrations make exactly the tables that the models describe, here and on PostgreSQL."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateTable

from auth_server.keyring import Keyring
from auth_server.store.database import Database, open_database, upgrade_database
from auth_server.store.models import Base
from auth_server.store.types import UNREADABLE_TIME, EvidenceDateTime, UtcDateTime


def test_the_migrations_make_the_models(database: Database):
    # Alembic compares defaults by asking whether they are equal, which PostgreSQL does not answer for JSON.
    options = {"compare_type": True, "compare_server_default": database.is_file}
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, Base.metadata) == []


def test_the_tables_of_the_specification_have_its_columns():
    users, logs = Base.metadata.tables["users"].columns, Base.metadata.tables["access_logs"].columns
    assert {"username", "password_hash", "face_image_enc", "totp_secret_enc"} <= set(users.keys())
    assert {"username", "mac_address"} <= set(Base.metadata.tables["user_devices"].columns.keys())
    assert {"id", "ts_utc", "username", "action", "success", "detail"} <= set(logs.keys())
    assert logs["username"].nullable


def test_an_upgrade_at_the_head_changes_nothing(database: Database, keyring: Keyring):
    database.close()
    upgrade_database(database.location, keyring)
    open_database(database.location, keyring).close()


@pytest.mark.parametrize("table", Base.metadata.sorted_tables, ids=lambda table: table.name)
def test_every_table_can_be_made_on_postgresql(table):
    made = str(CreateTable(table).compile(dialect=postgresql.dialect()))
    assert "TIMESTAMP WITHOUT TIME ZONE" not in made


@given(st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=-9, minutes=-30))])))
def test_a_time_comes_back_as_it_went_in(value: datetime):
    column, dialect = UtcDateTime(), sqlite.dialect()
    stored = column.process_bind_param(value, dialect)
    back = column.process_result_value(stored, dialect)
    assert back == value
    assert back is not None
    assert back.tzinfo is UTC


@given(*[st.datetimes(timezones=st.just(UTC))] * 2)
def test_stored_times_sort_as_times_do(one: datetime, other: datetime):
    column, dialect = UtcDateTime(), sqlite.dialect()
    texts = [column.process_bind_param(value, dialect) for value in (one, other)]
    assert (texts[0] < texts[1]) == (one < other)


def test_a_naive_time_is_refused():
    with pytest.raises(ValueError, match="aware"):
        UtcDateTime().process_bind_param(datetime(2026, 11, 22), sqlite.dialect())  # noqa: DTZ001


@pytest.mark.parametrize("stored", ["yesterday", "", 17, b"\xff", "2026-11-22T09:30:00"])
def test_a_damaged_time_is_refused_and_in_the_audit_log_shown_as_unreadable(stored: object):
    with pytest.raises(ValueError):
        UtcDateTime().process_result_value(stored, sqlite.dialect())
    assert EvidenceDateTime().process_result_value(stored, sqlite.dialect()) == UNREADABLE_TIME
