"""Does what a typed line says: some commands are the terminal's own, the daemon does the others."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from functools import partial
from pathlib import Path

from agentd.cli.export import form_of, write_export
from agentd.cli.ingest import summary
from agentd.cli.repl.display import Display
from agentd.cli.repl.link import Link, Settled
from agentd.cli.repl.transcript import cleaned
from agentd.cli.yes_no import AGAIN, yes_or_no
from agentd.errors import AgentdError, NotFound, Unreachable, UsageError
from agentd.host.paths import absolute
from agentd.ids import is_id
from agentd.serving import commands
from agentd.serving.choosing import choose, label
from agentd.serving.protocol import MAX_PASSAGES, MAX_TEXT_BYTES, IngestState, ListedSession
from agentd.text.plain import plain

KEYS = """\
Enter sends; Alt-Enter or a backslash at the end of a line begins a new line
Ctrl-C stops the running answer; otherwise it clears the line, and twice it leaves
Ctrl-D on an empty line leaves; a running answer is kept for you
Ctrl-R searches what you typed before; Ctrl-X Ctrl-E opens an editor
// at the beginning of a message stands for a slash"""


TITLE_WIDTH = 60
LEAVING = ("exit", "quit", "/exit")
"""A line that consists of one of these words leaves the chat."""


def is_command(line: str) -> bool:
    """Whether a line is for this program, and not a message."""
    try:
        return leaves(line) or commands.parse(line) is not None
    except UsageError:
        return True


def leaves(line: str) -> bool:
    """Whether a line says only that the person wants to leave."""
    return line.strip().lower() in LEAVING


