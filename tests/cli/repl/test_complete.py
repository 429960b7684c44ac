"""Completion: names, then what each command takes."""

from __future__ import annotations

from pathlib import Path

from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document

from agentd.cli.repl.complete import CommandCompleter
from agentd.errors import Unreachable
from agentd.serving.commands import COMMANDS
from agentd.serving.protocol import ListedSession
from tests.builders import TIME


def entry(identifier: str, name: str, title: str) -> ListedSession:
    return ListedSession(id=identifier, name=name, title=title, created=TIME, updated=TIME, messages=2, unread=0)


async def sessions() -> list[ListedSession]:
    return [
        entry("00000000000000aa-00000000", "holiday", "Where to?"),
        entry("00000000000000bb-00000000", "", "A rec\x1b[31mipe"),
    ]


async def away() -> list[ListedSession]:
    raise Unreachable("nobody there")


async def question() -> str:
    return "Who\x1b[31m wrote it?\nAnd when?"


async def nobody() -> str:
    raise Unreachable("nobody there")


async def completed(text: str, source: object = sessions, asked: object = question) -> list[str]:
    """What the line becomes with each completion."""
    assert callable(source) and callable(asked)
    completer = CommandCompleter(source, asked)
    found = completer.get_completions_async(Document(text), CompleteEvent(completion_requested=True))
    return [text[: len(text) + c.start_position] + c.text async for c in found]


async def test_names_are_completed_from_the_registry() -> None:
    assert await completed("/") == [f"/{command.name}" for command in COMMANDS]
    assert await completed("/re") == ["/resume", "/retry"]
    assert await completed("/s") == ["/sessions", "/stop", "/sources", "/status"]
    assert await completed("hello /s") == [] and await completed("//s") == []


async def test_arguments_are_completed_as_their_command_says() -> None:
    assert await completed("/help res") == ["/help resume"]
    assert await completed("/usage o") == ["/usage on", "/usage off"]
    assert await completed("/resume ") == ["/resume holiday", "/resume 00000000000000bb-00000000"]
    assert await completed("/resume recipe") == ["/resume 00000000000000bb-00000000"]
    assert await completed("/docs a") == ["/docs add ", "/docs all"]
    assert await completed("/docs n") == ["/docs none"]
    assert await completed("/stop n") == []


async def test_paths_are_completed_and_models_are_gguf_files(tmp_path: Path) -> None:
    for name in ("a.gguf", "a.txt"):
        (tmp_path / name).touch()
    assert await completed(f"/docs add {tmp_path}/a") == [f"/docs add {tmp_path}/a.gguf", f"/docs add {tmp_path}/a.txt"]
    assert await completed(f"/model {tmp_path}/a") == [f"/model {tmp_path}/a.gguf"]


async def test_without_a_daemon_there_are_no_sessions_to_choose_from() -> None:
    assert await completed("/resume ", away) == []


async def test_the_last_question_is_there_to_be_edited() -> None:
    assert await completed("/edit ") == ["/edit Who wrote it?\nAnd when?"]
    assert await completed("/edit W") == []
    assert await completed("/edit ", asked=nobody) == []
