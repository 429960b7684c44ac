"""Text that a terminal may be given: nothing in it can move the cursor, set a title or colour what it should not."""

from __future__ import annotations

import re

_CONTROL = re.compile(
    r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?"  # operating system commands (titles, links, clipboard)
    r"|\x1b[PX^_][^\x1b]*(?:\x1b\\)?"  # device control and other strings
    r"|\x1b\[[0-?]*[ -/]*[@-~]?"  # control sequences
    r"|\x1b[ -/]*[0-~]?"  # other escapes
    r"|[\x00-\x08\x0b-\x1f\x7f-\x9f]"  # control characters but line feed and tab
    r"|[\u202a-\u202e\u2066-\u2069]"  # bidirectional overrides, which can make text read as another one
)


def plain(text: str) -> str:
    """`text` without control and escape sequences (ECMA-48), line feeds and tabs excepted."""
    return _CONTROL.sub("", text)
