"""What a line does that a person typed: some commands are the terminal's own, the others the daemon's."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

from agentd import commands
from agentd.cli.ingest import summary
from agentd.cli.repl.display import Display
from agentd.cli.repl.link import Link
from agentd.errors import AgentdError, UsageError
from agentd.plain import plain
from agentd.protocol import MAX_TEXT_BYTES, IngestState

KEYS = """\
Enter sends; Alt-Enter or a backslash at the end of a line begins a new line
Ctrl-C stops the running answer; at rest it clears the line, twice it leaves
Ctrl-D leaves, on an empty line; a running answer is kept for you
Ctrl-R searches what was typed; Ctrl-X Ctrl-E opens an editor
// at the beginning of a message stands for a slash"""


class Actions:
    """`progress` is told how far the reading of documents is, and "" at its end."""

    def __init__(self, link: Link, display: Display, progress: Callable[[str], None]) -> None:
        self._link = link
        self._display = display
        self._progress = progress

    async def perform(self, line: str) -> bool:
        """Do what the line says; False when the person wants to leave. What fails is shown as one line."""
        try:
            invocation = commands.parse(line)
            if invocation is None:
                self._post(commands.unescape(line))
            elif invocation.command.name == "quit":
                return False
            else:
                await self._command(invocation)
        except AgentdError as error:
            self._display.error(plain(str(error)))
        await self._display.flush()
        return True

    def _post(self, text: str) -> None:
        data = text.encode("utf-8", "replace")
        if len(data) > MAX_TEXT_BYTES:
            raise UsageError(f"a message has at most {MAX_TEXT_BYTES:,} bytes; ingest long text as a file.")
        self._link.post(data.decode())

    async def _command(self, invocation: commands.Invocation) -> None:
        name, argument = invocation.command.name, invocation.argument
        if name == "help":
            shown = commands.help_text(("anyone", "owner", "terminal"), argument)
            self._display.note(shown if argument else f"{shown}\n\n{KEYS}")
        elif name == "docs" and argument:
            await self._add_documents(argument)
        elif name == "model" and argument not in ("", commands.NO_MODEL):
            await self._ask(f"/model {_path(argument)}")
        else:
            await self._ask(f"/{name} {argument}".rstrip())

    async def _ask(self, text: str) -> None:
        said, session = await self._link.command(text)
        if said:
            self._display.note(plain(said))
        if session and session != self._link.session:
            await self._link.follow(session)

    async def _add_documents(self, argument: str) -> None:
        word, _, rest = argument.partition(" ")
        if word != "add" or not rest.strip():
            raise UsageError("/docs add PATH reads files and folders; /docs says how many documents there are.")
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


def _path(text: str) -> Path:
    return Path(text).expanduser().absolute()


def _words(text: str) -> list[str]:
    """Paths, quoted as in a shell where they hold blanks; one that is there as it stands needs no quotes."""
    if _path(text.strip()).exists():
        return [text.strip()]
    try:
        return shlex.split(text)
    except ValueError as error:
        raise UsageError(f"cannot read the paths ({error}); quote them as in a shell.") from None
