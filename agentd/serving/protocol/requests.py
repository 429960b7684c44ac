"""What a client asks: one class for each request."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AwareDatetime, FailFast, Field

from agentd.ports.tokens import TokenOrder
from agentd.records import SCOPES, Key, Scope, Terms
from agentd.serving.protocol.base import (
    MAX_DAYS,
    MAX_ID,
    MAX_IDS,
    MAX_PASSAGES,
    MAX_PATHS,
    MOST,
    VERSION,
    Cursor,
    Id,
    Message,
    Number,
    Place,
)


class Hello(Message):
    """The first message. With `acks` an answer stays pending until this client acknowledges it."""

    type: Literal["hello"] = "hello"
    v: int = VERSION
    client: Id = ""
    acks: bool = False


class Open(Message):
    """Choose a session and follow it: none = new, "last", an id, or a name (made when there is none).

    A session whose `history` is asked for counts as read. A new one without a name that is not `listed` is for one
    question: lists and searches leave it out until it is continued or named, and in time it is deleted.
    """

    type: Literal["open"] = "open"
    id: Id
    session: Id | None = None
    after: Cursor | None = None
    history: int = Field(default=0, ge=0, le=1000)
    listed: bool = True


class Watch(Message):
    """Follow all sessions of one's own, also those to come; `Watching` answers. The owner may follow `everybody`'s.

    Of the sessions that this client has opened, nothing comes twice.
    """

    type: Literal["watch"] = "watch"
    id: Id
    everybody: bool = False


class Close(Message):
    """Follow a session no more; `Closed` answers. What it still owes this client waits for the next one."""

    type: Literal["close"] = "close"
    id: Id
    session: Id


class Post(Message):
    """Ask a session something. `id` is the message's own: offered again with the same text it is the same turn.

    One that brings its whole conversation along (`terms`) is the same turn in whatever session it is offered again.
    `reply="request"` says that nobody will come back for the answer when this connection is gone. What `replaces` a
    turn takes its place: with a `text` as an edit of its question, without one it asks the same for another answer.
    """

    type: Literal["message"] = "message"
    id: str = Field(min_length=1, max_length=MAX_ID)
    session: Id
    text: str = ""
    replaces: Id = ""
    reply: Literal["session", "request"] = "session"
    documents: int | None = Field(default=None, ge=0, le=MAX_PASSAGES)
    """Passages of the documents to answer from at most: 0 for none, null for what the daemon's settings say."""
    terms: Terms | None = None
    """What its caller brings along: the conversation, tools of its own, how to sample."""


class Fetch(Message):
    """Ask for a turn by its id; `Fetched` answers, and then its answer comes, if it has ended."""

    type: Literal["fetch"] = "fetch"
    id: Id
    turn: Id


class Stop(Message):
    """End the running turn of a session; what was said is kept."""

    type: Literal["stop"] = "stop"
    id: Id
    session: Id


class Ack(Message):
    """These answers (their ids) arrived and are safe with the client."""

    type: Literal["ack"] = "ack"
    ids: Annotated[tuple[Id, ...], FailFast(), Field(max_length=MAX_IDS)]


class Get(Message):
    """A question about what there is; `Told` answers: a `StatusReport`, `SessionList`, `History` or `BranchList`.

    With the id of a `session`, `sessions` has that one alone, also if lists leave it out.
    """

    type: Literal["get"] = "get"
    id: Id
    what: Literal["status", "sessions", "history", "branches"]
    session: Id = ""
    limit: int = Field(default=50, ge=1, le=1000)


class Search(Message):
    """Find sessions by the words of their names, titles and messages; `Told` answers, with `SessionsFound`."""

    type: Literal["search"] = "search"
    id: Id
    text: Id
    limit: int = Field(default=20, ge=1, le=200)


class Passage(Message):
    """The text at a place that an answer cites, with what stands around it; `Told` answers, with a `PassageShown`.

    `since` is the time of the answer: a document that was read anew after it is `not_found`.
    """

    type: Literal["passage"] = "passage"
    id: Id
    source: Key
    start: Place
    end: Place
    since: AwareDatetime | None = None


class Rename(Message):
    """Give a session a name, or none (""); `Told` answers, with the session."""

    type: Literal["rename"] = "rename"
    id: Id
    session: Id
    name: Id


class Delete(Message):
    """Delete a session and all that was said in it, unless something runs there; `Told` answers, with the session."""

    type: Literal["delete"] = "delete"
    id: Id
    session: Id


class Select(Message):
    """Show the branch of this turn, up to where it was gone on with last, or only what comes `before` this turn.

    `Told` answers, with what is `Selected`; everybody who follows the session gets a `BranchShown`.
    """

    type: Literal["select"] = "select"
    id: Id
    session: Id
    turn: Id
    before: bool = False


