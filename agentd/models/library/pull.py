"""Brings a model onto the shelf: asks for it, downloads, checks, places and records it, and reports any difference."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from agentd.errors import ModelError, UsageError
from agentd.models.library import download
from agentd.models.library.download import Progress
from agentd.models.library.hub import Offer, hub_offer, web_offer
from agentd.models.library.shelf import Record, Shelf, Shelved
from agentd.models.library.sources import HubFile, LocalFile, Source, WebFile, check_name
from agentd.models.llama.files import inspect

STALE = 14 * 24 * 3600.0
"""Seconds after which an unfinished download that nobody resumed is deleted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pulled:
    """`fresh` is False if the same complete model was here already."""

    model: Shelved
    fresh: bool


def pull(
    source: Source,
    shelf: Shelf,
    progress: Progress,
    *,
    name: str | None = None,
    replace: bool = False,
    endpoint: str | None = None,
) -> Pulled:
    """Get a model. This blocks for as long as it takes, and may be interrupted and called again.

    If there is another model with the same name, it stays and the caller is told (`UsageError`), unless `replace`.
    """
    name = check_name(name or source.name)
    if isinstance(source, LocalFile):
        return _pull_local(source, shelf, progress, name, replace)
    offer = hub_offer(source, endpoint=endpoint) if isinstance(source, HubFile) else web_offer(source)
    existing = shelf.get(name)
    if existing is not None and not replace:
        _refuse_other(existing, source, offer)
        if existing.record is not None and download.digest_of(existing.path, progress) == existing.record.sha256:
            return Pulled(model=existing, fresh=False)
    _delete_stale(shelf.partial)
    path, sha256 = download.fetch(offer, shelf.partial, progress)
    record = Record(
        source=source.text,
        revision=offer.revision,
        sha256=sha256,
        size=offer.size,
        licence=offer.licence,
        pulled=datetime.now(UTC),
    )
    return _shelve(path, shelf, name, record)


def _pull_local(source: LocalFile, shelf: Shelf, progress: Progress, name: str, replace: bool) -> Pulled:
    inspect(source.path)
    existing = shelf.get(name)
    if existing is not None and existing.path == source.path:
        return Pulled(model=existing, fresh=False)
    if existing is not None and not replace:
        raise UsageError(_there_is(existing, f"--replace puts {source.path} in its place, --name keeps both."))
    path, sha256 = download.copy(source.path, shelf.partial, progress)
    record = Record(source=source.text, sha256=sha256, size=path.stat().st_size, pulled=datetime.now(UTC))
    return _shelve(path, shelf, name, record)


def _shelve(path: Path, shelf: Shelf, name: str, record: Record) -> Pulled:
    try:
        inspect(path)
    except ModelError as error:
        path.unlink()
        raise ModelError(f"{record.source} cannot be used and was deleted again: {error}") from None
    shelf.put(path, name, record)
    return Pulled(model=shelf.find(name), fresh=True)


def _refuse_other(existing: Shelved, source: HubFile | WebFile, offer: Offer) -> None:
    record = existing.record
    if record is None:
        raise UsageError(_there_is(existing, "--replace downloads it again, --name keeps both."))
    if record.source != source.text:
        raise UsageError(_there_is(existing, f"--replace puts {source.text} in its place, --name keeps both."))
    if record.size != offer.size or (offer.sha256 and record.sha256 != offer.sha256):
        now = f"{offer.size:,} bytes, sha256 {offer.sha256 or 'unknown'}, revision {offer.revision or 'unknown'}"
        raise UsageError(
            f"{source.text} is no longer what was pulled on {record.pulled:%Y-%m-%d}: it was {record.size:,} bytes,"
            f" sha256 {record.sha256}, revision {record.revision or 'unknown'}; now it is {now}. The model here is"
            " unchanged; --replace takes the new one."
        )


def _there_is(existing: Shelved, advice: str) -> str:
    origin = f", from {existing.record.source}" if existing.record else ", put there by hand"
    return f"the model {existing.name} exists already ({existing.size:,} bytes{origin}); {advice}"


def _delete_stale(directory: Path) -> None:
    for path in directory.glob("*") if directory.is_dir() else ():
        if time.time() - path.stat().st_mtime > STALE:
            path.unlink(missing_ok=True)
