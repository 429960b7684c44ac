"""What a session may be called."""

from __future__ import annotations

import unicodedata

from agentd.errors import UsageError
from agentd.ids import is_id

NAME_LENGTH = 64
"""Maximum characters of a session's name."""
LONGEST_NAME = 8 * NAME_LENGTH
"""Maximum characters of a name before its letters and their accents are joined."""


def checked_name(text: str) -> str:
    """The name as it is stored; `UsageError` if it is not allowed."""
    # The time to normalise grows with the square of the number of accents in a row.
    name = unicodedata.normalize("NFC", text) if len(text) <= LONGEST_NAME else text
    if not 1 <= len(name) <= NAME_LENGTH or not name.isprintable() or name != name.strip():
        raise UsageError(
            f"a session's name has 1 to {NAME_LENGTH} visible characters and no blank at its ends; choose such a name."
        )
    if name == "last" or is_id(name):
        raise UsageError(f'"{name}" stands for another session already; choose another name.')
    return name
