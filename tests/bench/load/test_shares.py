"""Where the processor's controller is found, and what is written to it."""

from pathlib import Path

import pytest

from bench.load.shares import Controller, Cores, Groups, controller_in, usual_share

V1 = "cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,nosuid,relatime,cpu,cpuacct 0 0"
OTHER_V1 = "cgroup /sys/fs/cgroup/cpuset cgroup rw,relatime,cpuset 0 0"


def unified(folder: Path, controllers: str) -> str:
    folder.mkdir(exist_ok=True)
    (folder / "cgroup.controllers").write_text(f"{controllers}\n")
    return f"cgroup2 {folder} cgroup2 rw,nosuid,nodev,noexec,relatime,nsdelegate 0 0"


def test_the_controller_is_found_in_either_version_and_where_both_are_mounted(tmp_path: Path) -> None:
    new, empty = unified(tmp_path / "new", "cpuset cpu io memory"), unified(tmp_path / "empty", "")
    assert controller_in(V1) == Controller(Path("/sys/fs/cgroup/cpu,cpuacct"), 1)
    assert controller_in(f"proc /proc proc rw 0 0\n{new}") == Controller(tmp_path / "new", 2)
    assert controller_in(f"{empty}\n{OTHER_V1}\n{V1}") == Controller(Path("/sys/fs/cgroup/cpu,cpuacct"), 1)


def test_without_a_controller_of_the_processor_there_is_none(tmp_path: Path) -> None:
    gone = "cgroup2 /nowhere/cgroup cgroup2 rw 0 0"
    assert controller_in(f"{OTHER_V1}\n{unified(tmp_path / 'two', 'io memory')}\n{gone}") is None


def test_a_quota_of_version_2(tmp_path: Path) -> None:
    controller = Controller(tmp_path, 2)
    group = controller.make("one")
    controller.weigh(group)
    controller.set_quota(group, 0.5)
    assert (tmp_path / "cgroup.subtree_control").read_text() == "+cpu"
    assert (group / "cpu.max").read_text() == "10000 20000"
    assert (group / "cpu.weight").read_text() == "1000"


def test_a_quota_of_version_1(tmp_path: Path) -> None:
    controller = Controller(tmp_path, 1)
    group = controller.make("one")
    controller.weigh(group)
    controller.set_quota(group, 1.5)
    assert (group / "cpu.cfs_period_us").read_text() == "20000"
    assert (group / "cpu.cfs_quota_us").read_text() == "30000"
    assert (group / "cpu.shares").read_text() == "10240"
    assert not (tmp_path / "cgroup.subtree_control").exists()


def test_a_server_joins_its_own_group_before_it_begins(tmp_path: Path) -> None:
    shares = Groups(Controller(tmp_path, 2), [tmp_path / "a", tmp_path / "b"], 0.5)
    assert shares.servers == 2
    assert shares.within(1)[-1] == str(tmp_path / "b" / "cgroup.procs")
    assert "0.5 of" in shares.told and "version 2" in shares.told


def test_without_groups_the_output_says_that_the_shares_are_not_apart() -> None:
    told = Cores("be root", 2).told
    assert "taskset" in told and "2 can be compared" in told and "take from them" in told and "be root" in told


@pytest.mark.parametrize(
    ("servers", "cores", "share"), [(3, 2, 0.5), (2, 2, 0.75), (1, 2, 1.0), (3, 4, 1.0), (3, 64, 1.0)]
)
def test_half_a_core_is_left_for_all_else(servers: int, cores: int, share: float) -> None:
    assert usual_share(servers, cores) == share
    assert servers * share <= cores - 0.5
