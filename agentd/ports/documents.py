"""The documents of a principal: searched, counted and read in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from agentd.ports.house import ToldData
from agentd.ports.status import Moment
from agentd.records import Citation, Passage, Principal


class Documents(Protocol):
    async def search(self, question: str, principal: Principal, *, limit: int = 8) -> Sequence[Passage]:
        """The passages that fit a question best, best first, numbered from 1; empty when nothing fits."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class IngestProgress:
    """How far an ingest is; `skipped` names each file that was left out with the reason."""

    found: int
    done: int
    added: int
    changed: int
    unchanged: int
    removed: int
    chunks: int
    skipped: tuple[tuple[str, str], ...]
    current: str = ""
    finished: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class DocumentInfo:
    """A document as a list shows it; `bytes` is the size of the file, and `id` is never that of another document."""

    id: int
    principal: Principal
    source: str
    title: str
    bytes: int
    chunks: int
    modified: datetime
    added: datetime


class SharedPath(ToldData):
    """A file or folder that the owner shares, with `everyone`, `user:UID` or `person:NAME`.

    `documents` says how many are in it now.
    """

    path: str
    whom: str
    documents: int
    since: Moment


class Sharing(Protocol):
    """What the owner lets others search. Whatever is read from a shared folder later is shared, too."""

    async def share(self, path: Path, whom: str) -> SharedPath:
        """Share a file or folder that was read, with one of those or with a user of this machine by name."""
        ...

    async def unshare(self, path: Path, whom: str = "") -> Sequence[SharedPath]:
        """Share it no longer, with nobody if `whom` is empty; returns what was shared."""
        ...

    async def shares(self) -> Sequence[SharedPath]: ...


class Counted(Protocol):
    async def counts(self, principal: Principal) -> tuple[int, int]:
        """How many documents and chunks there are for this principal, with those that are shared."""
        ...


class Recutting(Protocol):
    async def cut_anew(self) -> int:
        """Make the chunks of the documents anew that an earlier agentd made in another way; how many documents."""
        ...


class DocumentView(Counted, Protocol):
    async def passage(self, citation: Citation, principal: Principal, since: datetime) -> str | None:
        """The text at a place that was cited; None if the document is gone or has changed since that time."""
        ...
