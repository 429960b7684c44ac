"""What the daemon tells about itself and its sessions: the `data` of `Told`, one record for each request.

get status        StatusReport          delivery list           LetterList
get sessions      SessionList           delivery show           LetterShown
get history       History               delivery retry, drop    Decided
get branches      BranchList            select                  Selected
command           CommandReply          hand_over               HandingOver
token             TokenList             ticket                  PageTicket
search            SessionsFound         rename, delete          ListedSession
passage           PassageShown          list_documents          DocumentList
share             SharedPaths           remove_documents        DocumentsRemoved
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import FailFast

from agentd.ports.documents import SharedPath
from agentd.ports.house import CommandReply, ToldData
from agentd.ports.letters import Decided, Letter, LetterList, LetterShown
from agentd.ports.status import Moment, StatusReport
from agentd.ports.tokens import PageTicket, Token, TokenList, TokenOrder
from agentd.records import Citation, Key, Name, Principal, Text

__all__ = (
    "BranchList",
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
    "ListedBranch",
    "ListedDocument",
    "ListedSession",
    "PageTicket",
    "PassageShown",
    "Selected",
    "SessionFound",
    "SessionList",
    "SessionsFound",
    "SharedPath",
    "SharedPaths",
    "StatusReport",
    "Token",
    "TokenList",
    "TokenOrder",
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
    aside: bool = False
    """Whether that message is on another branch than the one that is shown; `select` shows it."""


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
    parent: str = ""
    """The turn that its turn follows; "" for a first one."""
    branches: Annotated[tuple[str, ...], FailFast()] = ()
    """The turns that follow the same one, its own among them, the oldest first; empty if there is no other."""


class History(ToldData):
    """The newest messages of the branch that a session shows, the newest last."""

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


class ListedBranch(ToldData):
    """A way through a session: `turn` is its last one, `question` and `answer` are the beginnings of what was said."""

    turn: str
    question: Text
    answer: Text
    time: datetime
    shown: bool


class BranchList(ToldData):
    """The branches of a session, the one that was gone on with last first.

    The first one may be only the beginning of others, if the conversation was taken back to there.
    """

    branches: Annotated[tuple[ListedBranch, ...], FailFast()]


class Selected(ToldData):
    """The last turn of the branch that is shown now; "" if that is empty."""

    turn: str


class SharedPaths(ToldData):
    """Files and folders of the owner that others may search, by path."""

    shares: Annotated[tuple[SharedPath, ...], FailFast()]


class HandingOver(ToldData):
    """How many seconds it takes at most until the state directory is free."""

    seconds: float
