"""The tool `search_documents`: what the asker's documents say about something, in passages that can be cited."""

from __future__ import annotations

from pydantic import Field

from agentd.evidence.passages import render_passage
from agentd.ports.documents import Documents
from agentd.ports.tools import ToolContext
from agentd.records import Passage
from agentd.tools.arguments import Arguments

PASSAGES = 5
"""Passages that one search gives at most."""


class SearchDocumentsArguments(Arguments):
    query: str = Field(
        description="A few telling words.",
        min_length=1,
        max_length=1000,
    )


class SearchDocuments:
    """Implements `ports.Tool`; finds only what the principal of the turn may read."""

    name = "search_documents"
    description = "Search the user's documents for more passages, if those given do not answer the question."
    arguments = SearchDocumentsArguments
    side_effects = False

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    async def run(self, arguments: SearchDocumentsArguments, context: ToolContext) -> str:
        """The passages with their numbers in this turn; one that the model has already is named, not repeated."""
        found = await self._documents.search(arguments.query, context.principal, limit=PASSAGES)
        if not found:
            return "Nothing in the documents fits these words. Search with other words, or say that they do not tell."
        known = {passage.n for passage in context.sources()}
        return "\n".join(_shown(passage, known=passage.n in known) for passage in context.cite(found))


def _shown(passage: Passage, *, known: bool) -> str:
    return f"[{passage.n}] is among the passages above.\n" if known else render_passage(passage)
