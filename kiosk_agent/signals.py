"""Signals that would end the program: what has to be put back comes first."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

ENDING: Final = (signal.SIGTERM, signal.SIGHUP)


@contextmanager
def put_back_first(stop: Callable[[], None]) -> Iterator[None]:
    """Where a signal would end this program at once, call `stop` instead, and let it end after this block.

    What the program itself does with a signal stays; and only its main thread can change any of this.
    """
    heard: list[int] = []

    def hear(number: int, _frame: object) -> None:
        heard.append(number)
        stop()

    is_main = threading.current_thread() is threading.main_thread()
    deadly = [number for number in ENDING if is_main and signal.getsignal(number) is signal.SIG_DFL]
    for number in deadly:
        signal.signal(number, hear)
    try:
        yield
    finally:
        for number in deadly:
            signal.signal(number, signal.SIG_DFL)
        if heard:
            os.kill(os.getpid(), heard[0])
