"""Writes a conversation to a new file that only its owner may read."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal, TextIO

from agentd.errors import UsageError
from agentd.host.paths import absolute
from agentd.serving.protocol import Exported
from agentd.text.characters import whole


def form_of(path: str) -> Literal["markdown", "json"]:
    """JSON if the name says so, else Markdown."""
    return "json" if path.lower().endswith(".json") else "markdown"


async def write_export(pieces: AsyncIterator[Exported], path: str, *, another: str) -> Path:
    """Write the export to `path`, to its own name in the folder `path`, or in the current one; returns where it is.

    `another` says what to do to write to another file.
    """
    target: Path | None = None
    file: TextIO | None = None
    done = False
    try:
        async for piece in pieces:
            if file is None:
                target = await asyncio.to_thread(_target, path, piece.name)
                file = await asyncio.to_thread(_make, target, another)
            await asyncio.to_thread(file.write, whole(piece.text))
        done = True
    except FileNotFoundError:
        raise UsageError(
            f"there is no folder {target.parent if target else path}; make it, or name another file."
        ) from None
    except OSError as error:
        raise UsageError(f"{target} cannot be written: {error.strerror}; {another}.") from None
    finally:
        if file is not None and target is not None:
            await asyncio.to_thread(_close, file, target, done)
    assert target is not None, "an export has at least one piece"
    return target


def _target(path: str, name: str) -> Path:
    given = absolute(Path(path))
    return given / Path(name).name if not path or given.is_dir() else given


def _make(path: Path, another: str) -> TextIO:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise UsageError(f"{path} exists already; {another}.") from None
    return os.fdopen(descriptor, "w", encoding="utf-8", newline="")


def _close(file: TextIO, path: Path, done: bool) -> None:
    """Close the file; if the export failed, remove it."""
    try:
        file.close()
    finally:
        if not done:
            path.unlink(missing_ok=True)
