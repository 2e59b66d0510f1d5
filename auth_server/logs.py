"""JSON lines on standard error, one shape for our own lines and for those of libraries."""

import logging
import sys

import structlog
from gunicorn.config import Config
from gunicorn.glogging import Logger


def configure_logging(level: str) -> None:
    """Route structlog and the standard library's loggers to JSON lines from `level` upwards."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # Its warnings quote whole URLs, and what was answered.
    logging.getLogger("urllib3").setLevel(logging.ERROR)


class GunicornLogger(Logger):
    """Hands gunicorn's own lines to the JSON handler instead of writing a second format."""

    def setup(self, cfg: Config) -> None:
        """Keep gunicorn's levels, drop its handlers."""
        super().setup(cfg)  # type: ignore[no-untyped-call]
        self.error_log.handlers.clear()
        self.error_log.propagate = True
