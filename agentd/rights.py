"""Who may do what: one table, and the one decision that the core asks at every port.

The owner may do everything. Everybody else may use what is their own, and nothing that is the house's. Nothing that a
client, a document or a model says raises a right: a principal is minted by the core, from what the kernel says or from
what the core itself gave out.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Mapping
from typing import Literal

from agentd.errors import Forbidden, UsageError
from agentd.records import OWNER, Principal, Scope
from agentd.text.plain import plain_line

Action = Literal["see", "accept", "upload", "ingest", "administer", "letters", "hand_over", "tokens", "share"]
"""see: open, read, list, follow, stop, recall, search, export, rename or delete what is there. accept: ask a session
something. upload: read documents of one's own from their bytes. ingest: read documents from paths. administer: choose
the model, see how the whole house is. letters: decide about deliveries. hand_over: end a daemon for another one.
tokens: give tokens out, and take them back. share: let others search the owner's documents.
"""

FOR_THE_OWNER: Mapping[Action, str] = {
    "ingest": (
        "only the owner of this agentd may have files read by their paths; `agentd ingest --upload FILE` sends yours."
    ),
    "administer": "that is only for the owner of this agentd.",
    "letters": "the deliveries are the business of the owner of this agentd alone.",
    "hand_over": "only the owner of this agentd may take its state directory over.",
    "tokens": "only the owner of this agentd gives tokens out and takes them back.",
    "share": "only the owner of this agentd may share documents.",
}
"""What nobody but the owner may do, and what everybody else is told."""

NEEDED: Mapping[str, Scope] = {
    "open": "chat",
    "watch": "events",
    "close": "chat",
    "message": "chat",
    "fetch": "chat",
    "stop": "chat",
    "get": "chat",
    "search": "chat",
    "passage": "chat",
    "rename": "chat",
    "delete": "chat",
    "select": "chat",
    "export": "chat",
    "command": "chat",
    "list_documents": "documents",
    "remove_documents": "documents",
    "upload": "documents",
    "ingest": "admin",
    "delivery": "admin",
    "share": "admin",
    "hand_over": "admin",
    "token": "admin",
    "ticket": "admin",
}
"""The scope that each request of the protocol needs, besides the right of its principal."""
PAGE_SCOPES: frozenset[Scope] = frozenset({"chat", "documents", "events"})
"""What the page is good for: whoever gets hold of it by a fault of the browser has no hold of the house."""

MAX_NAME = 64


def may(principal: Principal, action: Action, of: Principal | None = None) -> bool:
    """Whether `principal` may do this; `of` is whose the session or document is that it is done to."""
    if principal.kind == "owner":
        return True
    return action not in FOR_THE_OWNER and of in (None, principal)


def require(principal: Principal, action: Action) -> None:
    """`Forbidden` with what to tell them, unless `principal` may do what belongs to the house."""
    if not may(principal, action):
        raise Forbidden(FOR_THE_OWNER[action])


def local_principal(uid: int, groups: Collection[int], owners: Collection[int], group: int | None) -> Principal | None:
    """Who a user of this machine is, None for somebody who may not come in at all.

    `groups` are theirs, `owners` the users that the owner is, and `group` the one that the socket is shared with.
    """
    if uid in owners:
        return OWNER
    if group is not None and group in groups:
        return Principal(kind="user", id=str(uid))
    return None


def within(scopes: Collection[Scope], needed: Scope) -> None:
    """`Forbidden` unless `needed` is one of the scopes that somebody came with."""
    if needed not in scopes:
        raise Forbidden(
            f"this needs the scope {needed}, which your token or your page does not have; on the machine itself, "
            "everything can be done in a shell."
        )


def person(name: str) -> Principal:
    """The person of this name; `UsageError` for what cannot be one."""
    return Principal(kind="person", id=proper_name("person", name))


def proper_name(kind: str, name: str) -> str:
    """The name as it is kept: the same letters are the same name, however they were typed."""
    name = unicodedata.normalize("NFC", name)
    if not 0 < len(name) <= MAX_NAME or name != plain_line(name) or name != name.strip() or name.startswith("-"):
        raise UsageError(
            f"the name of a {kind} has 1 to {MAX_NAME} visible characters, no blank at its ends, and no - at its "
            "beginning; choose another one."
        )
    return name
