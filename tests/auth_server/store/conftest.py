"""Processes that use a store while a test does something to it."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

_PREAMBLE = """
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from auth_server.keyring import Keyring
from auth_server.store.database import open_database

keyring = Keyring.load(Path(sys.argv[1]))
database = open_database(Path(sys.argv[2]), keyring)


def in_threads(count, work):
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(work, range(count)))


def wait_for_all():
    print("ready", flush=True)
    sys.stdin.readline()


def is_enough():
    return Path(sys.argv[2]).with_name("enough").exists()

"""


@pytest.fixture
def run_beside() -> Callable[[Any, int, str, Callable[[], bool]], list[str]]:
    """Run Python text in several processes, and do something again and again until they have ended.

    What they print comes back as lines. The text finds `keyring`, `database` and
    `in_threads(count, work)`, and calls `wait_for_all()` when it is ready to begin. It works on
    until `is_enough()`: when what is done meanwhile has said so by returning true.
    """

    def run(own: Any, count: int, text: str, meanwhile: Callable[[], bool]) -> list[str]:
        command = [sys.executable, "-c", _PREAMBLE + text, str(own.folder), str(own.path)]
        children = [
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(count)
        ]
        try:
            for child in children:
                assert child.stdout is not None
                assert child.stdout.readline() == "ready\n"
            for child in children:
                assert child.stdin is not None
                child.stdin.write("go\n")
                child.stdin.flush()
            while any(child.poll() is None for child in children):
                if meanwhile():
                    own.path.with_name("enough").touch()
            lines = [line for child in children for line in child.communicate(timeout=60)[0].splitlines()]
            assert [child.returncode for child in children] == [0] * count
            return lines
        finally:
            for child in children:
                if child.poll() is None:
                    child.kill()
                    child.communicate()

    return run
