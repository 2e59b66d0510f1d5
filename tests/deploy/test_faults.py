"""What can happen to a kiosk: it shows why it does not serve, opens no door, and is back when the cause is gone."""

import shutil
import time

import pytest

from tests.deploy.drills import IN_DRILLS, OPENED, compile_library, drop_in, kiosk_settings, wait_until
from tests.deploy.lab import KIOSK, SERVER
from tests.deploy.latch import LEVEL, latch

pytestmark = [pytest.mark.slow, pytest.mark.deploy, IN_DRILLS]

BACK_WITHIN_S = 30.0
"""A kiosk asks every 3 s whether it may serve again; the rest is a machine that others use too."""

CLOCK = "/srv/lab/clock"
DROP = "nft insert rule inet filter input tcp dport 8443 drop"


def test_a_kiosk_whose_cable_is_out_says_so_and_is_back_with_it(drill):
    drill.site.lab.plug(KIOSK, is_in=False)
    drill.is_shut_with("It has no network.")
    back = time.time()
    drill.site.lab.plug(KIOSK, is_in=True)
    assert drill.is_back(back) < BACK_WITHIN_S
    drill.door_stayed_shut()


def test_a_kiosk_whose_server_lets_nobody_through_is_back_when_it_does(drill):
    drill.site.lab.ssh(SERVER, DROP)
    drill.is_shut_with("The login service cannot be reached.")
    drill.types_in_vain()
    back = time.time()
    drill.site.lab.ssh(SERVER, "systemctl reload nftables")
    assert drill.is_back(back) < BACK_WITHIN_S
    drill.door_stayed_shut()


def test_a_kiosk_tells_its_secrets_to_no_server_but_the_pinned_one(drill):
    """It sends nothing at all: the server hears no sign of life, and has nothing to write a row of."""
    rows = drill.newest_row()
    changed = time.time()
    with kiosk_settings(drill.site.lab, r"^pins = \[.*?\]", f'pins = ["{"0" * 64}"]'):
        drill.is_shut_with("The login service could not prove that it is the right one.", changed)
        seen = drill.site.provision("kiosk", "show", KIOSK.name)["kiosk"]["last_seen_at"]
        drill.types_in_vain()
        fault = drill.kiosk_faults()["server"]
        assert fault.startswith("the server's key has the SHA-256 ") and "0" * 64 in fault
        assert not [row for row in drill.rows_since(rows) if row["kiosk_id"] == KIOSK.name]
        assert drill.site.provision("kiosk", "show", KIOSK.name)["kiosk"]["last_seen_at"] == seen
        back = time.time()
    assert drill.is_back(back) < BACK_WITHIN_S
    drill.door_stayed_shut()


def test_a_kiosk_that_is_shut_out_says_so_until_it_is_let_in_again(drill):
    rows = drill.newest_row()
    drill.site.provision("kiosk", "disable", KIOSK.name, "--yes")
    drill.is_shut_with("The login service does not accept this kiosk.")
    drill.types_in_vain()
    back = time.time()
    drill.site.provision("kiosk", "enable", KIOSK.name)
    assert drill.is_back(back) < BACK_WITHIN_S
    refused = [row for row in drill.rows_since(rows) if row["reason"] == "kiosk_refused"]
    assert refused and {row["kiosk_id"] for row in refused} == {KIOSK.name}
    drill.door_stayed_shut()


@pytest.mark.skipif(
    shutil.which("cc") is None, reason="moving a clock needs a C compiler: scripts/apt-install.sh deploy"
)
def test_a_kiosk_whose_clock_is_three_minutes_late_is_refused_and_says_so(drill, tmp_path):
    lab = drill.site.lab
    compile_library(drill.site.project / "tests/deploy/clock.c", tmp_path / "clock.so")
    lab.send(KIOSK, f"install -D -m 644 /dev/stdin {CLOCK}.so", (tmp_path / "clock.so").read_bytes())
    lab.ssh(KIOSK, f"echo 0 > {CLOCK}")
    rows = drill.newest_row()
    with drop_in(lab, f"Environment=LD_PRELOAD={CLOCK}.so LAB_CLOCK={CLOCK}\n"):
        drill.wait_for('"server_up"')
        off = time.time()
        lab.ssh(KIOSK, f"echo -180 > {CLOCK}")
        drill.is_shut_with("Its clock is wrong.", off)
        drill.types_in_vain()
        refused = next(row for row in drill.rows_since(rows) if row["reason"] == "kiosk_refused")
        assert -185 <= refused["detail"]["skew_s"] <= -175, refused
        back = time.time()
        lab.ssh(KIOSK, f"echo 0 > {CLOCK}")
        assert drill.is_back(back) < BACK_WITHIN_S
    drill.door_stayed_shut()


def test_a_relay_that_was_on_when_the_kiosk_lost_its_power_is_off_once_it_is_up(drill):
    """The relay is one that keeps its state without power, behind the agent's own guard and pin library."""
    lab = drill.site.lab
    level = lab.root(KIOSK) / LEVEL.lstrip("/")
    door = kiosk_settings(lab, r'^kind = "log"$', 'kind = "gpio_relay"\npulse_s = 30.0')
    with latch(lab) as pins, drop_in(lab, pins), door:
        drill.wait_for('"server_up"')
        drill.ada.log_in()
        wait_until(lambda: level.read_text() == "1", "the relay to be on")
        lab.cut(KIOSK)
        assert level.read_text() == "1"
        booted = time.time()
        lab.boot(KIOSK)
        wait_until(lambda: level.read_text() == "0", "the relay to be off")
        drill.tell("relay_off_s", round(level.stat().st_mtime - booted, 1))
        drill.is_back(booted)
        assert level.read_text() == "0"
    assert not [line for line in drill.kiosk_said(booted) if OPENED in line.text]
