"""The log on standard error: one record is one line that a stranger's words can neither break nor forge."""

from __future__ import annotations

import logging
import sys
from typing import TextIO

from agentd.host.secrets import masked
from agentd.text.plain import plain


class PlainFormatter(logging.Formatter):
    """What follows the first line of a record is indented, so that it cannot pass for a record of its own.

    No line has a secret, whoever wrote it; a library may quote an address with a key.
    """

    def format(self, record: logging.LogRecord) -> str:
        return "\n    ".join(plain(masked(super().format(record))).splitlines())


class StandardError(logging.StreamHandler[TextIO]):
    """Writes to what standard error is at the moment: while a prompt is shown, that prints above it."""

    def __init__(self, form: str) -> None:
        super().__init__(sys.stderr)
        self.setFormatter(PlainFormatter(form))

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


def log_to_standard_error(level: int | str, form: str) -> None:
    """From here on the records of this level and above are written, if nothing else was set up before."""
    logging.basicConfig(level=level, handlers=[StandardError(form)])
