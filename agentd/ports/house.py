"""What may be asked of the whole house, and commanded."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


class ToldData(BaseModel):
    """What is told about the house, as a record; what a newer agentd adds to it is ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    def as_json(self) -> dict[str, Any]:
        return self.model_dump(mode="json")


class CommandReply(ToldData):
    """What a command says; `session`, if any, is the one that the channel should go on with.

    `ask`, if any, is a message that the channel should now offer as if the person had sent it, in the place of the turn
    that it `replaces`.
    """

    text: str = ""
    session: str = ""
    ask: str = ""
    replaces: str = ""
