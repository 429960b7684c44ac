"""What a conversation remembers, in words for a person: its last messages, and what is behind its last answer."""

from __future__ import annotations

import re
import textwrap

from agentd.errors import NotFound
from agentd.ports.documents import DocumentView
from agentd.ports.models import EXTRACTIVE
from agentd.ports.sessions import SessionView, StoredMessage
from agentd.ports.turns import EndedTurns
from agentd.records import Citation, Principal
from agentd.serving.commands import question_count
from agentd.status.usage import usage_line

SHOWN = 500
"""Characters of each message that /history shows."""
REMEMBERED = 20
"""How many messages back the last question and the last answer are looked for."""
COLUMNS, INDENT = 78, "    "
_PARAGRAPHS = re.compile(r"\n(?:[ \t]*\n)+")
_SHAPED = re.compile(r"\s|[-*+|>#`~]|\d+[.)]")
"""Begins a line of a list, a table, a quotation, a heading or code."""


class Recall:
    """Every method raises `NotFound` for a session of somebody else, and if there is nothing to tell."""

    def __init__(self, sessions: SessionView, turns: EndedTurns, documents: DocumentView) -> None:
        self._sessions = sessions
        self._turns = turns
        self._documents = documents

    async def history(self, principal: Principal, session_id: str, questions: str) -> str:
        """The newest questions with their answers, in short; `UsageError` for what is not a number of them."""
        wanted = 2 * question_count(questions)
        stored = list(await self._sessions.history(principal, session_id, limit=wanted))
        if not stored:
            raise NotFound("nothing was asked in this conversation yet; ask something first.")
        return "\n\n".join(_in_short(message) for message in stored)

    async def last_question(self, principal: Principal, session_id: str) -> StoredMessage:
        return await self._last(principal, session_id, "user", "there is no question in this conversation yet.")

    async def last_answer(self, principal: Principal, session_id: str) -> StoredMessage:
        return await self._last(principal, session_id, "assistant", "there is no answer in this conversation yet.")

    async def sources(self, principal: Principal, session_id: str) -> str:
        """The places behind the last answer, each with its text if that is still what it was."""
        answer = await self.last_answer(principal, session_id)
        if not answer.citations:
            return "the last answer names no sources"
        told = [await self._source(principal, citation, answer) for citation in answer.citations]
        return "\n\n".join(told)

    async def _source(self, principal: Principal, citation: Citation, answer: StoredMessage) -> str:
        text = await self._documents.passage(citation, principal, answer.time)
        if text is None:
            text = "(This document was changed or removed since, and its earlier text is not kept.)"
        return f"[{citation.n}] {citation.where}\n{_indented(text)}"

    async def usage(self, principal: Principal, session_id: str) -> str:
        """What the last answer took."""
        answer = await self.last_answer(principal, session_id)
        ended = await self._turns.finished(answer.turn_id)
        if ended is None or ended.usage is None:
            return "it is not known what the last answer took"
        named = ended.model and ended.model != EXTRACTIVE
        return f"{ended.model}: {usage_line(ended.usage)}" if named else usage_line(ended.usage)

    async def _last(self, principal: Principal, session_id: str, role: str, none: str) -> StoredMessage:
        stored = await self._sessions.history(principal, session_id, limit=REMEMBERED)
        found = next((message for message in reversed(stored) if message.role == role), None)
        if found is None:
            raise NotFound(none)
        return found


def _in_short(message: StoredMessage) -> str:
    text = message.text if len(message.text) <= SHOWN else f"{message.text[:SHOWN].rstrip()}…"
    return f"> {text}" if message.role == "user" else text


def _indented(text: str) -> str:
    """Paragraphs filled anew; lists, tables and code keep their lines, and so does all that has fenced code."""
    if "```" in text:
        return _kept(text.strip("\n").splitlines())
    paragraphs = (lines.splitlines() for lines in _PARAGRAPHS.split(text.strip("\n")))
    return "\n\n".join(_filled(lines) if not any(map(_SHAPED.match, lines)) else _kept(lines) for lines in paragraphs)


def _filled(lines: list[str]) -> str:
    return textwrap.fill(" ".join(lines), COLUMNS, initial_indent=INDENT, subsequent_indent=INDENT)


def _kept(lines: list[str]) -> str:
    return "\n".join(f"{INDENT}{line}".rstrip() for line in lines)
