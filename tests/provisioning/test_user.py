"""`user list | show | disable | enable | unlock`; adding has a file of its own."""

import pytest

from auth_server.lockouts import LockedUntil, Lockouts

ANN = {
    "username": "ann",
    "enabled": True,
    "face_enabled": True,
    "face_model": "4auth",
    "mac_addresses": ["b8:27:eb:12:34:56"],
    "created_at": "2026-11-22T09:30:00+00:00",
}


def fail(command, times: int) -> Lockouts:
    """Ann fails at her own kiosk, after each wait."""
    with command.desk().site() as site:
        lockouts = Lockouts(site.database)
        for _ in range(times):
            command.clock.pass_(hours=2)
            lockouts.reserve(username="ann", kiosk_id="lobby-1", is_own_kiosk=True, now=command.clock())


def test_list_and_show_tell_standing_and_kiosks_and_no_secret(with_ann):
    assert with_ann.json("user", "list") == {"users": [ANN]}
    more = {"factors_changed_at": ANN["created_at"], "exempt_from": [], "further_templates": []}
    shown = {"user": ANN | more, "failures": [], "gateway_allowed": False}
    assert with_ann.json("user", "show", "Ann") == shown | {"pending_change": None, "invitation": None}
    assert "ann   enabled   lobby-1  2026-11-22" in with_ann("user", "list").stdout
    shown = with_ann("user", "show", "ann").stdout + with_ann("user", "list").stdout
    assert "kiosks:         lobby-1" in shown
    assert "JBSWY3DP" not in shown and "$2b$" not in shown


def test_disable_asks_first(with_ann):
    refused = with_ann("user", "disable", "ann", typed="n\n")
    assert refused.exit_code == 1
    assert "ann will not be able to log in anywhere. Disable the account?" in refused.stderr
    assert with_ann.json("user", "show", "ann")["user"]["enabled"]


def test_disable_and_enable(with_ann):
    assert with_ann("user", "disable", "ann", "--yes").stdout == "ann is disabled.\n"
    assert not with_ann.json("user", "show", "ann")["user"]["enabled"]
    assert with_ann("user", "enable", "ann").stdout == "ann is enabled.\n"
    assert with_ann.json("user", "show", "ann")["user"]["enabled"]


def test_unlock_ends_a_wait(with_ann):
    fail(with_ann, 5)
    with with_ann.desk().site() as site:
        assert isinstance(_reserve(site, with_ann), LockedUntil)
    assert with_ann("user", "unlock", "ann").exit_code == 0
    with with_ann.desk().site() as site:
        assert not isinstance(_reserve(site, with_ann), LockedUntil)


def _reserve(site, command):
    return Lockouts(site.database).reserve(username="ann", kiosk_id="lobby-1", is_own_kiosk=True, now=command.clock())


def test_unlock_enables_the_face_that_failures_disabled_and_enable_does_not(with_ann):
    fail(with_ann, 52)
    enabled = with_ann("user", "enable", "ann").stdout
    assert "ann is face disabled." in enabled and "`4auth-provision user unlock` ends that" in enabled
    assert with_ann("user", "unlock", "ann").stdout == "The failures of ann are forgotten.\nann is enabled.\n"
    assert with_ann.json("user", "show", "ann")["user"]["face_enabled"]


def test_unlock_asks_before_it_enables_what_an_administrator_may_have_disabled(with_ann):
    with_ann("user", "disable", "ann", "--yes")
    refused = with_ann("user", "unlock", "ann", typed="n\n")
    assert refused.exit_code == 1 and "perhaps by an administrator" in refused.stderr
    assert not with_ann.json("user", "show", "ann")["user"]["enabled"]
    assert with_ann("user", "unlock", "ann", "--yes").exit_code == 0
    assert with_ann.json("user", "show", "ann")["user"]["enabled"]


@pytest.mark.parametrize("verb", ["show", "enable", "disable", "unlock"])
@pytest.mark.parametrize(
    ("name", "exit_code", "message"),
    [
        ("bob", 1, "there is no account bob: `4auth-provision user list` tells which there are"),
        ("", 2, "a name has 1 to 64 characters"),
        ("b" * 300, 2, "a name has 1 to 64 characters"),
        ("bob\x1b[2J", 2, "a name has letters, digits, space and . ' _ @ - only"),
    ],
)
def test_refused(with_ann, verb, name, exit_code, message):
    result = with_ann("user", verb, name)
    assert result.exit_code == exit_code
    assert message in " ".join(result.stderr.split())
    assert "\x1b" not in result.stderr


def test_each_act_is_audited_under_the_persons_name(with_ann):
    for verb in ("disable", "enable", "unlock"):
        assert with_ann("user", verb, "ann", *(["--yes"] if verb != "enable" else [])).exit_code == 0
    with_ann("user", "unlock", "bob")
    rows = [(row["action"], row["username"], row["success"]) for row in with_ann.audit_rows()][-4:]
    assert rows == [
        ("admin.user.disable", "ann", True),
        ("admin.user.enable", "ann", True),
        ("admin.user.unlock", "ann", True),
        ("admin.user.unlock", "bob", False),
    ]
