"""Who may do what: one table, and the one decision that the core asks at every port.

The owner may do everything. Everybody else may use what is their own, and nothing that is the house's. Nothing that a
client, a document or a model says raises a right: a principal is minted by the core, from what the kernel says or from
what the core itself gave out.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Literal

from agentd.errors import UsageError
from agentd.records import OWNER, Principal

Action = Literal["see", "accept", "upload", "ingest", "administer", "letters", "hand_over"]
"""see: open, read, list, follow, stop, recall, search, export, rename or delete what is there. accept: ask a session
something. upload: read documents of one's own from their bytes. ingest: read documents from paths. administer: choose
the model, see how the whole house is. letters: decide about deliveries. hand_over: end a daemon for another one.
"""

FOR_THE_OWNER: Mapping[Action, str] = {
    "ingest": (
        "only the owner of this agentd may have files read by their paths; `agentd ingest --upload FILE` sends yours."
    ),
    "administer": "that is only for the owner of this agentd.",
    "letters": "the deliveries are the business of the owner of this agentd alone.",
    "hand_over": "only the owner of this agentd may take its state directory over.",
}
"""What nobody but the owner may do, and what everybody else is told."""


def may(principal: Principal, action: Action, of: Principal | None = None) -> bool:
    """Whether `principal` may do this; `of` is whose the session or document is that it is done to."""
    if principal.kind == "owner":
        return True
    return action not in FOR_THE_OWNER and of in (None, principal)


def require(principal: Principal, action: Action) -> None:
    """`UsageError` with what to tell them, unless `principal` may do what belongs to the house."""
    if not may(principal, action):
        raise UsageError(FOR_THE_OWNER[action])


def local_principal(uid: int, groups: Collection[int], owners: Collection[int], group: int | None) -> Principal | None:
    """Who a user of this machine is, None for somebody who may not come in at all.

    `groups` are theirs, `owners` the users that the owner is, and `group` the one that the socket is shared with.
    """
    if uid in owners:
        return OWNER
    if group is not None and group in groups:
        return Principal(kind="user", id=str(uid))
    return None
