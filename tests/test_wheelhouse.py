"""What hosts are installed from: which releases, which of their files, and under which name."""

import hashlib

import pytest

from scripts.wheelhouse import PARTS, PROJECT, TARGETS, Pinned, chosen, missing, pinned, present

BY_NAME = {target.name: target for target in TARGETS}
LOCK = r"""# made by a test
old==1.0 ; python_full_version < '3.11.5' \
    --hash=sha256:{0} \
    --hash=sha256:{1}
    # via somebody
new==2.0 ; python_full_version >= '3.11.5' \
    --hash=sha256:{2}
plain==3 \
    --hash=sha256:{0}
windows==4 ; sys_platform == 'win32' \
    --hash=sha256:{0}
""".format("a" * 64, "b" * 64, "c" * 64)


@pytest.mark.parametrize(
    ("target", "names"),
    [("debian-12-x86_64", ["old==1.0", "plain==3"]), ("debian-13-aarch64", ["new==2.0", "plain==3"])],
)
def test_markers_are_those_of_the_host_and_not_of_this_machine(target, names) -> None:
    found = pinned(LOCK, BY_NAME[target])
    assert [one.requirement for one in found] == names
    assert found[-1].line() == f"plain==3 --hash=sha256:{'a' * 64}"


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
@pytest.mark.parametrize("lock", PARTS.values())
def test_every_release_of_the_locks_has_hashes(target, lock) -> None:
    found = pinned((PROJECT / "requirements" / f"{lock}.txt").read_text(), target)
    assert len(found) > 30
    assert all(one.hashes for one in found)


def test_only_files_with_the_right_hash_that_run_there_count(tmp_path) -> None:
    for name, text in {
        "good-1-py3-none-any.whl": b"good",
        "changed-1-py3-none-any.whl": b"changed",
        "alien-1-cp311-cp311-manylinux_2_28_aarch64.whl": b"alien",
        "later-1-cp313-cp313-manylinux_2_28_x86_64.whl": b"later",
        "bound-1-cp39-abi3-manylinux_2_34_x86_64.whl": b"bound",
    }.items():
        (tmp_path / name).write_bytes(text)
    wanted = [Pinned(name, frozenset({hashlib.sha256(name.encode()).hexdigest()})) for name in ("good", "bound")]
    others = [Pinned(name, frozenset({hashlib.sha256(name.encode()).hexdigest()})) for name in ("alien", "later")]
    bad = Pinned("changed", frozenset({hashlib.sha256(b"as it was").hexdigest()}))
    there = present(tmp_path, BY_NAME["debian-12-x86_64"])
    assert missing([*wanted, *others, bad], there) == [*others, bad]
    assert [path.name.partition("-")[0] for path in chosen(wanted, there)] == ["good", "bound"]
