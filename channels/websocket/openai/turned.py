"""What every reply says of the turn behind it, and what an answer comes to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import BaseModel

from agentd.errors import NotFound
from agentd.records import Citation, TurnUsage
from agentd.serving.protocol import Answer, Fetch, Fetched
from agentd.serving.visits import Visit
from channels.websocket.openai.sources import source_list

RESPONSE = "resp_"
"""What the id of a response begins with; the id of its turn follows."""


def response_id(turn: str) -> str:
    return RESPONSE + turn


def turn_of(response: str) -> str:
    """The turn of a response; `NotFound` for what is not the id of one."""
    turn = response.removeprefix(RESPONSE)
    if turn == response:
        raise NotFound(f"there is no response {response!r:.80}; ids of responses begin with {RESPONSE}.")
    return turn


async def fetched(visit: Visit, response: str) -> Fetched:
    """How a response is, and its answer follows if it has ended; `NotFound` if it is not there, or not any more."""
    fetch = Fetch(id="response", turn=turn_of(response))
    try:
        return await visit.ask(fetch, Fetched)
    except NotFound:
        raise NotFound(f"there is no response {response!r:.80}, or not any more; ask again to get a new one.") from None


@dataclass(frozen=True, kw_only=True, slots=True)
class Turned:
    """A request that became a turn: `model` as it was asked for, `created` in seconds since 1970."""

    turn: str
    session: str
    model: str
    created: int
    sources: bool = True

    def text(self, answer: Answer) -> str:
        """The whole text, with the list of the sources if it is wanted."""
        return answer.text + self.ending(answer)

    def ending(self, answer: Answer) -> str:
        return source_list(answer.citations) if self.sources else ""


class AgentdFields(BaseModel):
    """What only agentd tells: `model` answered, `session` can be continued with the header X-Agentd-Session."""

    session: str
    turn: str
    model: str = ""
    citations: Sequence[Citation] = ()


def fields_of(turned: Turned, answer: Answer | None) -> AgentdFields:
    known = AgentdFields(session=turned.session, turn=turned.turn)
    if answer is None:
        return known
    return known.model_copy(update={"model": answer.model, "citations": answer.citations})


def usage_of(answer: Answer) -> TurnUsage:
    return answer.usage or TurnUsage()
