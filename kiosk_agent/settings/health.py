"""Settings of the local health port."""

from typing import Literal

from pydantic import Field

from kiosk_agent.settings.section import Section


class HealthSettings(Section):
    """The local port of liveness, readiness and Prometheus metrics."""

    host: Literal["127.0.0.1", "::1"] = "127.0.0.1"
    port: int = Field(ge=1, le=65535)
