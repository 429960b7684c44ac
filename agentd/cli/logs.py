"""The log on standard error: one line for each record, which a stranger's text can neither break nor forge."""

from __future__ import annotations

import logging
import sys
from typing import TextIO

from agentd.cli.advice import as_typed
from agentd.host.secrets import masked
from agentd.text.plain import plain


class PlainFormatter(logging.Formatter):
    """Indents every line of a record but the first, so that none can pass for a record of its own.

    Its commands are written as they can be typed here. Secrets are masked in every line: a library may quote an address
    with a key.
    """

    def format(self, record: logging.LogRecord) -> str:
        return "\n    ".join(plain(as_typed(masked(super().format(record)))).splitlines())


class StandardError(logging.StreamHandler[TextIO]):
    """Writes to the current standard error, which prints above the prompt while there is one."""

    def __init__(self, form: str) -> None:
        super().__init__(sys.stderr)
        self.setFormatter(PlainFormatter(form))

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


def log_to_standard_error(level: int | str, form: str) -> None:
    """Write the records of this level and above from now on, unless logging was set up before."""
    logging.basicConfig(level=level, handlers=[StandardError(form)])
