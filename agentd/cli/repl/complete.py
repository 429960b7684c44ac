"""Completion of slash commands and their arguments, from the one registry of `agentd.serving.commands`."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from pathlib import Path

from prompt_toolkit.completion import CompleteEvent, Completer, Completion, PathCompleter
from prompt_toolkit.document import Document

from agentd.errors import AgentdError
from agentd.serving.commands import COMMANDS, parse
from agentd.serving.protocol import ListedSession
from agentd.text.plain import plain

Sessions = Callable[[], Awaitable[Sequence[ListedSession]]]
Question = Callable[[], Awaitable[str]]


class CommandCompleter(Completer):
    """Completes names and arguments; `sessions` returns all conversations, `question` the last one that was asked."""

    def __init__(self, sessions: Sessions, question: Question) -> None:
        self._sessions = sessions
        self._question = question
        self._models = PathCompleter(expanduser=True, file_filter=_is_model)
        self._paths = PathCompleter(expanduser=True)

    async def get_completions_async(
        self, document: Document, complete_event: CompleteEvent
    ) -> AsyncGenerator[Completion, None]:
        if _kind(document.text_before_cursor) == "session":
            for completion in await self._of_sessions(_argument(document)):
                yield completion
        if _kind(document.text_before_cursor) == "question" and not _argument(document):
            for completion in await self._of_question():
                yield completion
        for completion in self.get_completions(document, complete_event):
            yield completion

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        """The completions that need no answer from the daemon."""
        text = document.text_before_cursor
        if text.startswith("/") and not any(character.isspace() for character in text):
            return _names(text[1:], "/")
        argument = _argument(document)
        match _kind(text):
            case "command":
                return _names(argument.removeprefix("/"), "")
            case "model":
                return self._models.get_completions(Document(argument), complete_event)
            case "switch":
                return [Completion(word, -len(argument)) for word in ("on", "off") if word.startswith(argument)]
            case "file":
                return self._paths.get_completions(Document(argument), complete_event)
            case "documents":
                return self._documents(argument, complete_event)
        return ()

    def _documents(self, argument: str, complete_event: CompleteEvent) -> Iterable[Completion]:
        word, blank, path = argument.partition(" ")
        if not blank:
            words = ("add ", "none", "all")
            return [Completion(w, -len(word), display=w.strip()) for w in words if w.startswith(word)]
        return self._paths.get_completions(Document(path.lstrip()), complete_event) if word == "add" else []

    async def _of_sessions(self, typed: str) -> list[Completion]:
        try:
            sessions = await self._sessions()
        except AgentdError:
            return []  # the prompt says already that the daemon is away
        found = []
        for session in sessions:
            title = plain(session.title)
            reference = plain(session.name) or session.id
            if typed.lower() in f"{reference} {title}".lower():
                found.append(Completion(reference, -len(typed), display=reference, display_meta=title))
        return found

    async def _of_question(self) -> list[Completion]:
        try:
            question = plain(await self._question())
        except AgentdError:
            return []
        return [Completion(question)] if question else []


def _names(typed: str, prefix: str) -> list[Completion]:
    return [
        Completion(command.name, -len(typed), display=prefix + command.name, display_meta=command.summary)
        for command in COMMANDS
        if command.name.startswith(typed.lower())
    ]


def _kind(text: str) -> str:
    """The kind of completions for the argument of the command in this text."""
    if len(text.split(maxsplit=1)) == 1 and not text[-1:].isspace():
        return "nothing"
    try:
        invocation = parse(text)
    except AgentdError:
        return "nothing"
    return invocation.command.completes if invocation else "nothing"


def _argument(document: Document) -> str:
    """The text between the command's name and the cursor."""
    return document.text_before_cursor.lstrip().partition(" ")[2].lstrip()


def _is_model(name: str) -> bool:
    return name.endswith(".gguf") or Path(name).is_dir()
