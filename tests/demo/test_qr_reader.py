"""The reader reads every code that 4Auth draws: one that misses a few fails tests of something else, now and then."""

import base64
import random

import cv2
import numpy as np
import pytest

from auth_server.qr import png_of
from demo.qr_reader import read_qr
from demo.terminal import Terminal
from kiosk_agent.screen.png import png
from kiosk_agent.screen.qr import modules, qr_lines

CODES = 100


def uris() -> list[str]:
    drawn = random.Random(8)  # noqa: S311 - the same codes in each run
    secrets = [base64.b32encode(drawn.randbytes(20)).decode() for _ in range(CODES)]
    return [f"otpauth://totp/4Auth%20walk:ann?secret={secret}&issuer=4Auth%20walk" for secret in secrets]


def by_the_server(uri: str) -> str:
    return read_qr(cv2.imdecode(np.frombuffer(png_of(uri), np.uint8), cv2.IMREAD_GRAYSCALE))


def by_the_kiosk(uri: str) -> str:
    return read_qr(cv2.imdecode(np.frombuffer(png(modules(uri), 8), np.uint8), cv2.IMREAD_COLOR))


def on_a_terminal(uri: str) -> str:
    terminal = Terminal(80, 40)
    terminal.feed("\x1b[H" + "\n".join(qr_lines(uri, 80, 40) or ()))
    return terminal.scan()


@pytest.mark.parametrize("drawn", [by_the_server, by_the_kiosk, on_a_terminal])
def test_no_code_is_missed(drawn) -> None:
    assert [uri for uri in uris() if drawn(uri) != uri] == []


def test_where_there_is_no_code_nothing_is_read() -> None:
    assert read_qr(np.full((400, 400), 255, np.uint8)) == ""
