"""What may be asked about the whole house, and decided: its status, commands and deliveries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from agentd.events import Principal


class Status(Protocol):
    """Is it well, and if not, what to do."""

    async def snapshot(self, principal: Principal) -> Mapping[str, Any]:
        """What `agentd status` shows, as JSON values; for others than the owner only who answers and whether all is
        well.
        """
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class CommandReply:
    """What a command says; `session`, if any, is the one that the channel should go on with.

    `ask`, if any, is a message that the channel should now offer as if the person had sent it.
    """

    text: str
    session: str = ""
    ask: str = ""


class Control(Protocol):
    """What a slash command of `agentd.serving.commands` does."""

    async def run(self, text: str, principal: Principal, session_id: str) -> CommandReply:
        """Do what `text` commands; `UsageError`, `NotFound` or another `AgentdError` says why it could not be done."""
        ...


Decision = Literal["list", "show", "retry", "drop"]


class DeliveryDesk(Protocol):
    """What the owner may ask, and decide, about what is pending and what is dead."""

    async def tell(
        self,
        principal: Principal,
        what: Decision,
        ids: Sequence[str] = (),
        *,
        older_than: float | None = None,
        limit: int = 200,
    ) -> Mapping[str, Any]:
        """As JSON values; ages are in seconds.

        list: the oldest `pending` and `dead`, at most `limit` each, and `counts` of all. show: one `letter`, its
        `event` and its `log`; `NotFound`. retry and drop: the dead letters of these ids, or, without any, those given
        up at least `older_than` ago: `done`, `failed` (id -> why), and whether there are `more`. `UsageError` for
        anybody but the owner.
        """
        ...
