"""What is wrong with a disk, found without writing to it."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from kiosk_agent.agent import Running
from kiosk_agent.bootstrap import build
from kiosk_agent.camera_watch import CAMERA_STALL_S
from kiosk_agent.disk import FREE_MIN_BYTES, disk_fault
from kiosk_agent.health import STALL_S

FOLDER = Path("/var/lib/4auth")


def disk(free: int = 2**30, flags: int = 0):
    return lambda _folder: SimpleNamespace(f_bavail=free // 4096, f_frsize=4096, f_flag=flags)


@pytest.mark.parametrize(
    ("look", "is_read_only", "fault"),
    [
        (disk(), False, None),
        (disk(free=FREE_MIN_BYTES), False, None),
        (disk(free=FREE_MIN_BYTES - 4096), False, "8188 KiB free"),
        (disk(free=0), False, "0 KiB free"),
        (disk(flags=os.ST_RDONLY), False, "is read-only"),
        (disk(flags=os.ST_RDONLY), True, None),
        (disk(free=0, flags=os.ST_RDONLY), True, None),
        (disk(free=0), True, "0 KiB free"),
    ],
)
def test_each_state_of_a_disk(look, is_read_only, fault) -> None:
    found = disk_fault(FOLDER, is_read_only=is_read_only, look=look)
    assert (found is None) if fault is None else (str(FOLDER) in found and fault in found)


def test_a_folder_that_is_gone_is_told(tmp_path) -> None:
    assert "No such file" in disk_fault(tmp_path / "gone", is_read_only=False)
    assert disk_fault(tmp_path, is_read_only=False) is None


def test_a_full_disk_is_told_to_staff_and_server_and_the_kiosk_serves_on(make_settings, server, around, clock) -> None:
    services = build(make_settings(server={"url": server.url, "pins": [server.pin]}), around)
    server.kiosk_key = services.identity.key.public_key()
    object.__setattr__(services.heartbeat, "disk", lambda: "disk: /x has 0 KiB free: remove what fills it")
    running = Running(services)
    running.agent.handle(services.heartbeat.beat())
    assert services.health.faults == {}
    assert any("0 KiB free" in fault for fault in server.at("/v1/heartbeat")[0].json["faults"])
    services.close()


def test_the_watchdog_starves_when_the_loop_or_the_camera_stands_still(make_settings, around, clock) -> None:
    services = build(make_settings(), around)
    running = Running(services)
    camera = SimpleNamespace(progress_at=0.0)
    object.__setattr__(services, "camera", camera)
    services.health.turn()
    assert running._is_alive()
    clock.sleep(STALL_S + 1)
    assert not running._is_alive(), "the loop"
    services.health.turn()
    assert running._is_alive()
    clock.sleep(CAMERA_STALL_S - STALL_S)
    services.health.turn()
    assert not running._is_alive(), "the camera's thread"
    camera.progress_at = clock.moved_s
    assert running._is_alive()
    services.close()
