"""The keeper of a camera: what each fault is told as, that it ends, and that nothing is left hanging."""

import threading

import numpy as np
import pytest

from kiosk_agent.camera.keeper import Keeper
from kiosk_agent.camera.tending import Tending, Wants
from kiosk_agent.errors import CameraFault
from kiosk_agent.settings import OpencvCamera
from kiosk_agent.vocabulary import CameraState as State

SETTINGS = OpencvCamera(kind="opencv", device=0, read_timeout_s=2, open_timeout_s=3)
IDLE, WARM, READY, PICTURE = Wants(), Wants(is_warm=True), Wants(is_ready=True), Wants(picture=True)


class Device:
    """A camera with a lens to cover, a plug to pull and a program beside it."""

    is_live = True
    form = "64x48"

    def __init__(self, clock) -> None:
        self._clock = clock
        self._noise = np.random.default_rng(1)
        self.fault: Exception | None = None
        self.level, self.is_frozen = 120, False
        self.takes_s = 1 / 15
        self.is_open, self.openings, self.reads, self.closings = False, 0, 0, 0
        self._last = self._picture()
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()

    def open(self) -> None:
        self.openings += 1
        self._fail()
        self.is_open = True

    def read(self) -> np.ndarray:
        assert self.is_open
        self.reads += 1
        self.entered.set()
        assert self.gate.wait(20)
        self._clock.sleep(self.takes_s)
        self._fail()
        if not self.is_frozen:
            self._last = self._picture()
        return self._last

    def follow(self, movement) -> None:
        pass

    def close(self) -> None:
        self.closings += 1
        self.is_open = False

    def _fail(self) -> None:
        if self.fault is not None:
            raise self.fault

    def _picture(self) -> np.ndarray:
        strength = 4 if self.level else 0  # a sensor without any light can give equal pictures
        noise = self._noise.integers(-strength, strength + 1, (48, 64, 3))
        return np.clip(self.level + noise, 0, 255).astype(np.uint8)


@pytest.fixture
def device(clock) -> Device:
    return Device(clock)


@pytest.fixture
def tending(device, clock) -> Tending:
    return Tending(device, SETTINGS, clock.monotonic)


@pytest.fixture
def run(tending, clock):
    """Lets time pass, with a turn whenever one is due."""

    def run_for(seconds: float, wants: Wants = IDLE) -> None:
        ends = clock.moved_s + seconds
        while clock.moved_s < ends:
            clock.sleep(max(tending.turn(wants), 1e-3))

    return run_for


def told(state: State, text: str = "x") -> CameraFault:
    return CameraFault("0", text, "do something", state)


def breaks(device: Device, how: str) -> None:
    if how == "frozen":
        device.is_frozen = True
    elif how == "dark":
        device.level = 2
    elif how == "slow":
        device.takes_s = 0.8
    elif how == "wedged":
        device.takes_s = 2.5
    else:
        device.fault = ZeroDivisionError("x") if how == "raises" else told(State(how))


def is_mended(device: Device) -> None:
    device.fault, device.is_frozen, device.level, device.takes_s = None, False, 120, 1 / 15


FAULTS = [
    ("unplugged", State.UNPLUGGED),
    ("busy", State.BUSY),
    ("failed", State.FAILED),
    ("raises", State.FAILED),
    ("wedged", State.FAILED),
    ("frozen", State.FROZEN),
    ("dark", State.DARK),
    ("slow", State.SLOW),
]


@pytest.mark.parametrize(("how", "state"), FAULTS)
@pytest.mark.parametrize("wants", [IDLE, WARM])
def test_each_fault_is_known_before_a_person_comes_and_ends_with_its_cause(
    how, state, wants, device, tending, run
) -> None:
    run(12, wants)
    assert tending.seen.state is State.OK
    breaks(device, how)
    run(20, wants)
    assert tending.seen.state is state
    assert (tending.seen.fault is None) == (state in {State.DARK, State.SLOW})
    is_mended(device)
    run(12, wants)
    assert (tending.seen.state, tending.seen.fault) == (State.OK, None)


@pytest.mark.parametrize("how", ["unplugged", "busy", "failed", "frozen", "wedged"])
def test_it_is_back_within_ten_seconds_however_long_it_was_away(how, device, tending, run, clock) -> None:
    breaks(device, how)
    run(300)
    assert tending.seen.state is not State.OK
    is_mended(device)
    ended = clock.moved_s
    while (wait_s := tending.turn(IDLE)) and tending.seen.state is not State.OK:
        clock.sleep(wait_s)
    assert clock.moved_s - ended <= 10


def test_it_is_opened_again_at_intervals_that_double(device, tending, clock) -> None:
    breaks(device, "unplugged")
    waits = [tending.turn(IDLE)]
    while len(waits) < 7:
        clock.sleep(waits[-1])
        waits.append(tending.turn(IDLE))
    assert waits == [0.5, 1, 2, 4, 8, 8, 8]


@pytest.mark.parametrize("wants", [IDLE, WARM, READY, PICTURE])
def test_a_device_that_failed_while_it_was_opened_is_let_go_of(wants, device, tending, clock) -> None:
    breaks(device, "failed")
    for _ in range(3):
        clock.sleep(tending.turn(wants))
    tending.end()
    assert device.closings == device.openings == 3


def test_somebody_who_waits_is_reason_to_try_at_once(device, tending, run) -> None:
    breaks(device, "busy")
    run(60)
    is_mended(device)
    tending.turn(PICTURE)
    assert (tending.seen.state, tending.seen.number) == (State.OK, 1)


def test_between_probes_the_camera_is_left_alone(device, run) -> None:
    run(100)
    assert not device.is_open
    assert 9 <= device.openings <= 11
    assert device.reads <= 2 * device.openings


