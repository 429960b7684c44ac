"""The files under a path, folder by folder in the order of names; any depth, number and circle of links is safe."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

from agentd.retrieval.readers import MADE_BY_KERNEL, is_readable_name, leaves, made_by_kernel, shown


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """A file to read, or to skip if it has a `reason`. `root`, if not empty, is the folder that it must not leave."""

    path: str
    reason: str = ""
    root: str = ""


def walk(path: str) -> Iterator[Found]:
    """`path` itself, whatever its name, or the files below it; hidden files and folders seen before are left out.

    Links below a folder are followed within it; a link that leads out of it has a reason.
    """
    if not os.path.isdir(path):
        yield Found(path=path)
        return
    seen: set[tuple[int, int]] = set()
    try:
        root = os.path.realpath(path)
    except OSError as error:
        yield _unreadable(path, error)
        return
    # A stack instead of recursion: folders may be nested deeper than Python calls.
    folders = [_entries(path, root, seen)]
    while folders:
        for found in folders[-1]:
            if isinstance(found, Found):
                yield found
                continue
            folders.append(_entries(found.path, root, seen))
            break
        else:
            folders.pop()


def _entries(folder: str, root: str, seen: set[tuple[int, int]]) -> Iterator[Found | os.DirEntry[str]]:
    try:
        status = os.stat(folder)
        if made_by_kernel(status):
            yield Found(path=folder, reason=MADE_BY_KERNEL)
            return
        if (status.st_dev, status.st_ino) in seen:
            return
        seen.add((status.st_dev, status.st_ino))
        with os.scandir(folder) as scan:
            entries = sorted((entry for entry in scan if not entry.name.startswith(".")), key=lambda entry: entry.name)
    except OSError as error:
        yield _unreadable(folder, error)
        return
    for entry in entries:
        try:
            out = leaves(entry.path, root) if entry.is_symlink() else ""
        except OSError as error:  # its target may be invisible to us, or gone by now
            yield _unreadable(entry.path, error)
            continue
        if out:
            yield Found(path=entry.path, reason=f"a link that leads out of the folder, to {shown(out)}")
        else:
            yield entry if _is_folder(entry) else _file(entry, root)


def _unreadable(path: str, error: OSError) -> Found:
    return Found(path=path, reason=f"cannot be read: {error.strerror}")


def _file(entry: os.DirEntry[str], root: str) -> Found:
    if is_readable_name(entry.name):
        return Found(path=entry.path, root=root)
    suffix = os.path.splitext(entry.name)[1]
    kind = f"{suffix} files are" if suffix else "files without a suffix are"
    return Found(path=entry.path, reason=f"{kind} not read; name the file itself to try it as text")


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        # A link that leads to itself: reading it will give the reason.
        return False


def vanished(path: str, root: str = "") -> bool:
    """Whether the file below `root` is certainly gone, and not only out of reach."""
    try:
        if root and leaves(path, root):
            return True
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False
