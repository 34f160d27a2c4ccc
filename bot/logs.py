"""Logging: one structured line per event on stderr, with every known secret masked before it is written."""

import logging
import sys
from typing import Any, TextIO

import structlog

from bot.core.redact import LiveRedactor


class MaskValues:
    """Masks secrets in every text of a log record."""

    def __init__(self, redactor: LiveRedactor) -> None:
        self._redactor = redactor

    def __call__(self, _logger: Any, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        return {key: self._mask(value) for key, value in event.items()}

    def _mask(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._redactor.mask(value)
        if isinstance(value, list | tuple):
            return [self._mask(item) for item in value]
        if isinstance(value, dict):
            return {key: self._mask(item) for key, item in value.items()}
        return value


def configure_logs(
    level: str, redactor: LiveRedactor, *, terminal: bool | None = None, stream: TextIO | None = None
) -> None:
    """Sets up structlog and the standard library's loggers. Terminal: readable lines; otherwise one JSON a line.

    `stream` takes the lines instead of stderr."""
    out = sys.stderr if stream is None else stream
    readable = out.isatty() if terminal is None else terminal
    number = getattr(logging, level.upper(), logging.INFO)
    plain = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback, pad_event_to=24)
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        MaskValues(redactor),
    ]
    renderer: structlog.typing.Processor = plain if readable else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(out),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processor=renderer, foreign_pre_chain=shared))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(number, logging.WARNING))
