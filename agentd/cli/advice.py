"""How this program is called here, so that people can type the advice that agentd prints."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentd.serving.protocol import Answer

NAME = "agentd"
HOW_TO_TYPE = "In a shell, agentd is {} here; `make install` puts it on your PATH."
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
    if not _ADVICE.search(text) or (typed := program()) == NAME:
        return text
    return _ADVICE.sub(lambda _: f"`{typed}", text)


class Explanation:
    """Says once how to type the commands that answers advise, because an answer is shown as it is."""

    def __init__(self) -> None:
        self._said = False

    def below(self, answer: Answer) -> str:
        """What to say below this answer; "" if nothing. An answer with sources tells what they say, not what to do."""
        if self._said or answer.citations or as_typed(answer.text) == answer.text:
            return ""
        self._said = True
        return f"({HOW_TO_TYPE.format(program())})"
