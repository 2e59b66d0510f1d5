"""The keypad is unplugged while somebody types a password: a running agent, a real thread for each part."""

import time
from dataclasses import replace
from threading import Condition, Thread

import pytest

from kiosk_agent.agent import Running
from kiosk_agent.bootstrap import build
from kiosk_agent.events import Step
from kiosk_agent.keypad.usb import UsbBackend
from kiosk_agent.settings.keypads import UsbKeypad
from tests.kiosk_agent.pads import Machine
from tests.kiosk_agent.test_usb_keypad import BOARD, FULL, key


class Screen:
    """Remembers the view that it shows, and can be waited for."""

    def __init__(self) -> None:
        self._changed = Condition()
        self.view = None

    def connect(self, put, latest) -> None:
        """Has no keys and no preview."""

    def show(self, shown) -> None:
        with self._changed:
            self.view = shown
            self._changed.notify_all()

    def wait(self, is_it) -> float:
        """Return the seconds until the view was so."""
        began_s = time.monotonic()
        with self._changed:
            assert self._changed.wait_for(lambda: self.view is not None and is_it(self.view), 10), self.view
        return time.monotonic() - began_s

    def close(self) -> None:
        pass


@pytest.fixture
def kiosk(server, make_settings):
    """A running agent with a keyboard behind a pipe; gives the machine, the agent and the screen."""
    machine, screen = Machine(), Screen()
    machine.plug(BOARD, "Acme Keyboard", FULL)
    settings = make_settings(
        server={"url": server.url, "pins": [server.pin], "heartbeat_s": 1}, session={"idle_s": 60, "step_s": 60}
    )
    services = build(settings)
    services.keypad.close()
    keypad = UsbBackend(UsbKeypad(kind="usb"), devices=machine)
    services = replace(services, keypad=keypad, screen=screen)
    server.kiosk_key = services.identity.key.public_key()
    running = Running(services)
    thread = Thread(target=running.run)
    thread.start()
    yield machine, running.agent, screen
    running.agent.stop()
    thread.join(20)
    keypad.close()
    services.close()
    for device in machine.opened:
        device.close()


def test_the_session_ends_and_service_is_back_soon(kiosk, server) -> None:
    machine, agent, screen = kiosk
    screen.wait(lambda view: view.step is Step.ATTRACT)
    device = machine.opened[-1]
    device.send(*key("Z"), *key("O"), *key("E"), *key("ENTER"))
    screen.wait(lambda view: view.step is Step.PASSWORD)
    device.send(*key("X"), *key("Y"))
    screen.wait(lambda view: len(view.entry) == 2)
    machine.unplug(BOARD)
    screen.wait(lambda view: view.step is Step.OUT_OF_SERVICE)
    assert not agent.session.has_secret
    assert screen.view.entry is None and "zoe" not in repr(screen.view)
    machine.plug(BOARD, "Acme Keyboard", FULL)
    assert screen.wait(lambda view: view.step is Step.ATTRACT) < 10
    machine.opened[-1].send(*key("B"))
    screen.wait(lambda view: view.step is Step.NAME)
