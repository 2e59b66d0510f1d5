"""An LED and a buzzer at GPIO pins, with gpiozero, played by a thread of their own."""

import atexit
from collections.abc import Callable
from queue import SimpleQueue
from threading import Event as Flag
from threading import Thread
from typing import Any, Final

import structlog
from gpiozero.output_devices import LED, RGBLED, Buzzer, TonalBuzzer
from gpiozero.tones import Tone

from kiosk_agent.errors import BackendRefused
from kiosk_agent.events import Step
from kiosk_agent.indicators.signals import CLICK, Light, Sound, light_of, sound_of
from kiosk_agent.settings.indicators import GpioIndicators

_BLINK_S: Final = 0.4


class GpioIndicatorsBackend:
    """Shows and sounds what it is told, in order; `wait` lets tests pass the time."""

    def __init__(self, settings: GpioIndicators, *, wait: Callable[[float], object] | None = None) -> None:
        """Open the pins, all off; raises BackendRefused."""
        self._settings: Final = settings
        self._closed = Flag()
        self._wait = wait or self._closed.wait
        self._told: SimpleQueue[Step | None] = SimpleQueue()
        self._devices: list[Any] = []
        self._is_broken = False
        try:
            self._led = self._open_led()
            self._buzzer = self._open_buzzer()
        except Exception as error:  # each pin library has errors of its own
            self._turn_off()
            raise BackendRefused(f"indicators: {type(error).__name__}: {error}") from error
        self._thread = Thread(target=self._play_all, name="indicators", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def show(self, step: Step) -> None:
        """Show the light of a step, and give its sound."""
        self._told.put(step)

    def click(self) -> None:
        """Let a key be heard, where the settings say so and nothing else is to be played."""
        if self._settings.clicks and self._buzzer is not None and self._told.empty():
            self._told.put(None)

    def close(self) -> None:
        """Turn all off."""
        if not self._closed.is_set():
            self._closed.set()
            atexit.unregister(self.close)
            self._told.put(None)  # wakes the thread
            self._thread.join(2)
            self._turn_off()

    def _play_all(self) -> None:
        while not self._closed.is_set():
            step = self._told.get()
            if self._closed.is_set():
                return
            try:
                if step is not None:
                    self._shine(light_of(step))
                self._sound(CLICK if step is None else sound_of(step))
            except Exception as error:  # without its lights a kiosk still lets people in
                if not self._is_broken:
                    _log().error("indicators_fault", error=f"{type(error).__name__}: {error}")
                self._is_broken = True

    def _shine(self, light: Light) -> None:
        if self._led is None:
            return
        if not light.is_lit:
            self._led.off()
        elif light.is_blinking:
            colours = {} if self._settings.rgb is None else {"on_color": light.colour}
            self._led.blink(_BLINK_S, _BLINK_S, **colours)
        elif self._settings.rgb is None:
            self._led.on()
        else:
            self._led.color = light.colour

    def _sound(self, sound: Sound) -> None:
        if self._buzzer is None:
            return
        try:
            for place, seconds in enumerate(sound):
                self._buzz(is_on=place % 2 == 0)
                self._wait(seconds)
        finally:
            self._buzz(is_on=False)

    def _buzz(self, *, is_on: bool) -> None:
        buzzer: Any = self._buzzer
        if not is_on:
            (buzzer.off if self._settings.tone_hz is None else buzzer.stop)()
        elif self._settings.tone_hz is None:
            buzzer.on()
        else:
            buzzer.play(Tone(frequency=self._settings.tone_hz))

    def _open_led(self) -> Any:
        settings = self._settings
        if settings.rgb is not None:
            red, green, blue = settings.rgb
            return self._opened(RGBLED(red, green, blue, active_high=settings.active_high, pwm=False))
        return None if settings.led is None else self._opened(LED(settings.led, active_high=settings.active_high))

    def _open_buzzer(self) -> Any:
        settings = self._settings
        if settings.buzzer is None:
            return None
        if settings.tone_hz is not None:
            return self._opened(TonalBuzzer(settings.buzzer))
        return self._opened(Buzzer(settings.buzzer, active_high=settings.active_high))

    def _opened(self, device: Any) -> Any:
        self._devices.append(device)
        return device

    def _turn_off(self) -> None:
        for device in self._devices:
            device.close()


def _log() -> structlog.stdlib.BoundLogger:
    logger: structlog.stdlib.BoundLogger = structlog.get_logger("kiosk_agent.indicators")
    return logger
