"""The one registry of slash commands: their names, arguments, help and what completes them, for every channel.

A message that begins with a slash and a word is a command; `//` at its beginning stands for a slash. A path such as
`/etc/hosts` at the beginning is not a command, because its first word has a second slash.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from agentd.errors import UsageError

Completes = Literal["nothing", "command", "session", "model", "documents", "file", "switch", "question"]
"""What completes an argument: a command's name, a session, a .gguf file, `add` and a path, a file, on and off, or the
last question."""
NO_MODEL = "none"
"""Instead of a file, takes /model back to no language model of this machine."""
QUESTIONS, MOST_QUESTIONS = 5, 50
"""How many questions /history shows if no number is given, and at most."""
Whom = Literal["anyone", "owner", "terminal"]
"""Who may use a command: everybody with a session of theirs, the owner alone, or a person at a terminal of agentd's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Command:
    """One command. `arguments` is how they are shown in the help, in brackets if they may be left out."""

    name: str
    summary: str
    arguments: str = ""
    completes: Completes = "nothing"
    whom: Whom = "anyone"

    @property
    def usage(self) -> str:
        return f"/{self.name} {self.arguments}".rstrip()


COMMANDS = (
    Command(name="help", arguments="[COMMAND]", summary="list the commands, or explain one", completes="command"),
    Command(name="new", arguments="[NAME]", summary="begin a new conversation"),
    Command(name="sessions", summary="list your conversations"),
    Command(
        name="resume",
        arguments="NAME|ID|NUMBER",
        summary="continue a conversation; /sessions shows the numbers",
        completes="session",
    ),
    Command(name="stop", summary="stop the running answer and keep what was said"),
    Command(
        name="history",
        arguments="[N]",
        summary="show the last N questions of this conversation with their answers",
    ),
    Command(name="sources", summary="show the sources of the last answer, with the text that was cited"),
    Command(name="retry", summary="answer the last question once more; the earlier answer stays as another branch"),
    Command(
        name="edit",
        arguments="QUESTION",
        summary="ask this in the place of the last question, which stays as another branch",
        completes="question",
    ),
    Command(name="undo", summary="go back to before the last question, which stays as another branch"),
    Command(
        name="branches", arguments="[NUMBER]", summary="list the branches of this conversation, or go on in another one"
    ),
    Command(
        name="usage",
        arguments="[on|off]",
        summary="show the tokens and seconds that the last answer took; on shows them after each answer",
        completes="switch",
    ),
    Command(name="status", summary="is all well, and if not, what to do"),
    Command(
        name="model",
        arguments="[PATH]",
        summary="show which model answers; with the path of a GGUF file, use that model",
        completes="model",
        whom="owner",
    ),
    Command(
        name="docs",
        arguments="[add PATH|none|all|N]",
        summary="count the documents; add PATH reads more; none, all or N: how many passages to answer from",
        completes="documents",
    ),
    Command(
        name="export",
        arguments="[FILE]",
        summary="write this conversation to a file, as Markdown or, if its name ends in .json, as JSON",
        completes="file",
        whom="terminal",
    ),
    Command(
        name="delete",
        arguments="[NAME|ID|NUMBER]",
        summary="delete this conversation or another one, after a question",
        completes="session",
        whom="terminal",
    ),
    Command(name="good", arguments="[NOTE]", summary="mark the last answer as good"),
    Command(name="bad", arguments="[NOTE]", summary="mark the last answer as bad"),
    Command(
        name="quit", summary="leave, like exit, quit and Ctrl-D; a running answer is kept for you", whom="terminal"
    ),
)

_BY_NAME = {command.name: command for command in COMMANDS}
_FORM = re.compile(r"/([^\s/]+)(?:\s+(.*))?\s*\Z", re.DOTALL)


@dataclass(frozen=True, kw_only=True, slots=True)
class Invocation:
    """A command with what stood behind its name, without blanks at the ends."""

    command: Command
    argument: str = ""


def parse(text: str) -> Invocation | None:
    """The command that a message is, None for a message that is none; `UsageError` for one that nobody knows."""
    form = _FORM.match(text)
    if form is None:
        if text.strip() == "/":
            raise UsageError("the name of a command follows its slash; /help lists the commands.")
        return None
    name = form[1].lower()
    if name not in _BY_NAME:
        raise UsageError(f"there is no command /{name}; {_suggestion(name)}")
    return Invocation(command=_BY_NAME[name], argument=(form[2] or "").strip())


def is_for_the_owner(text: str) -> bool:
    """Whether a message is a command that only the owner may use."""
    invocation = parse(text)
    return invocation is not None and invocation.command.whom == "owner"


def unescape(text: str) -> str:
    """A message as it is meant: `//` at its beginning is one slash."""
    return text[1:] if text.startswith("//") else text


def question_count(argument: str) -> int:
    """How many questions /history is to show; `UsageError` for what is not such a number."""
    if not argument:
        return QUESTIONS
    if not argument.isdecimal() or not 1 <= int(argument) <= MOST_QUESTIONS:
        raise UsageError(f"/history takes a number of questions from 1 to {MOST_QUESTIONS}, not {argument!r}.")
    return int(argument)


def find(name: str) -> Command:
    """One command by its name, with or without the slash; `UsageError` suggests the nearest one."""
    bare = name.removeprefix("/").lower()
    if bare not in _BY_NAME:
        raise UsageError(f"there is no command /{bare}; {_suggestion(bare)}")
    return _BY_NAME[bare]


def _suggestion(name: str) -> str:
    close = difflib.get_close_matches(name, _BY_NAME, n=1)
    return f"did you mean /{close[0]}?" if close else "/help lists them, and // begins a message with a slash."


def help_text(allowed: Collection[Whom], about: str = "") -> str:
    """The help for somebody who is `allowed` these commands: of one command, or of all of them."""
    if about:
        command = find(about)
        return f"{command.usage}\n  {command.summary}"
    shown = [command for command in COMMANDS if command.whom in allowed]
    width = max(len(command.usage) for command in shown)
    return "\n".join(f"{command.usage:<{width}}  {command.summary}" for command in shown)
