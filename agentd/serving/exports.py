"""A whole conversation as one file, in pieces: as Markdown for people, as JSON for programs."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Literal

from agentd.ports.sessions import SessionInfo, StoredMessage
from agentd.serving import protocol, told

Format = Literal["markdown", "json"]
SUFFIXES: dict[Format, str] = {"markdown": ".md", "json": ".json"}
PIECE = 64 * 1024
"""Characters of a piece at most."""
NAME_LENGTH = 60
_WHO = {"user": "You", "assistant": "agentd"}
_OTHER = re.compile(r"[^\w]+")


def file_name(session: SessionInfo, form: Format) -> str:
    """A name that any file system takes, after the conversation's own."""
    words = _OTHER.sub("-", session.name or session.title)[:NAME_LENGTH].strip("-")
    return f"{words or session.id}{SUFFIXES[form]}"


async def exported(
    session: SessionInfo, pages: AsyncIterator[Sequence[StoredMessage]], form: Format, *, re: str
) -> AsyncIterator[protocol.Exported]:
    """The file as the replies to a request `re`; the last one has `finished`."""
    name, n = file_name(session, form), 0
    async for text in pieces(session, pages, form):
        yield (piece := protocol.Exported(re=re, name=name, n=n, text=text))
        n += len(piece.text)
    yield protocol.Exported(re=re, name=name, n=n, text="", finished=True)


async def pieces(
    session: SessionInfo, pages: AsyncIterator[Sequence[StoredMessage]], form: Format
) -> AsyncIterator[str]:
    """The text of the file; `pages` are all messages, the oldest first."""
    whole = _markdown(session, pages) if form == "markdown" else _json(session, pages)
    async for text in whole:
        for start in range(0, len(text), PIECE):
            yield text[start : start + PIECE]


async def _markdown(session: SessionInfo, pages: AsyncIterator[Sequence[StoredMessage]]) -> AsyncIterator[str]:
    name = f"{session.name}, b" if session.name else "B"
    yield f"# {session.title or session.name or 'A conversation'}\n\n{name}egun {session.created:%Y-%m-%d %H:%M} UTC\n"
    async for page in pages:
        yield "".join(part for message in page for part in _section(message))


def _section(message: StoredMessage) -> Iterator[str]:
    yield f"\n## {_WHO[message.role]}, {message.time:%Y-%m-%d %H:%M} UTC\n\n{message.text.strip()}\n"
    if message.interrupted:
        yield "\n(stopped)\n"
    if message.citations:
        yield "\n"
    for citation in message.citations:
        heading = f", {citation.heading}" if citation.heading else ""
        yield f"- [{citation.n}] {citation.title}{heading} ({citation.source})\n"


async def _json(session: SessionInfo, pages: AsyncIterator[Sequence[StoredMessage]]) -> AsyncIterator[str]:
    yield f'{{"session":{told.listed(session, session.principal).model_dump_json()},"messages":['
    separator = ""
    async for page in pages:
        for message in page:
            yield f"{separator}\n{told.message(message).model_dump_json()}"
            separator = ","
    yield "\n]}\n"
