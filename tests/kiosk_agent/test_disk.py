"""What is wrong with a disk, found without writing to it."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from kiosk_agent.agent import Running
from kiosk_agent.bootstrap import build
from kiosk_agent.camera_watch import CAMERA_STALL_S
from kiosk_agent.disk import FREE_MIN_BYTES, disk_fault, disk_of
from kiosk_agent.health import STALL_S

MOUNT = "5200 5098 {device} / {place} {own},nosuid,relatime shared:1649 master:169 - {kind} /dev/mmcblk0p2 {all}\n"


def mounted(tmp_path: Path, *, own: str = "rw", everybodys: str = "rw") -> Path:
    """A list of mounts: proc's, and that of a folder's file system, with the options of the mount and its own."""
    device = tmp_path.stat().st_dev
    lines = MOUNT.format(device="0:290", place="/proc", own="ro", kind="proc", all="ro")
    numbers = f"{os.major(device)}:{os.minor(device)}"
    lines += MOUNT.format(device=numbers, place=tmp_path, own=own, kind="ext4", all=f"{everybodys},errors=remount-ro")
    mounts = tmp_path / "mountinfo"
    mounts.write_text(lines)
    return mounts


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
def test_each_state_of_a_disk(look, is_read_only, fault, tmp_path) -> None:
    mounts = mounted(tmp_path, own="ro", everybodys="ro")
    found = disk_fault(tmp_path, is_read_only=is_read_only, look=look, mounts=mounts)
    assert (found is None) if fault is None else (str(tmp_path) in found and fault in found)


@pytest.mark.parametrize(("free", "fault"), [(2**30, None), (0, "0 KiB free")])
def test_a_disk_that_its_unit_alone_may_not_write_is_well(free, fault, tmp_path) -> None:
    """As ProtectSystem=strict shows every disk to the agent."""
    look = disk(free=free, flags=os.ST_RDONLY)
    found = disk_fault(tmp_path, is_read_only=False, look=look, mounts=mounted(tmp_path, own="ro"))
    assert (found is None) if fault is None else fault in found


def test_a_file_system_that_is_not_listed_is_what_its_mount_says(tmp_path) -> None:
    (tmp_path / "none").write_text("")
    found = disk_fault(tmp_path, is_read_only=False, look=disk(flags=os.ST_RDONLY), mounts=tmp_path / "none")
    assert "is read-only" in found


def test_where_copies_of_secrets_lie_over_the_keys_folder_the_disk_is_above_it(tmp_path) -> None:
    """Every folder here is on one file system, so memory is played by another one."""
    assert disk_of(tmp_path, {}) == tmp_path
    assert disk_of(tmp_path, {"CREDENTIALS_DIRECTORY": "/proc"}) == tmp_path
    assert disk_of(Path("/proc/self"), {"CREDENTIALS_DIRECTORY": "/proc"}) == Path("/")
    assert disk_of(tmp_path, {"CREDENTIALS_DIRECTORY": str(tmp_path / "gone")}) == tmp_path


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
