"""Settings of lights and sounds beside the screen."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from kiosk_agent.settings.keypads import GpioPin
from kiosk_agent.settings.section import Section


class NoIndicators(Section):
    """The screen alone tells."""

    kind: Literal["none"]


class GpioIndicators(Section):
    """An LED, of one colour or of three, and a buzzer at GPIO pins; each may be left out."""

    kind: Literal["gpio"]
    led: GpioPin | None = Field(default=None, description="An LED of one colour")
    rgb: tuple[GpioPin, GpioPin, GpioPin] | None = Field(default=None, description="Red, green and blue of one LED")
    buzzer: GpioPin | None = Field(default=None, description="A buzzer")
    tone_hz: float | None = Field(
        default=None, ge=220, le=880, description="For a buzzer that needs a tone made for it; left out: a plain one"
    )
    active_high: bool = Field(default=True, description="Whether LEDs and a plain buzzer are on while the pin is high")
    clicks: bool = Field(default=True, description="Whether each key is heard")

    @model_validator(mode="after")
    def _pins_are_apart(self) -> "GpioIndicators":
        pins = [pin for pin in (self.led, self.buzzer, *(self.rgb or ())) if pin is not None]
        if self.led is not None and self.rgb is not None:
            raise ValueError("led and rgb: only one of them is the kiosk's LED")
        if not pins:
            raise ValueError('led, rgb and buzzer are all left out: use kind = "none"')
        if len(set(pins)) != len(pins):
            raise ValueError("a pin is named twice")
        if self.tone_hz is not None and self.buzzer is None:
            raise ValueError("tone_hz is for a buzzer, and there is none")
        return self


AnyIndicators = Annotated[NoIndicators | GpioIndicators, Field(discriminator="kind")]
"""The settings of all indicators."""
