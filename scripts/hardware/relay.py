"""The door `gpio_relay` at a real gpiochip: one pulse, and off whoever is killed while it is on."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from checks import Checks, require, wait_for
from cp2112 import Bridge
from gpio_lines import CHIP, say_that_this_is_a_pi

_LINE = 7
_PULSE_S = 4.0
"""So long that a process can be started anew in it, even on a machine that is reckoned (TCG)."""

_AGENT = f"""
import sys
from kiosk_agent.door import open_door
from kiosk_agent.events import VerifiedAssertion
from kiosk_agent.settings.doors import GpioRelayDoor

door = open_door(GpioRelayDoor(kind="gpio_relay", pin={_LINE}, pulse_s={_PULSE_S}), kiosk_id="lobby-1")
print("ready", flush=True)
for line in sys.stdin:
    door.open_for(VerifiedAssertion(username="ann", jti="1", token="-"))
door.close()
"""
"""What the agent does with its door, in a process that can be killed."""

_SETTINGS = f"""
kiosk_id = "lobby-1"
site = "head-office"
key_file = "{{folder}}/device.pem"
interface = "eth0"
[server]
url = "https://127.0.0.1:8443"
pins = ["{{pin}}"]
[camera]
kind = "opencv"
device = "/dev/video0"
[keypad]
kind = "terminal"
[door]
kind = "gpio_relay"
pin = {_LINE}
"""


def run(checks: Checks) -> None:
    """Try it."""
    say_that_this_is_a_pi()
    bridge = Bridge(pulls=0xFF & ~(1 << _LINE))
    wait_for(CHIP.exists, "no gpiochip")
    with checks.check("one pulse, as long as it was asked for") as seen:
        agent = _start()
        require(not _is_on(bridge), "on from the start")
        began_s = _open(agent, bridge)
        wait_for(lambda: not _is_on(bridge), "not off")
        took_s = time.monotonic() - began_s
        require(abs(took_s - _PULSE_S) < 0.5, f"{took_s:.2f} s")
        seen.append(f"on for {took_s:.2f} s of {_PULSE_S:g} s")
    with checks.check("the agent is killed (SIGKILL) while the relay is on: it goes off") as seen:
        began_s = _open(agent, bridge)
        _kill(agent.pid)
        seen.append(_off_after(bridge, time.monotonic()))
    with checks.check("an agent that is started again finds and leaves it off"):
        agent = _start()
        require(not _was_on(bridge), "it was on")
    with checks.check("the process that holds the relay is killed while it is on: another turns it off") as seen:
        _open(agent, bridge)
        _kill(_guard(agent.pid))
        seen.append(_off_after(bridge, time.monotonic()))
    with checks.check("after that the same agent opens the door again"):
        time.sleep(1)
        _open(agent, bridge)
        wait_for(lambda: not _is_on(bridge), "not off")
    with checks.check("both are killed at once while it is on: `4auth-kiosk door --off` turns it off") as seen:
        _open(agent, bridge)
        guard = _guard(agent.pid)
        os.kill(agent.pid, signal.SIGSTOP)
        _kill(guard)
        _kill(agent.pid)
        time.sleep(0.5)
        seen.append(f"until then {'on' if _is_on(bridge) else 'off'}")
        seen.append(_turn_off())
        require(not _is_on(bridge), "still on")
    bridge.pull_out()


def _start() -> "subprocess.Popen[str]":
    program = [sys.executable, "-c", _AGENT]
    agent = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own
    require(agent.stdout is not None and "ready" in agent.stdout.readline(), "the agent did not start")
    return agent


def _open(agent: "subprocess.Popen[str]", bridge: Bridge) -> float:
    if agent.stdin is not None:
        agent.stdin.write("open\n")
        agent.stdin.flush()
    wait_for(lambda: _is_on(bridge), "the relay does not go on")
    return time.monotonic()


def _guard(agent: int) -> int:
    """The agent's one child, whichever thread started it."""
    tasks = Path(f"/proc/{agent}/task").iterdir()
    children = [int(child) for task in tasks for child in (task / "children").read_text().split()]
    require(len(children) == 1, f"children {children}")
    return children[0]


def _turn_off() -> str:
    """What the unit runs when the agent has ended."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Path(folder) / "kiosk.toml"
        settings.write_text(_SETTINGS.format(folder=folder, pin="0" * 64), encoding="utf-8")
        program = [sys.executable, "-m", "kiosk_agent", "door", "--off", "--settings", str(settings)]
        done = subprocess.run(program, capture_output=True, text=True, timeout=60)  # noqa: S603 - our own program
    require(done.returncode == 0, done.stderr)
    return done.stdout.strip()


def _kill(process: int) -> None:
    os.kill(process, signal.SIGKILL)


def _off_after(bridge: Bridge, began_s: float) -> str:
    wait_for(lambda: not _is_on(bridge), "not off", timeout_s=_PULSE_S)
    took_s = time.monotonic() - began_s
    require(took_s < _PULSE_S - 0.5, f"only after {took_s:.2f} s, when the pulse ends anyway")
    return f"off after {1000 * took_s:.0f} ms"


def _is_on(bridge: Bridge) -> bool:
    return bool(bridge.heights()[-1][1] >> _LINE & 1)


def _was_on(bridge: Bridge) -> bool:
    return any(levels >> _LINE & 1 for _, levels in bridge.heights())
