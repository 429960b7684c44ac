"""`POST /v1/embeddings`: there is no model for it yet, and nothing else is passed off as one."""

from __future__ import annotations

from agentd.errors import NotFound
from channels.websocket.openai.asked import Lenient


class EmbeddingRequest(Lenient):
    """A request for vectors. Fields that are not listed are ignored."""

    model: str
    input: str | list[str] | list[int] | list[list[int]]


class NoEmbedder(NotFound):
    param = "model"

    def __init__(self) -> None:
        super().__init__(
            "this agentd has no model that makes vectors of texts; ask a server that has one, such as llama-server "
            "with --embeddings."
        )
