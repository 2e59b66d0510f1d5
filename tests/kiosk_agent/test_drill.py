"""An agent whose camera is made to fail from outside while it runs: what it tells, and that it recovers."""

import json

import cv2
import numpy as np
import pytest

from kiosk_agent.bootstrap import build
from kiosk_agent.events import ServiceUp
from kiosk_agent.vocabulary import CameraState as State
from kiosk_agent.vocabulary import Cause, Step
from tests.kiosk_agent.test_agent import Kiosk


@pytest.fixture
def drill(tmp_path):
    path = tmp_path / "drill"
    return path


@pytest.fixture
def kiosk(tmp_path, drill, server, make_settings, around, clock):
    """A kiosk at rest, whose clock moves on when a turn waits for the camera's thread."""
    for number in range(3):
        noise = np.random.default_rng(number).integers(0, 256, (48, 64, 3)).astype(np.uint8)
        cv2.imwrite(str(tmp_path / f"{number}.png"), noise)
    (tmp_path / "script").write_text(json.dumps({"step": "name", "keys": ["cancel"]}))
    pictures = [str(tmp_path / f"{number}.png") for number in range(3)]
    camera = {"kind": "replay", "sources": pictures, "fps": 15, "drill": str(drill), "detect_frozen": True}
    services = build(make_settings(server={"url": server.url, "pins": [server.pin]}, camera=camera), around)
    server.kiosk_key = services.identity.key.public_key()
    yield Kiosk(services, clock, 99)
    drill.unlink(missing_ok=True)
    services.close()


def until(kiosk: Kiosk, state: State) -> None:
    """Wait for the camera's thread to find out, with its own clock moving."""
    keeper = kiosk.services.camera
    with keeper._changed:
        for _ in range(2000):
            if keeper.state is state:
                break
            kiosk.services.around.sleep(0.05)
            keeper._changed.notify_all()
            keeper._changed.wait(0.01)
    assert keeper.state is state
    kiosk.agent.turn()


@pytest.mark.parametrize("word", ["unplugged", "busy", "failed", "frozen", "dark", "slow"])
def test_what_a_drill_asks_for_is_known_while_nobody_is_there_and_ends_with_it(word, kiosk, drill, clock) -> None:
    until(kiosk, State.OK)
    drill.write_text(f"{word}\n")
    kiosk.services.camera.warm(True)
    until(kiosk, State(word))
    health = kiosk.services.health
    told = health.camera_warning if word in {"dark", "slow"} else health.faults["camera"]
    assert told == kiosk.services.camera.fault
    drill.write_text("")
    until(kiosk, State.OK)
    assert (health.camera_fault, health.camera_warning) == (None, None)


def test_without_a_camera_the_kiosk_is_out_of_service_until_it_is_back(kiosk, drill) -> None:
    until(kiosk, State.OK)
    kiosk.agent.handle(kiosk.services.heartbeat.beat())
    drill.write_text("unplugged")
    kiosk.services.camera.warm(True)
    until(kiosk, State.UNPLUGGED)
    kiosk.agent.handle(ServiceUp())
    assert (kiosk.agent.session.step, kiosk.agent.session.outcome.cause) == (Step.OUT_OF_SERVICE, Cause.CAMERA)
    drill.unlink()
    until(kiosk, State.OK)
    assert kiosk.agent.session.step is Step.ATTRACT


@pytest.mark.parametrize("word", ["dark", "slow"])
def test_a_camera_that_sees_badly_keeps_nobody_out(word, kiosk, drill) -> None:
    drill.write_text(word)
    kiosk.services.camera.warm(True)
    until(kiosk, State(word))
    assert kiosk.agent.session.step is Step.ATTRACT
