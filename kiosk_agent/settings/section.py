"""What every part of the settings is."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A part of the settings: it cannot be changed, and knows each of its keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")
