"""A thread for calls into a driver that may never come back.

One thread, one call at a time: while a call hangs, the next is refused at once instead of piling
threads up behind it, and when it does come back its late result is thrown away.
"""

from collections.abc import Callable
from queue import SimpleQueue
from threading import Condition, Thread
from typing import Generic, TypeVar

_T = TypeVar("_T")


class _Call(Generic[_T]):
    """One call and its answer."""

    def __init__(self, function: Callable[[], _T]) -> None:
        self._function = function
        self._done = Condition()
        self._is_done = False
        self._result: _T | None = None
        self._error: Exception | None = None

    @property
    def is_done(self) -> bool:
        return self._is_done

    def run(self) -> None:
        try:
            self._result = self._function()
        except Exception as error:  # handed to the caller in `wait`
            self._error = error
        with self._done:
            self._is_done = True
            self._done.notify_all()

    def wait(self, timeout_s: float) -> _T:
        with self._done:
            if not self._done.wait_for(lambda: self._is_done, timeout_s):
                raise TimeoutError
        if self._error is not None:
            raise self._error
        return self._result  # type: ignore[return-value]  # done without an error, so it is a _T


class DriverThread:
    """Runs calls in one daemon thread, each with a time-out."""

    def __init__(self, name: str) -> None:
        self._calls: SimpleQueue[_Call[object] | None] = SimpleQueue()
        self._running: _Call[object] | None = None
        Thread(target=self._work, name=name, daemon=True).start()

    @property
    def is_stuck(self) -> bool:
        """Whether an earlier call has not come back yet."""
        return self._running is not None and not self._running.is_done

    def call(self, function: Callable[[], _T], timeout_s: float) -> _T:
        """Return what the function returns, or raise what it raises.

        Raises TimeoutError after `timeout_s`, or at once while an earlier call is stuck.
        """
        if self.is_stuck:
            raise TimeoutError
        call = _Call(function)
        self._running = call  # type: ignore[assignment]  # its result goes to this caller alone
        self._calls.put(self._running)
        return call.wait(timeout_s)

    def close(self) -> None:
        """Let the thread end after its present call."""
        self._calls.put(None)

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            call.run()
