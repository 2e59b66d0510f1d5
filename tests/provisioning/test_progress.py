"""How far a long command has come is told on a terminal, and nowhere else."""

import io
from types import SimpleNamespace

import pytest

from provisioning import progress as module
from provisioning.progress import progress


class Terminal(io.StringIO):
    """What would be drawn on a terminal."""

    def isatty(self) -> bool:
        return True


class Ticking:
    """A clock that goes on by a second whenever it is read."""

    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        self.time += 1
        return self.time


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """A terminal on standard error."""
    screen = Terminal()
    monkeypatch.setattr(module, "sys", SimpleNamespace(stderr=screen))
    return screen


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """A pipe on standard error."""
    stream = io.StringIO()
    monkeypatch.setattr(module, "sys", SimpleNamespace(stderr=stream))
    return stream


def test_items_pass_through_unchanged(terminal):
    assert list(progress(["a", "b"], "Reading", clock=Ticking())) == ["a", "b"]
    assert "Reading" in terminal.getvalue() and "100%" in terminal.getvalue() and "/s" in terminal.getvalue()


def test_a_pipe_gets_nothing(pipe):
    assert list(progress(iter("abc"), "Reading")) == ["a", "b", "c"]
    with progress(3, "Sealing") as bar:
        bar.advance(3)
    assert pipe.getvalue() == ""


def test_a_process_without_standard_error_goes_on(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "sys", SimpleNamespace(stderr=None))
    assert list(progress([1, 2], "Reading")) == [1, 2]


@pytest.mark.parametrize(
    ("work", "total", "told"),
    [(200, None, "50%"), (None, None, "100"), (iter(range(9)), 200, "50%"), (iter(range(9)), None, "100")],
)
def test_steps_of_a_known_and_an_unknown_number(terminal, work, total, told):
    with progress(work, "Sealing", total=total, clock=Ticking()) as bar:
        bar.advance(60)
        bar.reach(100)
        bar.reach(90)
    assert told in terminal.getvalue()


def test_an_error_inside_ends_the_line_and_goes_on(terminal):
    with pytest.raises(ValueError, match="inside"), progress(10, "Sealing", clock=Ticking()):
        raise ValueError("inside")
    assert terminal.getvalue().endswith("\n")


def test_it_is_drawn_a_few_times_a_second_whatever_passes(terminal):
    still = iter([0.0] * 5_000)
    list(progress(range(1000), "Reading", clock=lambda: next(still)))
    assert terminal.getvalue().count("Reading") < 5
