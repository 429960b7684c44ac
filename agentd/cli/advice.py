"""How this program is called here, so that what is printed as advice can be typed as it stands."""

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
    """What to type in a shell to run this program: `agentd` where the PATH leads to it, else as it was called now."""
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
    """A text of agentd's own with its advice, such as `agentd model list`, as it can be typed here."""
    typed = program()
    return text if typed == NAME else _ADVICE.sub(lambda _: f"`{typed}", text)