class Actions:
    """Performs typed lines.

    `progress` gets a line on how far the reading of documents is, and "" at the end. `settled` is called once for each
    line: True if the daemon has the message, or if the command was done.
    """

    def __init__(
        self,
        link: Link,
        display: Display,
        progress: Callable[[str], None],
        settled: Callable[[str, bool], None] = lambda line, taken: None,
    ) -> None:
        self._link = link
        self._display = display
        self._progress = progress
        self._settled = settled
        self._doomed: ListedSession | None = None
        """The conversation that is to be deleted, if the next line says yes."""
        self._asked_again = False

    @property
    def asking(self) -> bool:
        """Whether the next line answers a question of ours."""
        return self._doomed is not None

    def dismiss(self) -> bool:
        """Take a question back, which means no; False if none was asked."""
        if self._doomed is None:
            return False
        self._doomed, self._asked_again = None, False
        self._display.note("nothing was deleted")
        return True

    async def perform(self, line: str) -> bool:
        """Do what the line says, nothing if it is blank; False when the person wants to leave.

        What fails is shown as one line.
        """
        if self._doomed is not None and await self._answered(self._doomed, line):
            await self._display.flush()
            return True
        if not line.strip():
            return True
        if leaves(line):
            return False
        try:
            invocation = commands.parse(line)
            if invocation is not None and invocation.command.name == "quit":
                return False
            if invocation is None:
                self._post(commands.unescape(line), partial(self._settled, line))
            else:
                await self._command(invocation)
                self._settled(line, True)
        except Unreachable as error:
            self._settled(line, False)
            again = "Type it again when this chat is connected."
            self._display.error(plain(f"{line.split()[0]} got no answer: {error} {again}"))
        except AgentdError as error:
            self._settled(line, False)
            self._display.error(plain(str(error)))
        await self._display.flush()
        return True

    def _post(self, text: str, settled: Settled = lambda taken: None, *, replaces: str = "") -> None:
        text = plain(text)
        if len(text.encode()) > MAX_TEXT_BYTES:
            raise UsageError(
                f"a message has at most {MAX_TEXT_BYTES:,} bytes; put long text into a file and /docs add it."
            )
        self._link.post(text, settled, replaces=replaces)

    async def _command(self, invocation: commands.Invocation) -> None:
        name, argument = invocation.command.name, invocation.argument
        if name == "help":
            shown = commands.help_text(("anyone", "owner", "terminal"), argument)
            self._display.note(shown if argument else f"{shown}\n\n{KEYS}")
        elif name == "history":
            await self._show_history(argument)
        elif name == "usage" and argument:
            self._show_usage(argument)
        elif name in ("retry", "edit", "undo") and not self._link.idle:
            raise UsageError(f"an answer is still being written; /stop ends it, and then type /{name} again.")
        elif name == "docs" and (argument in ("all", "none") or argument.isdecimal()):
            self._limit_documents(argument)
        elif name == "docs" and argument:
            await self._add_documents(argument)
        elif name == "docs":
            await self._ask("/docs")
            if limit := _limit_line(self._link.documents):
                self._display.note(limit)
        elif name == "export":
            await self._export(argument)
        elif name == "delete":
            await self._ask_to_delete(argument)
        elif name == "model" and argument not in ("", commands.NO_MODEL):
            await self._ask(f"/model {_path(_one_path(argument))}")
        else:
            await self._ask(f"/{name} {argument}".rstrip())

    async def _ask(self, text: str) -> None:
        reply = await self._link.command(text)
        if reply.text:
            self._display.note(plain(reply.text))
        if reply.session and reply.session != self._link.session:
            await self._link.follow(reply.session)
        if reply.ask:
            self._post(reply.ask, replaces=reply.replaces)

    async def _show_history(self, argument: str) -> None:
        messages = await self._link.history(2 * commands.question_count(argument))
        if not messages:
            raise NotFound("nothing was asked in this conversation yet; ask something first.")
        self._display.remembered(tuple(cleaned(message) for message in messages))

    async def _export(self, argument: str) -> None:
        pieces = self._link.export(form_of(name := _one_path(argument)))
        path = await write_export(pieces, name, another="/export FILE names another file")
        self._display.note(plain(f"this conversation was written to {path}"))

    async def _ask_to_delete(self, argument: str) -> None:
        if argument and not is_id(argument):
            doomed = choose(await self._link.sessions(), argument)
        else:
            doomed = await self._link.one(argument or self._link.session)
        if not (doomed.messages or doomed.title):
            raise NotFound("nothing was asked in this conversation yet, so there is nothing to delete.")
        self._doomed = doomed
        count = self._doomed.messages
        messages = "1 question" if count == 1 else f"{count} questions and answers"
        self._display.note(plain(f'delete "{label(self._doomed, TITLE_WIDTH)}" with {messages} for good? [y/N]'))

    async def _answered(self, doomed: ListedSession, line: str) -> bool:
        """Whether that is all that the line does: a command keeps the conversation and is done, too.

        What is neither yes nor no is never sent: it is asked once more, and then it is a no.
        """
        yes = yes_or_no(line, default=False)
        command = yes is None and is_command(line)
        if yes is None and not command and not self._asked_again:
            self._asked_again = True
            self._display.note(AGAIN)
            return True
        if yes:
            self._doomed, self._asked_again = None, False
            await self._delete(doomed)
        else:
            self.dismiss()
        return not command

    async def _delete(self, doomed: ListedSession) -> None:
        here = doomed.id == self._link.session
        try:
            await self._link.delete(doomed.id)
        except AgentdError as error:
            self._display.error(plain(str(error)))
        else:
            self._display.note("deleted; this is a new conversation" if here else "deleted")

    def _show_usage(self, argument: str) -> None:
        if argument not in ("on", "off"):
            raise UsageError(f"/usage takes on or off, not {argument!r}.")
        self._link.show_usage(argument == "on")
        shown = "follow each answer from now on" if argument == "on" else "are not shown any more"
        self._display.note(f"tokens and seconds {shown}")

    def _limit_documents(self, argument: str) -> None:
        """Set it for all questions in this chat from now on."""
        limit = None if argument == "all" else 0 if argument == "none" else int(argument)
        if limit is not None and limit > MAX_PASSAGES:
            raise UsageError(f"a question is answered from {MAX_PASSAGES} passages at most.")
        self._link.documents = limit
        self._display.note(_limit_line(limit) or "questions are answered from your documents again")

    async def _add_documents(self, argument: str) -> None:
        word, _, rest = argument.partition(" ")
        if word != "add" or not rest.strip():
            raise UsageError("/docs add PATH reads files and folders; /help docs explains the rest.")
        state: IngestState | None = None
        try:
            async for state in self._link.ingest([_path(path) for path in _words(rest)]):
                self._progress(f"reading {state.done} of {state.found}  {plain(Path(state.current).name)}")
        finally:
            self._progress("")
        for name, reason in state.skipped if state else ():
            self._display.error(plain(f"skipped {name}: {reason}"))
        if state is not None and (told := summary(state)):
            self._display.note(told)


def _limit_line(limit: int | None) -> str:
    """From how many passages questions are answered in this chat; "" if it sets no limit."""
    if limit is None:
        return ""
    if limit == 0:
        return "questions are answered without your documents; /docs all uses them again"
    return f"questions are answered from at most {limit} passages; /docs all lifts that limit"


def _path(text: str) -> Path:
    return absolute(Path(text))


def _one_path(text: str) -> str:
    """A path with blanks, or one in the quotes of a shell."""
    if text[:1] not in ("'", '"') or _path(text).exists():
        return text
    words = _words(text)
    if len(words) != 1:
        raise UsageError("that takes one path; put all of it into quotes, or none of it.")
    return words[0]


def _words(text: str) -> list[str]:
    """The paths in a line, quoted as in a shell if they contain blanks; a path that exists needs no quotes."""
    if _path(text.strip()).exists():
        return [text.strip()]
    try:
        return shlex.split(text)
    except ValueError as error:
        raise UsageError(f"cannot read the paths ({error}); quote them as in a shell.") from None
