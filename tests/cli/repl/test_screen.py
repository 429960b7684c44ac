"""The prompt on a real terminal: its keys, what it remembers, and what it completes."""

from __future__ import annotations

import stat
from pathlib import Path

from agentd.testing.server import ScriptedServer
from tests.terminal import chat, talking


async def test_ctrl_c_at_rest_clears_the_line_and_leaves_when_pressed_twice(tmp_path: Path) -> None:
    async with talking(tmp_path) as (_, terminal):
        terminal.type("never mind")
        await terminal.shows("> never mind")
        terminal.type("\x03")
        await terminal.hides("never mind")
        await terminal.shows("Ctrl-C again leaves")
        terminal.type("\x03")
        assert await terminal.ends() == 130


async def test_newlines_are_kept_from_the_keyboard_a_paste_and_a_backslash(tmp_path: Path) -> None:
    async with talking(tmp_path) as (server, terminal):
        terminal.type("one\x1b\rtwo\n")
        terminal.paste("three\r\nfour\n/help")
        terminal.type("\\\rfive\r")
        assert (await server.next_turn()).text == "one\ntwo\nthree\nfour\n/help\nfive"
        await terminal.has_printed("> one\n… two\n… three\n… four\n… /help\n… five")


async def test_lines_that_were_typed_before_the_prompt_was_there_are_sent_one_by_one(tmp_path: Path) -> None:
    async with ScriptedServer(tmp_path / "agentd.sock") as server, chat(tmp_path) as terminal:
        terminal.type("one\rtwo \\\rthree\rfour")
        await terminal.shows("Ctrl-D leaves")
        assert (await server.next_turn()).text == "one"
        assert (await server.next_turn()).text == "two \nthree"
        await terminal.shows("> four")
        terminal.type(" and five\nsix\r")
        assert (await server.next_turn()).text == "four and five\nsix"


async def test_what_was_typed_is_kept_for_the_owner_and_completed(tmp_path: Path) -> None:
    async with talking(tmp_path) as (server, terminal):
        server.session("holiday", title="Where to?")
        terminal.enter("remember this")
        await (await server.next_turn()).answer("Done.")
        terminal.enter(" but not this")
        await (await server.next_turn()).answer("Forgotten.")
        await terminal.shows("Forgotten.")
        terminal.type("/res\t")
        await terminal.shows("> /resume")
        terminal.type(" hol\t")
        await terminal.shows("/resume holiday")
        terminal.type("\x03\x04")
        assert await terminal.ends() == 0
    history = tmp_path / "state" / "history"
    assert "+remember this" in history.read_text() and "not this" not in history.read_text()
    assert stat.S_IMODE(history.stat().st_mode) == 0o600
    async with talking(tmp_path) as (_, terminal):
        terminal.type("\x12remem")
        await terminal.shows("remember this")


async def test_what_was_refused_can_be_called_back_but_is_not_kept_for_later(tmp_path: Path) -> None:
    async with talking(tmp_path) as (server, terminal):
        terminal.enter("/xyz")
        await terminal.shows("there is no command /xyz")
        server.refusal = "the queue is full"
        terminal.enter("too much of it")
        await terminal.shows("the queue is full")
        server.refusal = ""
        terminal.enter("/status")
        await terminal.shows("done: /status")
        server.accepting = False
        terminal.enter("nobody has refused this")
        await server.received(2)
        terminal.type("\x1b[A\x1b[A\x1b[A")
        await terminal.until(lambda: terminal.lines.count("> too much of it") == 2, "the refused line at the prompt")
        terminal.type("\x03\x04")
        assert await terminal.ends() == 0
    kept = [line[1:] for line in (tmp_path / "state" / "history").read_text().splitlines() if line.startswith("+")]
    assert kept == ["/status", "nobody has refused this"]


async def test_the_external_editor_writes_the_message(tmp_path: Path) -> None:
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\necho "and edited" >> "$1"\n')
    editor.chmod(0o755)
    async with talking(tmp_path, environment={"EDITOR": str(editor), "VISUAL": ""}) as (server, terminal):
        terminal.type("typed \x18\x05")
        await terminal.shows("and edited")
        terminal.type("\r")
        assert (await server.next_turn()).text.split() == ["typed", "and", "edited"]
