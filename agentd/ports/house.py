"""What may be asked of the whole house, and commanded."""

from __future__ import annotations

from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict

from agentd.events import Principal


class ToldData(BaseModel):
    """What is told about the house, as a record; what a newer agentd adds to it is ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    def as_json(self) -> dict[str, Any]:
        return self.model_dump(mode="json")


class CommandReply(ToldData):
    """What a command says; `session`, if any, is the one that the channel should go on with.

    `ask`, if any, is a message that the channel should now offer as if the person had sent it.
    """

    text: str = ""
    session: str = ""
    ask: str = ""


class Control(Protocol):
    """What a slash command of `agentd.serving.commands` does."""

    async def run(self, text: str, principal: Principal, session_id: str) -> CommandReply:
        """Do what `text` commands; `UsageError`, `NotFound` or another `AgentdError` says why it could not be done."""
        ...
