"""Acting under a name: who may run which command, and what the log says of it."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import click
import pytest

from auth_server.admins import Admins, Role
from provisioning.__main__ import cli
from provisioning.errors import Refused
from provisioning.guard import PACE_S
from provisioning.roles import MAY_RUN, NAMELESS


def leaves(group=cli, path=()):
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from leaves(command, (*path, name))
        else:
            yield " ".join((*path, name))


ALL = sorted(leaves())


def find(path):
    found = cli
    for word in path.split():
        found = found.commands[word]
    return found


@dataclass
class Staff:
    """A site with one administrator of each role, and their secrets in files."""

    command: object
    folder: Path
    pauses: list[float] = field(default_factory=list)

    def __call__(self, name, *arguments, secret=None, typed=None):
        file = self.folder / f"{secret or name}.secret"
        by_file = () if typed is not None else ("--secret-file", file)
        self.command.parts["pause"] = self.pauses.append
        return self.command("--as", name, *by_file, *arguments, typed=typed)


@pytest.fixture
def staff(with_ann, tmp_path):
    with with_ann.desk().site() as site:
        for role in Role:
            secret = Admins(site.database).add(f"the-{role}", role, with_ann.clock())
            file = tmp_path / f"the-{role}.secret"
            file.touch(mode=0o600)
            file.write_text(f"{secret}\n")
    return Staff(with_ann, tmp_path)


def require_name(command):
    command.settings.write_text(command.settings.read_text() + "\n[administration]\nrequire_name = true\n")


class TestTable:
    @pytest.mark.parametrize("command", ALL)
    def test_every_command_of_the_program_stands_in_it(self, command):
        assert (command in NAMELESS) != (command in MAY_RUN[Role.ADMIN])

    def test_a_role_may_run_what_the_one_below_may(self):
        assert MAY_RUN[Role.AUDITOR] < MAY_RUN[Role.SUPERVISOR] < MAY_RUN[Role.ADMIN]

    def test_an_auditor_reads(self):
        verbs = {command.split()[-1] for command in MAY_RUN[Role.AUDITOR]}
        assert verbs <= {"list", "show", "servers", "verify", "why", "export", "view"}

    def test_a_supervisor_stops_things_besides(self):
        assert MAY_RUN[Role.SUPERVISOR] - MAY_RUN[Role.AUDITOR] == {
            "gateway forbid",
            "kiosk disable",
            "user cancel-change",
            "user changes",
            "user disable",
            "user unlock",
        }


RUNS = [
    ("the-auditor", ("user", "list"), True),
    ("the-auditor", ("audit", "verify"), True),
    ("the-auditor", ("kiosk", "show", "lobby-1"), True),
    ("the-auditor", ("user", "disable", "ann", "--yes"), False),
    ("the-auditor", ("admin", "list"), False),
    ("the-auditor", ("site", "pin"), False),
    ("the-supervisor", ("user", "show", "ann"), True),
    ("the-supervisor", ("user", "disable", "ann", "--yes"), True),
    ("the-supervisor", ("user", "unlock", "ann", "--yes"), True),
    ("the-supervisor", ("kiosk", "disable", "lobby-1", "--yes"), True),
    ("the-supervisor", ("user", "enable", "ann"), False),
    ("the-supervisor", ("user", "invite", "bob", "--kiosk", "lobby-1"), False),
    ("the-supervisor", ("admin", "add", "bob", "--role", "admin"), False),
    ("the-supervisor", ("admin", "renew-secret", "the-admin", "--yes"), False),
    ("the-admin", ("user", "invite", "bob", "--kiosk", "lobby-1"), True),
    ("the-admin", ("admin", "add", "bob", "--role", "admin"), True),
    ("the-admin", ("site", "pin"), True),
]


@pytest.mark.parametrize(("name", "arguments", "may"), RUNS, ids=lambda v: " ".join(v) if isinstance(v, tuple) else "")
def test_a_role_binds(staff, name, arguments, may):
    done = staff(name, *arguments)
    assert done.exit_code == (0 if may else 1), done.stderr
    if not may:
        row = staff.command.audit_rows()[-1]
        assert (row["action"], row["username"], row["success"]) == ("admin.as", name, False)
        assert row["detail"]["command"] == " ".join(arguments[:2])
        assert f"may not run `{row['detail']['command']}`" in done.stderr


def test_the_check_stands_before_each_command_and_not_within_some(staff):
    desk = staff.command.desk()
    desk.acting_name, desk.secret_file = "the-auditor", staff.folder / "the-auditor.secret"
    for path in set(ALL) - NAMELESS - MAY_RUN[Role.AUDITOR]:
        leaf = find(path)
        with click.Context(leaf, obj=desk), pytest.raises(Refused, match=f"may not run `{path}`"):
            leaf.callback()


class TestRow:
    def test_it_names_the_administrator_and_whom_the_kernel_names(self, staff):
        nameless = staff.command("user", "disable", "ann", "--yes")
        assert nameless.exit_code == 0
        system = staff.command.audit_rows()[-1]["detail"]["administrator"]
        staff("the-admin", "user", "enable", "ann")
        detail = staff.command.audit_rows()[-1]["detail"]
        assert (detail["administrator"], detail["operating_system"]) == ("the-admin", system)

    def test_a_refused_act_names_them_too(self, staff):
        staff("the-admin", "user", "enable", "nobody")
        row = staff.command.audit_rows()[-1]
        assert (row["action"], row["detail"]["administrator"]) == ("admin.user.enable", "the-admin")

    def test_the_next_command_has_no_author_left_over(self, staff):
        staff("the-admin", "user", "disable", "ann", "--yes")
        staff.command("user", "enable", "ann")
        assert "operating_system" not in staff.command.audit_rows()[-1]["detail"]

    def test_an_invitation_says_who_invited(self, staff):
        staff("the-admin", "user", "invite", "bob", "--kiosk", "lobby-1")
        assert staff.command.json("user", "invites")["invites"][0]["invited_by"] == "the-admin"

    def test_reading_leaves_no_row(self, staff):
        before = len(staff.command.audit_rows())
        staff("the-auditor", "user", "list")
        assert len(staff.command.audit_rows()) == before


class TestSecret:
    def test_it_may_be_typed_unseen(self, staff):
        secret = (staff.folder / "the-admin.secret").read_text()
        done = staff("the-admin", "user", "list", typed=secret)
        assert done.exit_code == 0 and secret.strip() not in done.output

    def test_the_options_may_stand_after_the_command(self, staff):
        file = staff.folder / "the-auditor.secret"
        assert staff.command("user", "list", "--as", "the-auditor", "--secret-file", file).exit_code == 0

    def test_a_file_that_others_can_read_is_refused(self, staff):
        (staff.folder / "the-admin.secret").chmod(0o640)
        refused = staff("the-admin", "user", "list")
        assert refused.exit_code == 1 and "so others can read the secret: chmod 0600" in refused.stderr

    @pytest.mark.parametrize("text", [b"", b"\xff\xfe", b"0" * 25, b"short", b"x" * 5000])
    def test_another_text_is_no_secret(self, staff, text):
        file = staff.folder / "the-admin.secret"
        file.write_bytes(text)
        assert staff("the-admin", "user", "list").exit_code == 1

    @pytest.mark.parametrize(
        ("name", "secret"),
        [("the-admin", "the-auditor"), ("nobody", "the-admin"), ("the-auditor", "the-admin")],
        ids=["another's", "unknown name", "an admin's under an auditor's name"],
    )
    def test_a_wrong_one_reads_alike_takes_its_time_and_leaves_a_row(self, staff, name, secret):
        refused = staff(name, "user", "list", secret=secret)
        assert refused.exit_code == 1
        assert f"no administrator {name} has this secret" in refused.stderr
        assert staff.pauses == [PACE_S]
        row = staff.command.audit_rows()[-1]
        assert (row["action"], row["username"], row["success"], row["reason"]) == ("admin.as", name, False, "refused")

    def test_a_right_one_waits_for_nothing(self, staff):
        staff("the-admin", "user", "list")
        assert staff.pauses == []

    def test_no_secret_is_written_anywhere(self, staff):
        staff("the-admin", "user", "disable", "ann", "--yes")
        staff("the-auditor", "user", "list", secret="the-admin")
        log = json.dumps(staff.command.audit_rows())
        for file in staff.folder.glob("*.secret"):
            assert file.read_text().strip() not in log

    @pytest.mark.parametrize("name", ["the-admin", "nobody"])
    def test_the_sixth_try_waits_and_then_the_right_one_is_let_in(self, staff, name):
        for _ in range(5):
            staff(name, "user", "list", secret="the-supervisor")
        locked = staff(name, "user", "list", secret="the-admin")
        assert locked.exit_code == 1 and "too many wrong secrets" in locked.stderr
        staff.command.clock.pass_(seconds=30)
        done = staff(name, "user", "list", secret="the-admin")
        assert done.exit_code == (0 if name == "the-admin" else 1)

    def test_a_right_one_begins_the_count_anew(self, staff):
        for _ in range(3):
            for _ in range(4):
                staff("the-admin", "user", "list", secret="the-auditor")
            assert staff("the-admin", "user", "list").exit_code == 0

    def test_guesses_here_do_not_keep_the_person_from_a_kiosk(self, staff):
        from auth_server.lockouts import Lockouts, Reservation

        for _ in range(8):
            staff("ann", "user", "list", secret="the-auditor")
        with staff.command.desk().site() as site:
            leave = Lockouts(site.database).reserve(
                username="ann", kiosk_id="lobby-1", is_own_kiosk=True, now=staff.command.clock()
            )
        assert isinstance(leave, Reservation)

    def test_a_removed_administrator_is_refused(self, staff):
        staff.command("admin", "remove", "the-auditor", "--yes")
        assert staff("the-auditor", "user", "list").exit_code == 1


class TestRequired:
    @pytest.mark.parametrize("arguments", [("user", "list"), ("site", "pin"), ("admin", "add", "x", "--role", "admin")])
    def test_a_command_without_a_name_is_refused_and_says_the_way_back(self, staff, arguments):
        require_name(staff.command)
        refused = staff.command(*arguments)
        assert refused.exit_code == 1
        assert "needs --as NAME" in refused.stderr and "require_name" in refused.stderr
        assert staff("the-admin", *arguments).exit_code == 0

    def test_it_holds_for_every_command(self, command):
        require_name(command)
        for path in set(ALL) - NAMELESS:
            leaf = find(path)
            with click.Context(leaf, obj=command.desk()), pytest.raises(Refused, match="needs --as NAME"):
                leaf.callback()

    @pytest.mark.parametrize(
        "arguments", [("--help",), ("user", "--help"), ("completion", "bash"), ("site", "upgrade", "--yes")]
    )
    def test_these_need_none(self, command, arguments):
        require_name(command)
        assert command(*arguments).exit_code == 0

    def test_a_site_is_made_without_one(self, command, tmp_path):
        require_name(command)
        assert command("site", "init", "--folder", tmp_path / "new", "--name", "new").exit_code == 0

    def test_who_lost_all_secrets_gets_back_in_by_the_settings_file(self, command):
        require_name(command)
        assert command("admin", "renew-secret", "admin", "--yes").exit_code == 1
        command.settings.write_text(command.settings.read_text().replace("require_name = true", "require_name = false"))
        assert command("admin", "renew-secret", "admin", "--yes").exit_code == 0


@pytest.mark.parametrize("arguments", [("site", "upgrade", "--yes"), ("completion", "bash"), ("models", "check")])
def test_a_name_where_none_belongs_is_wrong_usage(staff, arguments):
    refused = staff("the-admin", *arguments)
    assert refused.exit_code == 2 and "leave out --as" in refused.stderr


def test_a_secret_without_a_name_is_wrong_usage(staff):
    file = staff.folder / "the-admin.secret"
    refused = staff.command("user", "list", "--secret-file", file)
    assert refused.exit_code == 2 and "--as NAME" in refused.stderr
