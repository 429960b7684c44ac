"""`agentd chat` as a person sees it: a real terminal, and a server that answers when the test tells it to."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from agentd.cli.chat import DECLINED
from agentd.records import Citation, TurnUsage
from agentd.serving import protocol
from agentd.testing.model import ScriptedModel
from agentd.testing.server import ScriptedServer
from tests.house import running
from tests.terminal import chat, talking

CITATION = Citation(n=1, title="Durability", source="/docs/durability.md", heading="Crash", start=0, end=9)


@pytest.mark.parametrize("columns", [80, 40])
async def test_an_answer_streams_and_is_printed_once(tmp_path: Path, columns: int) -> None:
    async with talking(tmp_path, columns=columns) as (server, terminal):
        terminal.enter("What survives?")
        turn = await server.next_turn()
        await turn.start()
        await turn.found(CITATION)
        await turn.think("let me see")
        await terminal.shows("thinking…")
        await turn.say("# Crash\n\nA message *surv")
        await terminal.shows("A message *surv")
        await turn.say("ives* [1], not [7].\n\n- one\n- two\n\nThe end of it.")
        await terminal.shows("The end of it")
        answer = await turn.answer(turn.said.replace(" [7]", ""), citations=[CITATION])
        await terminal.shows("[1] /docs/durability.md, Crash")
        await terminal.hides("Ctrl-C stops")
        await server.acknowledged(answer)
        terminal.type("\x04")
        assert await terminal.ends() == 0
        printed = terminal.everything
        for once in ("> What survives?", "Crash\n", "A message survives [1], not.", "• one", "• two", "The end of it."):
            assert printed.count(once) == 1, (once, printed)
        assert "thinking" not in printed and "*" not in printed and "let me see" not in printed


@pytest.mark.parametrize("columns", [80, 40])
async def test_an_answer_longer_than_the_screen_is_printed_once(tmp_path: Path, columns: int) -> None:
    async with talking(tmp_path, columns=columns) as (server, terminal):
        terminal.enter("Tell me a long story.")
        turn = await server.next_turn()
        paragraphs = [f"Paragraph {n} has {'many ' * (n % 30)}words." for n in range(60)]
        text = "\n\n".join(paragraphs)
        for start in range(0, len(text), 37):
            await turn.say(text[start : start + 37])
        await turn.answer()
        await terminal.has_printed("Paragraph 59 has")
        await terminal.hides("answering")
        found = re.findall(r"Paragraph (\d+) has", terminal.everything)
        assert found == [str(n) for n in range(60)]


@pytest.mark.parametrize("columns", [80, 40])
async def test_a_long_table_and_code_are_shown_whole_and_aligned(tmp_path: Path, columns: int) -> None:
    async with talking(tmp_path, columns=columns) as (server, terminal):
        terminal.enter("Show me.")
        turn = await server.next_turn()
        rows = "\n".join(f"| row {n} | {'x' * (n % 9)} |" for n in range(40))
        code = "\n".join(f"    value_{n} = {n}  # a comment that is rather long for a line" for n in range(40))
        await turn.say(f"| name | value |\n|:--|--:|\n{rows}\n\n")
        await terminal.shows("row 39")
        await turn.say(f"```python\ndef f():\n{code}\n")
        await terminal.shows("value_39")
        await turn.say("```\n\nDone.")
        await turn.answer()
        await terminal.shows("Done.")
        await terminal.hides("Ctrl-C stops")
        lines = terminal.everything.split("\n")
        table = [line for line in lines if line.startswith("row ")]
        assert [line.split()[1] for line in table] == [str(n) for n in range(40)]
        assert len({len(line) for line in table if "x" in line}) == 1
        assert re.findall(r"value_(\d+) =", terminal.everything) == [str(n) for n in range(40)]
        assert all(len(line) <= columns for line in lines)


async def test_a_large_paste_in_the_middle_of_an_answer_arrives_whole(tmp_path: Path) -> None:
    text = "\n".join(f"line {n} of a long text, with \t tabs and ümlauts" for n in range(300))
    async with talking(tmp_path) as (server, terminal):
        terminal.enter("Talk.")
        turn = await server.next_turn()
        terminal.paste(text)
        for n in range(100):
            await turn.say(f"Paragraph {n}.\n\n")
        await turn.answer()
        await terminal.has_printed("Paragraph 99.")
        await terminal.shows("line 299")
        terminal.type("\r")
        assert (await server.next_turn()).text == text


async def test_escape_sequences_from_the_model_and_from_sources_do_nothing(tmp_path: Path) -> None:
    evil = "\x1b]0;title\x07\x1b[2J\x1b[31mred\x1b[0m \x9b5A\x1b]52;c;aGk=\x1b\\\u202e"
    source = Citation(n=1, title=evil, source=f"/a{evil}.md", heading=evil, start=0, end=1)
    async with talking(tmp_path) as (server, terminal):
        terminal.enter("Hello?")
        turn = await server.next_turn()
        for character in f"Safe {evil} text [1].\n\n`{evil}`\n\n":
            await turn.say(character)
        await terminal.shows("Safe red  text")
        await turn.answer(citations=[source])
        await terminal.shows("[1] /ared .md")
        for sequence in (b"\x1b]", b"\x1b[2J", b"\x1b[31m", b"\x9b", "\u202e".encode()):
            assert sequence not in terminal.raw, sequence
        assert terminal.everything.count("Safe red  text [1].") == 1


async def test_the_chat_reconnects_and_shows_what_it_missed_once(tmp_path: Path) -> None:
    async with talking(tmp_path) as (server, terminal):
        terminal.enter("First?")
        first = await server.next_turn()
        await first.say("Known so far.\n\nAnd th")
        await terminal.shows("And th")
        await server.die()
        await terminal.shows("reconnecting…")
        await first.answer("Known so far.\n\nAnd this came while nobody was there.")
        await server.start()
        await terminal.shows("And this came while nobody was there.")
        await terminal.shows("connected again")
        await server.received(1)
        terminal.enter("Second?")
        second = await server.next_turn()
        await second.answer("Fine.")
        await terminal.shows("Fine.")
        for once in ("> First?", "Known so far.", "And this came", "> Second?"):
            assert terminal.everything.count(once) == 1, once


async def test_a_message_without_a_reply_is_offered_again_with_the_same_id(tmp_path: Path) -> None:
    async with talking(tmp_path) as (server, terminal):
        server.accepting = False
        terminal.enter("Do you hear me?")
        await server.received(1)
        await server.die()
        server.accepting = True
        await server.start()
        turn = await server.next_turn()
        assert [post.id for post in server.posts] == [turn.post.id] * 2
        answer = await turn.answer("Yes.")
        await terminal.shows("Yes.")
        await server.acknowledged(answer)
        assert terminal.everything.count("> Do you hear me?") == 1


async def test_the_wait_for_a_prompt_is_told_and_a_crash_in_mid_answer_at_once(tmp_path: Path) -> None:
    async with talking(tmp_path, "--usage") as (server, terminal):
        terminal.enter("What survives?")
        turn = await server.next_turn()
        await turn.read(0, 2100, 42)
        await terminal.shows("reading 2,100 tokens, about 42 s · Ctrl-C stops")
        await turn.read(800, 2100, 26)
        await terminal.shows("reading 800 of 2,100 tokens, about 26 s")
        await turn.say("A mess")
        await terminal.shows("answering…")
        await turn.state("running", attempt=2, detail="the answer begins again: small crashed")
        await terminal.shows("the answer begins again: small crashed")
        turn.attempt, turn.said = 2, ""
        await turn.say("Every message.")
        await turn.answer(usage=TurnUsage(prompt_tokens=90, completion_tokens=4))
        await terminal.shows("90 tokens read, 4 written")
        await terminal.hides("Ctrl-C stops")
        assert "reading" not in terminal.everything


async def test_two_chats_of_one_conversation_see_each_others_questions_once(tmp_path: Path) -> None:
    async with running(tmp_path / "state") as house:
        (tmp_path / "state" / DECLINED).touch()
        async with chat(tmp_path, "--session", "work") as one, chat(tmp_path, "--session", "work") as two:
            for terminal in (one, two):
                await terminal.shows("Ctrl-D leaves")
            one.enter("First question?")
            for terminal in (one, two):
                await terminal.shows("> First question?")
                await terminal.until(lambda: terminal.everything.count("First question?") == 2, "its answer")  # noqa: B023
            two.enter("Second question?")
            for terminal in (one, two):
                await terminal.until(lambda: terminal.everything.count("Second question?") == 2, "its answer")  # noqa: B023
                await terminal.hides("Ctrl-C stops")
                assert terminal.everything.count("> First question?") == 1
                assert terminal.everything.count("> Second question?") == 1
        assert isinstance(house.model, ScriptedModel) and len(house.model.requests) == 2


async def test_an_answer_that_comes_again_is_acknowledged_and_not_printed(tmp_path: Path) -> None:
    async with talking(tmp_path) as (server, terminal):
        terminal.enter("Hello?")
        turn = await server.next_turn()
        answer = await turn.answer("Only once.")
        await server.acknowledged(answer)
        await server.send(turn.post.session, answer.model_copy(update={"repeat": True}))
        terminal.enter("More?")
        following = await server.next_turn()
        await following.answer("More.")
        await terminal.shows("More.")
        assert server.acks.count(answer.id) == 2
        assert terminal.everything.count("Only once.") == 1


async def test_a_session_is_resumed_with_its_last_messages(tmp_path: Path) -> None:
    async with ScriptedServer(tmp_path / "agentd.sock") as server:
        async with chat(tmp_path, "--session", "holiday") as terminal:
            await terminal.shows("holiday · /help")
            terminal.enter("Where to?")
            await (await server.next_turn()).answer("To the **sea**.", citations=[CITATION])
            await terminal.shows("[1] /docs")
            other = server.session("work")
            server.replies["/resume work"] = protocol.CommandReply(text="going on with work", session=other.id)
            terminal.enter("/resume work")
            await terminal.shows("going on with work")
            terminal.enter("Hello work")
            assert (await server.next_turn()).post.session == other.id
        del server.sessions[other.id]
        async with chat(tmp_path, "-c") as terminal:
            await terminal.shows("> Where to?")
            await terminal.shows("To the sea.")
            await terminal.shows("[1] /docs/durability.md, Crash")
