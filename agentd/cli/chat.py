"""`agentd chat`: a conversation in the terminal."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import agentd
from agentd.cli.advice import HOW_TO_TYPE, NAME, program
from agentd.cli.attach import attached
from agentd.cli.common import load_settings, model_option, session_option
from agentd.cli.ingest import show_progress, summary
from agentd.cli.lines import Lines, standard_lines
from agentd.cli.say import say, warn
from agentd.cli.yes_no import asked
from agentd.serving.client import Client

if TYPE_CHECKING:
    from agentd.cli.repl.repl import Repl

DECLINED = "documents.declined"
"""The file of the state directory which says that the offer to index agentd's own documentation was declined."""
FIRST_QUESTION = "What happens to a message when the daemon is killed?"


def arguments(parser: argparse.ArgumentParser) -> None:
    which = parser.add_mutually_exclusive_group()
    which.add_argument("-c", "--continue", dest="last", action="store_true", help="continue the latest session")
    session_option(which)
    model_option(parser)
    parser.add_argument("--usage", action="store_true", help="show after each answer what it took (like /usage on)")
    parser.add_argument("--plain", action="store_true", help="write plain lines without colours or escape sequences")


def run(options: argparse.Namespace) -> int:
    return asyncio.run(_chat(options))


async def _chat(options: argparse.Namespace) -> int:
    talk = _talk(options)
    client = await talk.link.connect()
    talk.link.show_usage(options.usage)
    try:
        await offer_documents(client, load_settings(options)[1] / DECLINED)
        return await talk.run("last" if options.last else options.session)
    finally:
        await talk.link.close()


def _talk(options: argparse.Namespace) -> Lines | Repl:
    connect = partial(attached, options, name="agentd chat")
    if options.plain or not suits_prompt(os.environ, sys.stdin, sys.stdout):
        return standard_lines(connect)
    from agentd.cli.repl.repl import Repl

    _, state_dir = load_settings(options)
    return Repl(connect, state_dir / "history")


def suits_prompt(environ: Mapping[str, str], stdin: TextIO, stdout: TextIO) -> bool:
    """Whether a person sits at a terminal that shows colours, and wants them (https://no-color.org)."""
    able = environ.get("TERM", "dumb") not in ("", "dumb", "unknown") and not environ.get("NO_COLOR")
    return able and stdin.isatty() and stdout.isatty()


def own_documents() -> list[Path]:
    """The pages about agentd itself, without the reports, which are in folders below."""
    package = Path(agentd.__file__).parent
    if pages := sorted((package.parent / "docs").glob("*.md")):
        return [*pages, *package.parent.glob("README.md")]
    return sorted((package / "docs").glob("*.md"))


def may_offer(declined: Path) -> bool:
    """Whether there is a person to ask who has not declined before."""
    return sys.stdin.isatty() and sys.stdout.isatty() and not declined.exists()


async def offer_documents(client: Client, declined: Path) -> None:
    """If there are no documents yet, offer to read agentd's own, so that the first question has an answer.

    If the person declines, the file `declined` is made, and the offer does not come again.
    """
    pages = own_documents()
    if not pages or not may_offer(declined):
        return
    documents = (await client.status()).documents
    if documents is None or documents.documents:  # None means somebody else than the owner, who may add no paths
        return
    say("There are no documents yet. You can try agentd without a language model, on its own documentation.")
    say(f"The documentation is in {pages[0].parent}")
    reply = await asked("Index it, so that you have something to ask about? [Y/n] ", default=True)
    if reply:
        say(summary(await show_progress(client.ingest(pages))))
        say(f"Now ask, for example: {FIRST_QUESTION}")
        return
    say("/docs add PATH reads your own documents.")
    if program() != NAME:
        say(HOW_TO_TYPE.format(program()))
    if reply is not None:
        _remember(declined)


def _remember(declined: Path) -> None:
    try:
        declined.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(declined, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
    except OSError as error:
        warn(f"agentd: cannot write {declined}: {error.strerror}")
