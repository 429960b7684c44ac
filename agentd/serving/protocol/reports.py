"""What the daemon tells about itself and its sessions: the `data` of `Told`, one record for each request.

get status        StatusReport          delivery list           LetterList
get sessions      SessionList           delivery show           LetterShown
get history       History               delivery retry, drop    Decided
command           CommandReply          hand_over               HandingOver
search            SessionsFound         rename, delete          ListedSession
passage           PassageShown          list_documents          DocumentList
                                        remove_documents        DocumentsRemoved
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import FailFast

from agentd.ports.house import CommandReply, ToldData
from agentd.ports.letters import Decided, Letter, LetterList, LetterShown
from agentd.ports.status import Moment, StatusReport
from agentd.records import Citation, Key, Name, Principal, Text

__all__ = (
    "CommandReply",
    "Decided",
    "DocumentList",
    "DocumentsRemoved",
    "HandingOver",
    "History",
    "HistoryMessage",
    "Letter",
    "LetterList",
    "LetterShown",
    "ListedDocument",
    "ListedSession",
    "PassageShown",
    "SessionFound",
    "SessionList",
    "SessionsFound",
    "StatusReport",
    "ToldData",
)


class ListedSession(ToldData):
    """A session as a list shows it; `messages` and `unread` count, and `whose` is empty for the reader's own."""

    id: str
    name: str = ""
    title: str = ""
    whose: str = ""
    created: Moment
    updated: Moment
    messages: int
    unread: int


class SessionList(ToldData):
    """Sessions that have messages, the one with the newest message first."""

    sessions: Annotated[tuple[ListedSession, ...], FailFast()]


class SessionFound(ListedSession):
    """A session with what was looked for: `excerpt` is from the message of `turn`, or from its name or title."""

    turn: str = ""
    excerpt: Text = ""


class SessionsFound(ToldData):
    """The session with the newest message first."""

    sessions: Annotated[tuple[SessionFound, ...], FailFast()]


class HistoryMessage(ToldData):
    """One message of a session's history."""

    turn: str
    role: Literal["user", "assistant"]
    text: Text
    time: datetime
    citations: Annotated[tuple[Citation, ...], FailFast()] = ()
    interrupted: bool = False
    unread: bool = False


class History(ToldData):
    """The newest messages of a session, the newest last."""

    messages: Annotated[tuple[HistoryMessage, ...], FailFast()]


class PassageShown(ToldData):
    """What a document says at a place, and shortly before and after it."""

    before: Text
    text: Text
    after: Text


class ListedDocument(ToldData):
    """A document as a list shows it: `source` is a path, or `upload:` and a name; `principal` is whose it is."""

    id: int
    principal: Principal
    source: Key
    title: Name
    bytes: int
    chunks: int
    modified: Moment
    added: Moment


class DocumentList(ToldData):
    """The one that was read last first."""

    documents: Annotated[tuple[ListedDocument, ...], FailFast()]


class DocumentsRemoved(ToldData):
    """Those that there were."""

    removed: Annotated[tuple[int, ...], FailFast()]


class HandingOver(ToldData):
    """How many seconds it takes at most until the state directory is free."""

    seconds: float
