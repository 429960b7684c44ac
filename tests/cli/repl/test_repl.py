"""The conversation on a real terminal while something else goes on."""

from __future__ import annotations

from pathlib import Path

from tests.terminal import talking


async def test_a_second_message_waits_and_stands_above_its_own_answer(tmp_path: Path) -> None:
    async with talking(tmp_path) as (server, terminal):
        terminal.enter("First?")
        first = await server.next_turn()
        await first.say("The first ans")
        await terminal.shows("answering…")
        terminal.enter("Second?")
        second = await server.next_turn()
        await terminal.shows("queued, 1 waiting")
        await first.say("wer.")
        await first.answer()
        await second.start()
        await terminal.hides("queued")
        await second.answer("The second answer.")
        await terminal.shows("The second answer.")
        order = [terminal.everything.index(text) for text in ("> First?", "first answer", "> Second?", "second answer")]
        assert order == sorted(order)


async def test_ctrl_c_stops_the_answer_and_keeps_what_was_said(tmp_path: Path) -> None:
    async with talking(tmp_path) as (server, terminal):
        terminal.enter("Count.")
        turn = await server.next_turn()
        await turn.say("One, two,")
        await terminal.shows("One, two,")
        terminal.type("\x03")
        await turn.stopped.wait()
        await turn.state("stopping")
        await turn.answer(outcome="interrupted")
        await terminal.shows("(stopped)")
        assert terminal.everything.count("One, two,") == 1
        terminal.enter("Go on.")
        assert (await server.next_turn()).text == "Go on."


async def test_an_error_is_one_line_and_the_conversation_goes_on(tmp_path: Path) -> None:
    async with talking(tmp_path) as (server, terminal):
        terminal.enter("Hello?")
        turn = await server.next_turn()
        await turn.start()
        await turn.answer("The model is gone; choose another with /model.", outcome="error", error_code="model")
        await terminal.shows("The model is gone; choose another with /model.")
        terminal.enter("/hlep")
        await terminal.shows("there is no command /hlep; did you mean /help?")
        terminal.enter("//help")
        assert (await server.next_turn()).text == "/help"


async def test_commands_work_while_an_answer_streams(tmp_path: Path) -> None:
    async with talking(tmp_path) as (server, terminal):
        terminal.enter("Talk.")
        turn = await server.next_turn()
        await turn.say("One.\n\nTwo")
        await terminal.shows("Two")
        terminal.enter("/status")
        await terminal.shows("done: /status")
        await turn.answer("One.\n\nTwo.")
        await terminal.shows("Two.")
        order = [terminal.everything.index(text) for text in ("One.", "> /status", "done: /status", "Two.")]
        assert order == sorted(order)


async def test_documents_are_added_from_the_prompt(tmp_path: Path) -> None:
    async with talking(tmp_path) as (_, terminal):
        terminal.enter(f"/docs add {tmp_path}")
        await terminal.shows("1 added, 0 changed")


async def test_quit_leaves_and_nothing_of_the_prompt_stays(tmp_path: Path) -> None:
    async with talking(tmp_path) as (server, terminal):
        terminal.enter("Talk.")
        turn = await server.next_turn()
        await turn.say("half a sent")
        await terminal.shows("half a sent")
        terminal.enter("/quit")
        assert await terminal.ends() == 0
        told = "the running answer goes on; `agentd chat -c` shows it"
        assert terminal.everything.endswith(f"> Talk.\n\n> /quit\n{told}")


async def test_ctrl_c_and_an_empty_line_are_a_no_and_what_follows_is_sent(tmp_path: Path) -> None:
    async with talking(tmp_path) as (server, terminal):
        server.session("holiday", title="Where to?")
        for n, no in enumerate(("\x03", "\r"), start=1):
            terminal.enter("/delete holiday")
            await terminal.until(lambda: terminal.everything.count("[y/N]") == n, "the question")  # noqa: B023
            terminal.type(no)
            await terminal.until(lambda: terminal.everything.count("nothing was deleted") == n, "the no")  # noqa: B023
        terminal.enter("Hello?")
        assert (await server.next_turn()).text == "Hello?"
