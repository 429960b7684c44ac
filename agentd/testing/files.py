"""A file system in memory that knows, at any moment, what a power cut would leave of it.

Syncing a file keeps its data but not its name; syncing a directory keeps its names but not their data. A rename is two
changes of names, of which one may reach the disk without the other. Data that was not synced may survive, in part, as
zeros, with a flipped bit, or not at all; data whose sync failed can no longer be saved. So it loses at least as much as
any real file system.
"""

from __future__ import annotations

import copy
import errno
import os
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import TypeVar

from agentd.host.files import A_DIRECTORY

State = tuple[tuple[str, "bytes | State"], ...]

V = TypeVar("V")


@dataclass(eq=False, slots=True)
class _File:
    data: bytes = b""
    synced: bytes = b""
    lost: bool = False
    """A sync of it failed: what was written will never reach the disk, whatever a later sync says."""

    def sync(self) -> None:
        if not self.lost:
            self.synced = self.data

    def variants(self) -> tuple[bytes, ...]:
        """What a power cut may leave of its data: first what was synced, then all of it, then the rest."""
        if self.data == self.synced:
            return (self.data,)
        tail = self.data[len(self.synced) :]
        half = len(tail) // 2
        found = [b"", tail, tail[:half], bytes(len(tail)), tail[:half] + bytes(len(tail) - half)]
        found += [_flipped(tail, len(tail) // 4), _flipped(tail, len(tail) * 3 // 4)]
        return tuple(dict.fromkeys(self.synced + piece for piece in found))


def _flipped(data: bytes, position: int) -> bytes:
    return data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]


@dataclass(eq=False, slots=True)
class _Directory:
    entries: dict[str, _Node] = field(default_factory=dict)
    durable: dict[str, _Node] = field(default_factory=dict)
    changes: list[tuple[str, _Node | None]] = field(default_factory=list)

    def set(self, name: str, node: _Node | None) -> None:
        self.changes.append((name, node))
        _change(self.entries, name, node)

    def sync(self) -> None:
        self.durable = dict(self.entries)
        self.changes.clear()


_Node = _File | _Directory


def _change(entries: dict[str, _Node], name: str, node: _Node | None) -> None:
    if node is None:
        entries.pop(name, None)
    else:
        entries[name] = node


class SimFiles:
    """Implements `agentd.host.files.Files`.

    `operations` lists what was done; `before` is called before each operation that changes something. `fail` is called
    before each operation and may return an error number to raise. `short` limits how much one write takes.
    """

    def __init__(self) -> None:
        self.operations: list[tuple[str, str]] = []
        self.before: Callable[[], None] = _nothing
        self.fail: Callable[[str, str], int] = _never
        self.short = 0
        self.free = 1 << 40
        self._root = _Directory()
        self._open: dict[int, tuple[_Node, str]] = {}
        self._next_fd = 1000

    # --- the operations ---

    def make_directory(self, path: str) -> None:
        where = self._root
        for name in _names(path):
            node = where.entries.get(name)
            if node is None:
                self._operation("make_directory", path)
                node = _Directory()
                where.set(name, node)
            where = self._as_directory(node, path)

    def names(self, directory: str) -> list[str]:
        return list(self._directory(directory).entries)

    def odd(self, directory: str) -> dict[str, str]:
        entries = self._directory(directory).entries
        return {name: A_DIRECTORY for name, node in entries.items() if isinstance(node, _Directory)}

    def blocks(self, path: str) -> Iterator[bytes]:
        self._refuse("read", path)
        node = self._find(path)
        if isinstance(node, _Directory):
            raise _error(errno.EBADMSG, path)
        yield node.data

    def create(self, path: str) -> int:
        self._operation("create", path)
        parent, name = self._parent(path)
        if name in parent.entries:
            raise _error(errno.EEXIST, path)
        node = _File()
        parent.set(name, node)
        return self._descriptor(node, path)

    def append(self, path: str) -> int:
        parent, name = self._parent(path)
        if name not in parent.entries:
            return self.create(path)
        self._refuse("append", path)
        return self._descriptor(self._find(path), path)

    def directory(self, path: str) -> int:
        self._refuse("directory", path)
        return self._descriptor(self._directory(path), path)

    def write(self, fd: int, data: bytes | memoryview) -> int:
        node, path = self._open[fd]
        self._operation("write", path)
        assert isinstance(node, _File)
        taken = bytes(data[: self.short or len(data)])
        node.data += taken
        return len(taken)

    def allocate(self, fd: int, size: int) -> None:
        self._operation("allocate", self._open[fd][1])

    def sync(self, fd: int) -> None:
        node, path = self._open[fd]
        try:
            self._operation("sync", path)
        except OSError:
            if isinstance(node, _File):
                node.lost = True
            raise
        node.sync()

    def close(self, fd: int) -> None:
        _, path = self._open.pop(fd)
        self._refuse("close", path)

    def rename(self, source: str, target: str) -> None:
        self._operation("rename", source)
        node = self._find(source)
        for path, value in ((target, node), (source, None)):
            parent, name = self._parent(path)
            parent.set(name, value)

    def link(self, source: str, target: str) -> None:
        self._operation("link", source)
        node = self._find(source)
        if isinstance(node, _Directory):
            raise _error(errno.EPERM, source)
        parent, name = self._parent(target)
        if name in parent.entries:
            raise _error(errno.EEXIST, target)
        parent.set(name, node)

    def unlink(self, path: str) -> None:
        self._operation("unlink", path)
        self._find(path)
        parent, name = self._parent(path)
        parent.set(name, None)

    def sync_all(self, directory: str) -> None:
        self._operation("sync_all", directory)
        for node in self._nodes():
            node.sync()

    def free_bytes(self, directory: str) -> int:
        self._refuse("free_bytes", directory)
        return self.free

    def device(self, directory: str) -> int:
        return 0

    def network_type(self, directory: str) -> str:
        return ""

    # --- crashes ---

    def state(self) -> State:
        """The whole file system as a value."""
        return _state(self._root)

    def killed(self) -> SimFiles:
        """The file system after this process has died: everything is there, synced or not."""
        found = SimFiles()
        found._root = copy.deepcopy(self._root)
        return found

    def power_cuts(self, rng: random.Random, limit: int) -> Iterator[SimFiles]:
        """What may be on the disk after a power cut now: every combination, or a sample if there are too many.

        A sample begins with none and all of the unsynced changes, and with each single change to these two.
        """
        nodes = self._nodes()
        changes = [(node, n) for node in nodes if isinstance(node, _Directory) for n in range(len(node.changes))]
        torn = [node for node in nodes if isinstance(node, _File) and node.data != node.synced]
        options: list[Sequence[int]] = [range(2) for _ in changes]
        options += [range(len(node.variants())) for node in torn]
        for choice in _choices(options, rng, limit):
            kept = {(id(node), n) for (node, n), chosen in zip(changes, choice, strict=False) if chosen}
            data = {
                id(node): node.variants()[chosen] for node, chosen in zip(torn, choice[len(changes) :], strict=True)
            }
            found = SimFiles()
            found._root = _after(self._root, kept, data, {})
            yield found

    def _nodes(self) -> list[_Node]:
        """Everything that can be reached now or after a crash, each once, in a fixed order."""
        found: dict[int, _Node] = {}
        waiting: list[_Node] = [self._root]
        while waiting:
            node = waiting.pop()
            if id(node) in found:
                continue
            found[id(node)] = node
            if isinstance(node, _Directory):
                waiting += [*node.entries.values(), *node.durable.values()]
                waiting += [changed for _, changed in node.changes if changed is not None]
        return list(found.values())

    # --- names and descriptors ---

    def _operation(self, name: str, path: str) -> None:
        self.before()
        self.operations.append((name, path))
        self._refuse(name, path)

    def _refuse(self, name: str, path: str) -> None:
        if number := self.fail(name, path):
            raise _error(number, path)

    def _descriptor(self, node: _Node, path: str) -> int:
        self._next_fd += 1
        self._open[self._next_fd] = (node, path)
        return self._next_fd

    def _find(self, path: str) -> _Node:
        node: _Node = self._root
        for name in _names(path):
            entries = self._as_directory(node, path).entries
            if name not in entries:
                raise _error(errno.ENOENT, path)
            node = entries[name]
        return node

    def _as_directory(self, node: _Node, path: str) -> _Directory:
        if isinstance(node, _File):
            raise _error(errno.ENOTDIR, path)
        return node

    def _directory(self, path: str) -> _Directory:
        return self._as_directory(self._find(path), path)

    def _parent(self, path: str) -> tuple[_Directory, str]:
        parent, _, name = path.rpartition("/")
        return self._directory(parent), name


def _nothing() -> None:
    """The hook that does nothing."""


def _never(name: str, path: str) -> int:
    return 0


def _error(number: int, path: str) -> OSError:
    return OSError(number, os.strerror(number), path)


def _names(path: str) -> list[str]:
    return [name for name in path.split("/") if name]


def _state(node: _Directory) -> State:
    return tuple(
        (name, child.data if isinstance(child, _File) else _state(child))
        for name, child in sorted(node.entries.items())
    )


def _choices(options: Sequence[Sequence[int]], rng: random.Random, limit: int) -> Iterator[tuple[int, ...]]:
    total = 1
    for option in options:
        total *= len(option)
    if total <= limit:
        yield from product(*options)
        return
    nothing = tuple(0 for _ in options)
    everything = tuple(min(1, len(option) - 1) for option in options)
    singles = (
        (*start[:position], value, *start[position + 1 :])
        for start in (nothing, everything)
        for position, option in enumerate(options)
        for value in option
    )
    chosen = dict.fromkeys([nothing, everything, *singles])
    while len(chosen) < limit:
        chosen[tuple(rng.choice(option) for option in options)] = None
    yield from list(chosen)[:limit]


def _after(root: _Directory, kept: set[tuple[int, int]], data: dict[int, bytes], made: dict[int, _Node]) -> _Directory:
    """The tree with the kept changes of names and this data, all of it durable."""
    entries = dict(root.durable)
    for n, (name, node) in enumerate(root.changes):
        if (id(root), n) in kept:
            _change(entries, name, node)
    copied: dict[str, _Node] = {}
    for name, node in entries.items():
        if id(node) not in made:
            if isinstance(node, _Directory):
                made[id(node)] = _after(node, kept, data, made)
            else:
                content = data.get(id(node), node.data)
                made[id(node)] = _File(data=content, synced=content)
        copied[name] = made[id(node)]
    return _Directory(entries=copied, durable=dict(copied))
