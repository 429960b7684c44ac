"""The figures of a state directory that no daemon uses: agentd only reads it, and answers or delivers nothing."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

from agentd import __version__
from agentd.clock import SystemClock
from agentd.config import Settings
from agentd.config.sections import ModelSection
from agentd.delivery import DeliveryStats
from agentd.errors import ModelError, StateError
from agentd.host.lock import StateLock
from agentd.models.failover import NO_MODEL
from agentd.models.library.shelf import Shelf
from agentd.models.llama import checks, files, standing, verdict
from agentd.models.llama.checks import Checks
from agentd.pending import PendingDirectory
from agentd.ports.clock import Clock
from agentd.ports.models import EXTRACTIVE
from agentd.ports.status import DaemonFigures, StatusReport
from agentd.records import OWNER, Principal
from agentd.retrieval.ingest import DocumentIngest
from agentd.status.running import DaemonStatus, Told
from agentd.status.stored import Stored
from agentd.storage.store import Store, load_migrations

NOT_LOADED = "used when agentd runs"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Model:
    """The model that would be asked first, which is not loaded."""

    name: str
    state: str = NOT_LOADED
    problem: str = ""
    note: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Delivery:
    """Without a worker nothing is known about a channel; `deferred` counts addresses, as the worker does."""

    deferred: int

    def stats(self) -> DeliveryStats:
        """See `Delivering`."""
        return DeliveryStats(
            pending=0,
            in_flight=0,
            unconfirmed=0,
            deferred=self.deferred,
            unrecorded=0,
            oldest_age=None,
            channels={},
            last={},
        )


class _Unopened:
    """Documents whose database cannot be opened, for example on a full disk; all other figures are given."""

    def __init__(self, error: StateError) -> None:
        self._error = error

    async def counts(self, principal: Principal) -> tuple[int, int]:
        """See `Counted`."""
        raise self._error


async def status_at_rest(settings: Settings, state_dir: Path) -> StatusReport:
    """The figures of `ports.status.Status`, with `daemon.pid` None. Nothing moves meanwhile.

    A missing directory is not made: its figures are those of an empty one, with `daemon.free_mb` None. Raises
    `StateInUse` if a daemon runs, and `StateError` and `NewerVersion` as the start of a daemon does.
    """
    if not _is_missing(state_dir):
        return await _figures(settings, state_dir, state_dir)
    with TemporaryDirectory() as empty:
        figures = await _figures(settings, Path(empty), state_dir)
    return _of_daemon(figures, state_dir=str(state_dir), free_mb=None)


def _of_daemon(figures: StatusReport, **changes: Any) -> StatusReport:
    return figures.model_copy(update={"daemon": figures.daemon.model_copy(update=changes)})


def _refusing(figures: StatusReport) -> StatusReport:
    """These figures, if no daemon could start, and nobody knows how many documents there are."""
    assert figures.pending is not None
    pending = figures.pending.model_copy(update={"accepts": False})
    return figures.model_copy(update={"documents": None, "pending": pending})


def _is_missing(path: Path) -> bool:
    try:
        path.stat()
    except FileNotFoundError:
        return True
    except OSError:  # A directory that we may not look at exists.
        return False
    return False


async def _figures(settings: Settings, directory: Path, state_dir: Path) -> StatusReport:
    """The figures of the files in `directory`, with the model that `state_dir` names."""
    clock = SystemClock()
    with StateLock(directory):
        async with (
            PendingDirectory(
                directory,
                clock=clock,
                allow_network_fs=settings.pending.allow_network_fs,
                min_free_bytes=settings.pending.min_free_bytes,
            ) as pending,
            AsyncExitStack() as stack,
        ):
            documents = await _documents(stack, directory, clock)
            await pending.tell_lost()
            now = clock.now()
            owed = await pending.undelivered()
            deferred = {turn.address for turn in owed if turn.not_before and turn.not_before > now}
            status = DaemonStatus(
                daemon=DaemonFigures(version=__version__, pid=None, in_process=False, state_dir=str(directory)),
                stored=Stored(directory, pending),
                told=Told(),
                documents=documents,
                model=await asyncio.to_thread(_model, settings.model, Shelf(state_dir)),
                delivery=_Delivery(deferred=len(deferred)),
            )
            figures = await status.snapshot(OWNER)
            return _refusing(figures) if isinstance(documents, _Unopened) else figures


async def _documents(stack: AsyncExitStack, directory: Path, clock: Clock) -> DocumentIngest | _Unopened:
    store = Store(directory / "documents.db", load_migrations("agentd.retrieval"))
    try:
        return DocumentIngest(await stack.enter_async_context(store), clock)
    except StateError as error:
        return _Unopened(error)


def _model(options: ModelSection, shelf: Shelf) -> _Model:
    path = shelf.answering(options.path)
    for role in options.order:
        match role:
            case "remote" if options.remote.base_url is not None:
                return _Model(name=options.remote.name or urlsplit(options.remote.base_url).netloc)
            case "local" if path is not None:
                return _local(path, Checks(shelf.directory / checks.NAME))
            case "extractive":
                return _Model(name=EXTRACTIVE)
    return _Model(name="none", problem=NO_MODEL)


def _local(path: Path, kept: Checks) -> _Model:
    try:
        gguf = files.inspect(path)
    except ModelError as error:
        return _Model(name=path.stem, problem=str(error))
    return _Model(
        name=path.stem, problem=standing.read(kept, path).aside, note=verdict.known_switched_off(kept, path, gguf.types)
    )
