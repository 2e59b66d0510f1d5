"""Every line on standard error is one JSON object, whoever wrote it."""

import json
import subprocess
import sys

PROGRAM = """
import logging, structlog
from gunicorn.config import Config
from auth_server.logs import GunicornLogger, configure_logging

configure_logging("info")
structlog.get_logger("ours").info("request", status=200)
structlog.get_logger("ours").debug("not shown")
logging.getLogger("alembic").warning("theirs, with a %s", "value")
logging.getLogger("alembic").debug("not shown")
logging.getLogger("urllib3.connection").warning("not shown: it quotes URLs, %s", "https://hooks.example/?token=x")
logging.getLogger("odd").info("two\\nlines \\x1b[2J \\u202e")
logger = GunicornLogger(Config())
logger.info("Listening at: %s", "https://127.0.0.1")
try:
    1 / 0
except ZeroDivisionError:
    logger.exception("Socket error")
"""


def lines():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    return [json.loads(line) for line in done.stderr.splitlines()]


def test_our_lines_and_those_of_libraries_have_one_shape():
    found = lines()
    assert [line["event"] for line in found] == [
        "request",
        "theirs, with a value",
        "two\nlines \x1b[2J \u202e",
        "Listening at: https://127.0.0.1",
        "Socket error",
    ]
    for line in found:
        assert {"event", "level", "logger", "timestamp"} <= set(line)
        assert line["timestamp"].endswith("Z")
    assert found[0]["status"] == 200
    assert found[0]["logger"] == "ours"


def test_a_terminal_that_shows_the_log_is_not_steered_by_it():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, check=True)
    assert b"\x1b" not in done.stderr
    assert done.stderr.isascii()
