"""How this program is called here, so that people can type the advice that agentd prints."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from pathlib import Path

NAME = "agentd"
_ADVICE = re.compile(r"`agentd(?=[ `])")


def program() -> str:
    """What to type in a shell to run this program: `agentd` if it is on the PATH, otherwise as it was called now."""
    called, found = sys.argv[0], shutil.which(NAME)
    if Path(called).name != NAME or (found is not None and _same(found, called)):
        return NAME
    return shlex.quote(called)


def _same(one: str, other: str) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False


def as_typed(text: str) -> str:
    """A text of agentd, with its commands, such as `agentd model list`, as they can be typed here."""
    typed = program()
    return text if typed == NAME else _ADVICE.sub(lambda _: f"`{typed}", text)
