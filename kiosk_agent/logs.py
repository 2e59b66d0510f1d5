"""JSON lines on standard error, one shape for our own lines and for those of libraries."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import structlog


def configure_logging(level: str, *, is_silent: bool = False) -> None:
    """Route structlog and the standard library's loggers to JSON lines from `level` upwards, or to nowhere."""
    shared: list[structlog.typing.Processor] = [
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
    handler = logging.NullHandler() if is_silent else logging.StreamHandler(sys.stderr)
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
    # Libraries know nothing of what is secret here; below warnings they have nothing we need.
    for library in ("urllib3", "requests", "http_message_signatures"):
        logging.getLogger(library).setLevel(logging.WARNING)


@contextmanager
def kept_off_a_page() -> Iterator[None]:
    """Drop what is logged where the program did not say where it goes: structlog would print it into the page."""
    if structlog.is_configured():
        yield
        return
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    try:
        yield
    finally:
        structlog.reset_defaults()
