"""`agentd ask`: one question; its answer, and nothing else, goes to standard output."""

from __future__ import annotations

import argparse
import asyncio
import math
import os
import shlex
import sys
from dataclasses import dataclass

from agentd.cli.attach import attached
from agentd.cli.common import model_option, session_option
from agentd.cli.lines import read_all
from agentd.cli.output import Output
from agentd.errors import AgentdError, Stopping, TimedOut, UsageError
from agentd.serving import protocol
from agentd.serving.client import Client, Disconnected, new_message_id

MAX_OFFERS = 5
"""How often a question is offered again after a lost connection; the daemon recognises it by its id."""

EXIT_CODES = {"model": 5, "model_unavailable": 5, "prompt_too_long": 5, "timeout": 124}


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "question", nargs="?", help="what to ask; if standard input is not a terminal, its text comes first"
    )
    # Catches a question without quotes; the help does not show it.
    parser.add_argument("more", nargs="*", help=argparse.SUPPRESS)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("-c", "--continue", dest="last", action="store_true", help="continue the latest session")
    session_option(which)
    model_option(parser)
    parser.add_argument("--output", choices=("text", "json", "stream-json"), default="text", help="default: text")
    documents = parser.add_mutually_exclusive_group()
    documents.add_argument(
        "--documents",
        type=_passages,
        metavar="N",
        help=f"answer from at most N passages of the documents (0 to {protocol.MAX_PASSAGES})",
    )
    documents.add_argument(
        "--no-documents",
        dest="documents",
        action="store_const",
        const=0,
        help="do not search the documents",
    )
    parser.add_argument("--usage", action="store_true", help="show on standard error what the answer took")
    parser.add_argument("--timeout", type=_seconds, default=900.0, metavar="SECONDS", help="default: 900")


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not seconds > 0:
        raise argparse.ArgumentTypeError(f"must be a number of seconds above 0, not {text!r}")
    return seconds


def _passages(text: str) -> int:
    if not text.isdecimal() or int(text) > protocol.MAX_PASSAGES:
        raise argparse.ArgumentTypeError(f"must be a number from 0 to {protocol.MAX_PASSAGES}, not {text!r}")
    return int(text)


def run(options: argparse.Namespace) -> int:
    if options.more:
        words = shlex.quote(" ".join([options.question, *options.more]))
        raise UsageError(f"a question of several words needs quotes: `agentd ask {words}`.")
    return asyncio.run(_ask(options))


async def _read_question(argument: str | None) -> str:
    """Standard input, if it is not a terminal, then the argument; `UsageError` if both are empty or not UTF-8."""
    parts = []
    if argument == "-" or not sys.stdin.isatty():
        parts.append(await _standard_input())
    if argument not in (None, "-"):
        parts.append(_as_utf8(argument or ""))
    question = "\n\n".join(part.strip("\n") for part in parts if part.strip())
    if not question.strip():
        raise UsageError('the question is empty; try `agentd ask "What is in my documents?"`.')
    if len(question.encode()) > protocol.MAX_TEXT_BYTES:
        raise UsageError(
            f"the question is longer than {protocol.MAX_TEXT_BYTES:,} bytes; "
            "put long text into a file and read that with `agentd ingest FILE`."
        )
    return question


async def _standard_input() -> str:
    data = await read_all(sys.stdin.fileno(), protocol.MAX_TEXT_BYTES + 1)
    if len(data) > protocol.MAX_TEXT_BYTES:
        raise UsageError(
            f"standard input is longer than {protocol.MAX_TEXT_BYTES:,} bytes; "
            "put it into a file, read that with `agentd ingest FILE`, and ask about it."
        )
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise UsageError(
            f"standard input is not UTF-8 (byte 0x{data[error.start]:02x} at offset {error.start}); "
            "convert it first, for example with `iconv -t UTF-8`."
        ) from None


def _as_utf8(argument: str) -> str:
    """An argument, read as UTF-8 even if the locale uses another encoding."""
    try:
        argument.encode()
    except UnicodeEncodeError:
        try:
            return os.fsencode(argument).decode()
        except UnicodeError:
            raise UsageError("the question is not UTF-8; check the terminal's encoding.") from None
    return argument


async def _ask(options: argparse.Namespace) -> int:
    offer = _Offer(question="", message_id=new_message_id(), documents=options.documents)
    session = "last" if options.last else options.session
    output = Output(options.output, sys.stdout, sys.stderr, usage=options.usage)
    try:
        async with asyncio.timeout(options.timeout):
            offer.question = await _read_question(options.question)
            for offers_left in reversed(range(MAX_OFFERS)):
                try:
                    async with attached(options, name="agentd ask") as client:
                        opened = await client.open(session, listed=False)
                        session = opened.session
                        return await _once(client, session, offer, output)
                except (Disconnected, Stopping):
                    if not offers_left:
                        raise
                    output.restart(f"the connection was lost; {protocol.BEGINS_AGAIN}")
    except TimeoutError:
        raise TimedOut(_too_late(offer, options.timeout)) from None
    finally:
        output.clear()
    raise AssertionError("unreachable")


def _too_late(offer: _Offer, seconds: float) -> str:
    if not offer.question:
        return f"standard input did not end within {seconds:g} s, so nothing was asked."
    what_next = (
        "`agentd chat -c` shows it later" if offer.accepted else "agentd has not accepted the question; ask again"
    )
    return f"no answer within {seconds:g} s; {what_next}."


@dataclass(kw_only=True, slots=True)
class _Offer:
    """The question ("" until it is read), the id under which it is always offered, and whether the daemon has it."""

    question: str
    message_id: str
    documents: int | None
    accepted: bool = False


async def _once(client: Client, session: str, offer: _Offer, output: Output) -> int:
    accepted = await client.post(
        session, offer.question, message_id=offer.message_id, reply="request", documents=offer.documents
    )
    offer.accepted = True
    async for message in client.messages():
        if isinstance(message, protocol.Answer) and accepted.turn in (message.turn, *message.answers):
            output.answer(message)
            await client.ack(message.id)
            return _exit_code(message)
        if getattr(message, "turn", "") == accepted.turn:
            output.live(message)
    raise Disconnected("the daemon closed the connection.")


def _exit_code(answer: protocol.Answer) -> int:
    return EXIT_CODES.get(answer.error_code, AgentdError.exit_code) if answer.outcome == "error" else 0