class Export(Message):
    """All that was said in a session, as one file; `Exported` has it in pieces, until `finished`."""

    type: Literal["export"] = "export"
    id: Id
    session: Id
    format: Literal["markdown", "json"] = "markdown"


class Upload(Message):
    """Read a document of one's own from its bytes (`data`, in base64); `IngestState` answers until `finished`.

    A later one of the same `name` takes its place. The end of the name says what it is, as a file's does.
    """

    type: Literal["upload"] = "upload"
    id: Id
    name: str = Field(min_length=1, max_length=MAX_ID)
    data: str


class ListDocuments(Message):
    """The documents that one may see, the one that was read last first; `Told` answers, with a `DocumentList`.

    Those behind a page come with the smallest id of the page as `before`.
    """

    type: Literal["list_documents"] = "list_documents"
    id: Id
    before: Number = MOST
    limit: int = Field(default=50, ge=1, le=500)


class RemoveDocuments(Message):
    """Delete documents of one's own, the owner also those of others; `Told` answers, with `DocumentsRemoved`.

    They are found no more. Files stay where they are, and are read again by a later ingest of their folder.
    """

    type: Literal["remove_documents"] = "remove_documents"
    id: Id
    documents: Annotated[tuple[Number, ...], FailFast(), Field(max_length=MAX_IDS)]


class Ingest(Message):
    """Read documents from absolute paths on the daemon's machine; `IngestState` tells the progress."""

    type: Literal["ingest"] = "ingest"
    id: Id
    paths: Annotated[tuple[str, ...], FailFast(), Field(max_length=MAX_PATHS)]


class Share(Message):
    """Let others search what was read from a path, no longer (`remove`; without `whom` nobody), or list what is shared.

    `Told` answers, with `SharedPaths`: what was shared, what was until now, or all.
    """

    type: Literal["share"] = "share"
    id: Id
    what: Literal["add", "remove", "list"]
    path: str = ""
    whom: Id = ""


class Command(Message):
    """Do what a slash command says (`agentd.serving.commands`), in a session if it needs one.

    `Told` answers, with a `CommandReply`.
    """

    type: Literal["command"] = "command"
    id: Id
    session: Id = ""
    text: str


class Delivery(Message):
    """Look after what is pending and dead; `Told` answers: a `LetterList`, a `LetterShown`, or what was `Decided`.

    Without `ids`, retry and drop mean the dead letters that were given up at least `older_than` seconds ago.
    """

    type: Literal["delivery"] = "delivery"
    id: Id
    what: Literal["list", "show", "retry", "drop"]
    ids: Annotated[tuple[Id, ...], FailFast(), Field(max_length=MAX_IDS)] = ()
    older_than: float | None = Field(default=None, ge=0)
    limit: int = Field(default=200, ge=1, le=5000)


class HandOver(Message):
    """Let go of the state directory, for a daemon that is about to start. `Told` has the `seconds` that takes at most.

    Only the owner may ask, and only a daemon inside a command (`agentd chat`) does it; any other answers `Failure`.
    """

    type: Literal["hand_over"] = "hand_over"
    id: Id


class Tokens(Message):
    """List tokens, create one or revoke one, for the owner, on the daemon's machine; a `TokenList` answers.

    A new one is the owner's if `principal` is null, else that of the person of this name; it lasts `days`, or until it
    is revoked.
    """

    type: Literal["token"] = "token"
    id: Id
    what: Literal["list", "create", "revoke"]
    name: Id = ""
    principal: Id | None = None
    scopes: Annotated[tuple[Scope, ...], FailFast(), Field(max_length=len(SCOPES))] = ()
    days: int | None = Field(default=None, ge=1, le=MAX_DAYS)

    @property
    def order(self) -> TokenOrder:
        return TokenOrder(what=self.what, name=self.name, principal=self.principal, scopes=self.scopes, days=self.days)


class Ticket(Message):
    """Let one browser in, as whoever asks; `Told` answers, with a `PageTicket`. On the daemon's machine alone."""

    type: Literal["ticket"] = "ticket"
    id: Id


Request = (
    Open
    | Watch
    | Close
    | Post
    | Fetch
    | Stop
    | Get
    | Search
    | Passage
    | Rename
    | Delete
    | Select
    | Export
    | ListDocuments
    | RemoveDocuments
    | Ingest
    | Upload
    | Share
    | Command
    | Delivery
    | HandOver
    | Tokens
    | Ticket
)
"""What is answered: each has an `id`."""

ClientMessage = Hello | Ack | Request
