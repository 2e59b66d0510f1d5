"""A face that is somebody else's, at the desk: the administrator reads whose, and may allow it for twins."""

import json

import pytest

from auth_server.notifications import Notifications
from provisioning.user_lookup import accounts_of


@pytest.fixture
def desk(with_notify, engine, face, password_file):
    """A site with ann, and bob, whose face the engine finds in every picture."""
    with_notify.parts["load_face_engine"] = lambda _settings: engine
    assert add(with_notify, "bob", face, password_file).exit_code == 0
    return with_notify


def add(desk, name, face, password_file, *more):
    return desk(
        *("user", "add", name, "--vouched", "--picture", face, "--kiosk", "lobby-1", "--password-file", password_file),
        *more,
    )


def refuse_nothing(desk):
    text = desk.settings.read_text()
    desk.settings.write_text(text.replace("[face]\n", "[face]\nrefuse_duplicates = false\n"))


def told(desk):
    with desk.desk().site() as site:
        waiting = [json.loads(one.body) for one in Notifications(site.database).list()]
    return [one for one in waiting if one["event"] == "duplicate_face"]


def template(desk, name):
    with desk.desk().site() as site:
        return accounts_of(site).enrolment(name).template


def test_it_is_refused_before_anything_is_asked_and_the_row_says_of_whom(desk, face, password_file):
    password_file.unlink()  # the face is looked at first
    refused = add(desk, "cy", face, password_file)
    assert refused.exit_code == 1
    words = " ".join(refused.stderr.split())
    assert "the face of cy is like that of bob (distance 0.00)" in words and "--allow-duplicate" in words
    row = desk.audit_rows()[-1]
    assert (row["action"], row["username"], row["success"]) == ("admin.user.add", "cy", False)
    assert row["detail"]["other_faces"]["like"] == "bob" and row["detail"]["other_faces"]["refused"] is True
    assert "cy" not in {user["username"] for user in desk.json("user", "list")["users"]}


def test_twins_are_let_pass_audited_and_told(desk, face, password_file):
    done = add(desk, "cy", face, password_file, "--allow-duplicate")
    assert done.exit_code == 0 and "the face of cy is like that of bob" in " ".join(done.stderr.split())
    row = desk.audit_rows()[-1]
    assert row["success"] and row["detail"]["duplicate_allowed"] is True and row["detail"]["kiosks"] == ["lobby-1"]
    assert row["detail"]["other_faces"]["like"] == "bob"
    [word] = told(desk)
    assert (word["username"], word["like"], word["is_refused"]) == ("cy", "bob", False)
    assert "enrolled cy with a face like that of bob" in word["message"]


def test_a_policy_that_refuses_nothing_still_tells(desk, face, password_file):
    refuse_nothing(desk)
    done = add(desk, "cy", face, password_file)
    assert done.exit_code == 0 and "it is enrolled all the same" in " ".join(done.stderr.split())
    row = desk.audit_rows()[-1]
    assert row["detail"]["other_faces"]["refused"] is False and "duplicate_allowed" not in row["detail"]
    assert [word["like"] for word in told(desk)] == ["bob"]


def test_a_reset_face_is_compared_with_others_only(desk, face):
    assert desk("user", "reset", "bob", "--face", "--vouched", "--picture", face, "--yes").exit_code == 0
    before = template(desk, "ann")
    refused = desk("user", "reset", "ann", "--face", "--vouched", "--picture", face, "--yes")
    assert refused.exit_code == 1 and "like that of bob" in refused.stderr
    assert template(desk, "ann") == before and told(desk) == []
    done = desk("user", "reset", "ann", "--face", "--vouched", "--picture", face, "--allow-duplicate", "--yes")
    assert done.exit_code == 0 and template(desk, "ann") == template(desk, "bob")
    assert desk.audit_rows()[-1]["detail"]["duplicate_allowed"] is True
    assert [word["username"] for word in told(desk)] == ["ann"]


def test_one_that_was_enrolled_while_the_password_was_typed(desk, typist, face, password_file):
    assert desk("user", "delete", "bob", "--yes").exit_code == 0

    def meanwhile():
        assert add(desk, "dan", face, password_file).exit_code == 0
        return "correct Horse 7 battery"

    refused = desk(
        *("user", "add", "cy", "--vouched", "--picture", face, "--kiosk", "lobby-1", "--no-confirm-code"),
        typed=typist(meanwhile, "correct Horse 7 battery"),
    )
    assert refused.exit_code == 1 and "like that of dan" in refused.stderr
    assert {user["username"] for user in desk.json("user", "list")["users"]} == {"ann", "dan"}


def test_accounts_that_cannot_be_compared_are_counted(desk, face, password_file):
    done = add(desk, "cy", face, password_file, "--allow-duplicate")
    assert "1 account had no template of today's model to compare with" in " ".join(
        done.stderr.split()
    )  # ann's is another's


def test_it_goes_with_a_face_alone(desk):
    refused = desk("user", "reset", "ann", "--password", "--allow-duplicate", "--yes")
    assert refused.exit_code == 2 and "--allow-duplicate and --vouched: only with --face" in refused.stderr
