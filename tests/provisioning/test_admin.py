"""Administrators by `4auth-provision admin`: names, roles, secrets shown once, and the last one."""

import json
import re

import pytest

from auth_server.admins import Admins, Role
from auth_server.store.models import ADMINS

SECRET = re.compile(r"([0-9A-HJKMNP-TV-Z]{5}-){4}[0-9A-HJKMNP-TV-Z]{5}")


def owner(command, secret):
    with command.desk().site() as site:
        found = Admins(site.database).find_by_secret(secret)
    return None if found is None else (found.name, found.role)


def names(command):
    return {admin["name"]: admin["role"] for admin in command.json("admin", "list")["admins"]}


@pytest.fixture
def old_site(command):
    """A site that was upgraded from before there were administrators."""
    with command.desk().site() as site, site.database.transaction() as session:
        session.connection().execute(ADMINS.delete())
    return command


class TestFirst:
    def test_a_new_site_has_one_whose_secret_is_shown_once(self, command, tmp_path):
        made = command("site", "init", "--folder", tmp_path / "second", "--name", "second")
        command.settings = tmp_path / "second" / "server.toml"
        (secret,) = {match.group() for match in SECRET.finditer(made.stdout)}
        assert owner(command, secret) == ("admin", Role.ADMIN)
        shown = command("admin", "show", "admin").stdout + json.dumps(command.audit_rows())
        assert secret not in shown and secret.replace("-", "") not in shown

    def test_it_has_the_name_that_was_asked_for_and_json_tells_the_secret(self, command, tmp_path):
        made = command.json("site", "init", "--folder", tmp_path / "second", "--name", "second", "--admin", "Carla")
        assert (made["admin"]["name"], made["admin"]["role"]) == ("carla", "admin")
        command.settings = tmp_path / "second" / "server.toml"
        assert owner(command, made["admin"]["secret"]) == ("carla", Role.ADMIN)
        assert command.audit_rows()[0]["detail"]["admin"] == "carla"

    def test_no_two_sites_have_the_same_secret(self, command, tmp_path):
        secrets = {
            command.json("site", "init", "--folder", tmp_path / name, "--name", name)["admin"]["secret"]
            for name in ("a", "b")
        }
        assert len(secrets) == 2

    def test_no_file_of_the_site_holds_it(self, command, tmp_path):
        made = command.json("site", "init", "--folder", tmp_path / "second", "--name", "second")
        secret = made["admin"]["secret"]
        for path in (tmp_path / "second").rglob("*"):
            if path.is_file():
                data = path.read_bytes()
                assert secret.encode() not in data and secret.replace("-", "").encode() not in data

    def test_an_old_site_gets_its_first_one_by_admin_add(self, old_site):
        assert "It has no administrator yet" in old_site("site", "upgrade", "--yes").stdout
        assert "There is none yet" in old_site("admin", "list").stdout
        refused = old_site("admin", "add", "carla", "--role", "auditor")
        assert refused.exit_code == 1 and "add that one first" in refused.stderr
        assert old_site("admin", "add", "carla", "--role", "admin").exit_code == 0
        assert names(old_site) == {"carla": "admin"}


class TestActs:
    @pytest.mark.parametrize("role", ["admin", "supervisor", "auditor"])
    def test_one_is_added_with_an_own_secret(self, command, role):
        added = command.json("admin", "add", "Carla", "--role", role)["admin"]
        assert (added["name"], added["role"]) == ("carla", role)
        assert SECRET.fullmatch(added["secret"])
        assert owner(command, added["secret"]) == ("carla", Role(role))
        row = command.audit_rows()[-1]
        assert (row["action"], row["username"], row["success"]) == ("admin.admin.add", "carla", True)
        assert row["detail"]["role"] == role and added["secret"] not in json.dumps(row)

    def test_a_supervisor_without_an_account_is_told_so(self, with_ann):
        told = "only with one can"
        assert told in with_ann("admin", "add", "carla", "--role", "supervisor").stdout
        assert told not in with_ann("admin", "add", "ann", "--role", "supervisor").stdout
        assert with_ann.json("admin", "show", "ann")["admin"]["has_account"] is True

    def test_a_renewed_secret_is_the_only_one(self, command):
        old = command.json("admin", "add", "carla", "--role", "auditor")["admin"]["secret"]
        assert command("admin", "renew-secret", "carla", typed="n\n").exit_code == 1
        assert owner(command, old) == ("carla", Role.AUDITOR)
        new = command.json("admin", "renew-secret", "carla", "--yes")["admin"]["secret"]
        assert (owner(command, old), owner(command, new)) == (None, ("carla", Role.AUDITOR))

    def test_a_role_is_changed(self, command):
        command("admin", "add", "carla", "--role", "auditor")
        assert command.json("admin", "role", "carla", "supervisor")["admin"]["role"] == "supervisor"
        assert names(command) == {"admin": "admin", "carla": "supervisor"}

    def test_one_is_removed_after_asking(self, command):
        command("admin", "add", "carla", "--role", "auditor")
        assert command("admin", "remove", "carla", typed="n\n").exit_code == 1
        assert "carla" in names(command)
        assert command("admin", "remove", "carla", "--yes").exit_code == 0
        assert names(command) == {"admin": "admin"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("remove", "admin", "--yes"), "is the last administrator with the role admin and cannot be removed"),
        (("role", "admin", "auditor"), "cannot be made auditor"),
        (("remove", "bob", "--yes"), "there is no administrator bob"),
        (("role", "bob", "auditor"), "there is no administrator 'bob'"),
        (("renew-secret", "bob", "--yes"), "there is no administrator bob"),
        (("show", "bob"), "there is no administrator bob"),
        (("add", "admin", "--role", "auditor"), "there is an administrator 'admin' already"),
    ],
)
def test_what_is_refused_says_why_and_leaves_a_row(command, arguments, message):
    refused = command("admin", *arguments)
    assert refused.exit_code == 1 and message in refused.stderr
    assert names(command) == {"admin": "admin"}
    row = command.audit_rows()[-1]
    if arguments[0] != "show":
        assert (row["action"], row["success"]) == (f"admin.admin.{arguments[0]}", False)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("add", "carla"), "Missing option '--role'"),
        (("add", "carla", "--role", "king"), "is not one of"),
        (("add", "a\nb", "--role", "admin"), "a name has"),
    ],
)
def test_wrong_usage_exits_2(command, arguments, message):
    refused = command("admin", *arguments)
    assert refused.exit_code == 2 and message in refused.stderr
