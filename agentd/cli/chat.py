"""`agentd chat`: a conversation in the terminal."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

import agentd
from agentd import protocol
from agentd.cli.ask import source_lines
from agentd.cli.attach import attached
from agentd.cli.ingest import show_progress, summary
from agentd.client import Client, Disconnected
from agentd.errors import AgentdError
from agentd.plain import plain

FIRST_QUESTION = "What happens to a message when the daemon is killed?"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--session", metavar="NAME", help="use this session (id or name), made when there is none")


def run(options: argparse.Namespace) -> int:
    return asyncio.run(_chat(options))


async def _chat(options: argparse.Namespace) -> int:
    async with attached(options, name="agentd chat") as client:
        await offer_documents(client)
        opened = await client.open(options.session)
        print("Ask something; an empty line or Ctrl-D ends the conversation.")
        while (line := await _read_line("> ")).strip():
            try:
                accepted = await client.post(opened.session, line)
                await _show_answer(client, accepted.turn)
            except Disconnected:
                raise
            except AgentdError as error:
                print(f"agentd: {error}", file=sys.stderr)
    return 0


async def _read_line(prompt: str) -> str:
    """One line from the person; "" at the end of input. A thread waits, so that the loop goes on."""
    try:
        return await asyncio.to_thread(input, prompt if sys.stdin.isatty() else "")
    except EOFError:
        return ""


async def _show_answer(client: Client, turn: str) -> None:
    shown = ""
    async for message in client.messages():
        if isinstance(message, protocol.Chunk) and message.turn == turn and not message.reasoning:
            text = message.text[max(0, len(shown) - message.n) :]
            shown += text
            print(plain(text), end="", flush=True)
        elif isinstance(message, protocol.Answer):
            await client.ack(message.id)
            if not message.text.startswith(shown):
                print("\n")
                shown = ""
            print(plain(message.text[len(shown) :]))
            print("\n".join(["", *source_lines(message.citations), ""]) if message.citations else "")
            shown = ""
            if turn in (message.turn, *message.answers):
                return


def own_documents() -> Path | None:
    """The documentation of agentd itself, the first documents of an empty state directory."""
    for folder in (Path(agentd.__file__).parent.parent / "docs", Path(agentd.__file__).parent / "docs"):
        if any(folder.glob("*.md")):
            return folder
    return None


async def offer_documents(client: Client) -> None:
    """Where there are no documents yet, offer to read agentd's own, so that the first question has an answer."""
    status = await client.get("status")
    folder = own_documents()
    if status["documents"]["documents"] or folder is None or not sys.stdin.isatty():
        return
    print("There are no documents yet, and no language model is needed to try agentd on some.")
    reply = await _read_line(f"Read agentd's own documentation ({folder}) as first documents? [Y/n] ")
    if reply.strip().lower() in ("", "y", "yes"):
        print(summary(await show_progress(client.ingest([folder]))))
        print(f"Now ask, for example: {FIRST_QUESTION}")
    else:
        print("Read your own with `agentd ingest PATH`.")