def test_a_probe_that_is_in_doubt_looks_on_for_some_seconds_at_most(device, tending, run) -> None:
    breaks(device, "dark")
    run(9)
    assert device.reads > 10 and not device.is_open
    assert tending.seen.state is State.DARK


def test_while_it_is_warm_it_streams_and_then_nobody_is_seen(device, tending, run) -> None:
    run(3, WARM)
    assert device.reads > 30 and device.is_open
    assert tending.seen.picture is not None
    tending.turn(IDLE)
    assert tending.seen.picture is None and not device.is_open


def test_without_warmth_it_stays_open_for_the_next_picture_and_not_for_long(device, tending, run) -> None:
    tending.turn(READY)
    tending.turn(PICTURE)
    run(4)
    assert device.is_open and device.openings == 1
    run(3)
    assert not device.is_open


@pytest.mark.parametrize(("is_frozen", "numbers"), [(True, 1), (False, 5)])
def test_a_picture_equal_to_the_one_before_is_not_given(is_frozen, numbers, device, tending) -> None:
    device.is_frozen = is_frozen
    for _ in range(5):
        tending.turn(PICTURE)
    assert tending.seen.number == numbers


def test_dark_pictures_are_given_even_where_they_are_equal(device, tending, run) -> None:
    device.level = 0
    run(10, WARM)
    assert (tending.seen.state, tending.seen.fault) == (State.DARK, None)
    assert tending.seen.number > 50


def test_a_hand_before_the_lens_is_no_darkness(device, tending, run) -> None:
    run(3, WARM)
    breaks(device, "dark")
    run(1, WARM)
    is_mended(device)
    run(1, WARM)
    assert tending.seen.state is State.OK


def test_a_late_answer_is_thrown_away(device, tending) -> None:
    breaks(device, "wedged")
    tending.turn(PICTURE)
    assert tending.seen.number == 0
    assert "gave no answer in 2 s" in str(tending.seen.fault)
    assert not device.is_open


# --- with its thread


@pytest.fixture
def keeper(device, clock):
    before = threading.active_count()
    made = Keeper(device, SETTINGS, clock.monotonic)
    made.start()
    yield made
    device.gate.set()
    made.close()
    made._thread.join(20)
    assert threading.active_count() == before, "no thread is left"
    assert not device.is_open


def test_a_person_gets_one_picture_after_the_other(keeper) -> None:
    keeper.prepare()
    pictures = [keeper.grab() for _ in range(4)]
    assert len({picture.tobytes() for picture in pictures}) == 4
    assert (keeper.state, keeper.fault, keeper.latest()) == (State.OK, None, None)


def test_a_warm_camera_shows_its_newest_picture_and_a_cold_one_nothing(keeper) -> None:
    keeper.warm(True)
    keeper.prepare()
    keeper.grab()
    assert keeper.latest() is not None
    keeper.warm(False)
    assert keeper.latest() is None


@pytest.mark.parametrize(("how", "state"), [row for row in FAULTS if row[0] in {"unplugged", "busy", "raises"}])
def test_a_fault_reaches_who_waits_with_its_state_and_is_tried_again_for_the_next(how, state, device, keeper) -> None:
    keeper.prepare()
    breaks(device, how)
    with pytest.raises(CameraFault) as caught:
        for _ in range(3):
            keeper.grab()
    assert (caught.value.state, keeper.state) == (state, state)
    is_mended(device)
    keeper.prepare()
    assert keeper.grab() is not None
    assert keeper.fault is None


def test_a_hang_in_the_midst_of_a_capture_stops_nobody_and_piles_nothing_up(device, keeper, clock) -> None:
    keeper.prepare()
    keeper.grab()
    threads = threading.active_count()
    device.entered.clear()
    device.gate.clear()
    keeper.warm(True)
    assert device.entered.wait(20)
    stuck_since = keeper.progress_at
    clock.sleep(2.5)
    for _ in range(5):
        with pytest.raises(CameraFault, match="gave no answer in 2 s"):
            keeper.grab()
    assert (keeper.state, keeper.progress_at) == (State.FAILED, stuck_since)
    assert "gave no answer" in keeper.fault
    assert threading.active_count() == threads
    faults = keeper._tending.seen.faults
    device.gate.set()
    with keeper._changed:
        assert keeper._changed.wait_for(lambda: keeper._tending.seen.faults > faults, 20)
    keeper.prepare()
    assert keeper.grab() is not None, "it serves again when the driver has come back"
    assert keeper.state is State.OK


def test_a_driver_that_hangs_at_the_end_lets_the_agent_end(device, keeper, clock) -> None:
    device.entered.clear()
    device.gate.clear()
    keeper.warm(True)
    assert device.entered.wait(20)
    clock.sleep(2.5)
    keeper.close()
    assert keeper._thread.is_alive(), "it is a daemon, and ends when the driver comes back"


def test_who_waits_is_told_when_the_camera_is_closed(device, keeper) -> None:
    device.gate.clear()
    device.entered.clear()
    faults = []

    def wait() -> None:
        with pytest.raises(CameraFault, match="was stopped") as caught:
            keeper.grab()
        faults.append(caught.value)

    waiting = threading.Thread(target=wait)
    waiting.start()
    assert device.entered.wait(20)
    with keeper._changed:
        keeper._is_stopping = True
        keeper._changed.notify_all()
    waiting.join(20)
    assert len(faults) == 1


def test_it_makes_progress_while_there_is_nothing_to_do(keeper, clock) -> None:
    keeper.prepare()
    keeper.grab()
    clock.sleep(100)
    assert keeper.progress_at == pytest.approx(clock.moved_s, abs=5)
