"""kill -9 at every system call that the pending directory makes, and proof that it makes no others than the model's.

A process runs a fixed script of all moves on a directory with leftovers; strace(1) kills it when it enters the n-th
file system call, for every n. The same script on `SimFiles` says which operations each move consists of.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from agentd.testing.files import SimFiles
from tests.prove.lives import Life, Listener
from tests.prove.result import Result, say
from tests.prove.script import every_move, leave_something
from tests.prove.told import Tell, opened
from tests.prove.world import World

WRITES = (
    *("openat", "write", "pwrite64", "fsync", "fdatasync", "syncfs", "fallocate", "ftruncate", "truncate", "mkdir"),
    *("rename", "renameat", "renameat2", "link", "linkat", "symlink", "unlink", "unlinkat", "rmdir", "chmod", "utime"),
)
"""Calls by which a process may change a directory; it dies when it enters one of them."""

OPERATIONS = {
    "write": "write",
    "fsync": "sync",
    "syncfs": "sync_all",
    "fallocate": "allocate",
    "mkdir": "make_directory",
    "rename": "rename",
    "linkat": "link",
    "unlink": "unlink",
}
"""What the calls are called in `SimFiles`."""

_CALL = re.compile(r"^\d+ +(\w+)\((.*)$")
_PATH = re.compile(r'["<](/[^">]*)[">]')
_TOLD = re.compile(r'^\d+<pipe:\[\d+\]>, "\{\\"(begin|done|found)\\"(?::\d+,\\"op\\":\\"(\w+))?')

Operation = tuple[str, str]
Moves = list[tuple[str, list[Operation]]]
"""What was done in each move, in order; the start comes first."""


class Strace:
    """strace on a process that waits; `calls` is its output once the process is gone."""

    def __init__(self, pid: int, output: Path, options: Sequence[str]) -> None:
        self._output = output
        command = ["strace", "-f", "-y", "-s", "80", "-o", str(output), *options, "-p", str(pid)]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        assert self._process.stderr is not None
        said = self._process.stderr.readline()
        if b"attached" not in said:
            self._process.kill()
            self._process.wait()
            raise PermissionError(said.decode().strip())

    def calls(self) -> list[tuple[str, str]]:
        """Name and arguments of every traced call, in the order in which they were entered."""
        assert self._process.stderr is not None
        self._process.stderr.close()
        self._process.wait(timeout=30)
        found = (_CALL.match(line) for line in self._output.read_text(errors="replace").splitlines())
        return [(match[1], match[2]) for match in found if match]


def why_not() -> str:
    if shutil.which("strace") is None:
        return "strace is not installed"
    life = Life(_nothing, wait_for_go=True)
    try:
        with tempfile.TemporaryDirectory() as folder:
            strace = Strace(life.pid, Path(folder) / "out", ["-e", "trace=none"])
            life.go()
            life.end()
            strace.calls()
    except PermissionError as error:
        life.go()
        life.end()
        return f"this machine does not allow strace: {error}"
    return ""


async def _nothing(tell: Tell) -> None:
    """A life without content."""


def run(*, every: int = 1) -> Result:
    """A kill at every call, or at every `every`-th one."""
    result = Result(part="syscalls")
    if reason := why_not():
        result.skipped = reason
        return result.end()
    with tempfile.TemporaryDirectory(prefix="agentd-syscalls-") as name:
        scene = Scene(Path(name))
        calls = _compare(scene, result)
        _kill_at_each(scene, calls[::every], result)
    return result.end()


class Scene:
    """A state directory with leftovers, set up anew for each life under the same path."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = folder / "state"
        self._template = folder / "template"
        life = Life(self._prepare)
        self._told = list(life.rest())
        if life.end() != 0:
            raise RuntimeError(f"the leftovers could not be made: {self._told}")
        leave_something(self.state)
        shutil.move(self.state, self._template)

    async def _prepare(self, tell: Tell) -> None:
        async with opened(self.state, tell, rows=False, threads=1) as told:
            await every_move(told, first=1)

    async def work(self, tell: Tell) -> None:
        async with opened(self.state, tell, rows=False, threads=1) as told:
            await every_move(told, first=2)

    async def look(self, tell: Tell) -> None:
        async with opened(self.state, tell, rows=False, threads=1):
            pass

    def world(self) -> World:
        world = World()
        listener = Listener(world)
        for line in self._told:
            listener.hear(line)
        return world

    @contextmanager
    def set_up(self) -> Iterator[World]:
        shutil.copytree(self._template, self.state)
        try:
            yield self.world()
        finally:
            shutil.rmtree(self.state)

    def life(self, options: Sequence[str]) -> tuple[list[dict[str, Any]], int, list[tuple[str, str]]]:
        """The script under strace: what it told, how it ended, and its calls."""
        life = Life(self.work, wait_for_go=True)
        strace = Strace(life.pid, self.folder / "strace.out", options)
        life.go()
        told = list(life.rest())
        code = life.end()
        return told, code, strace.calls()


# --- the calls are the model's ---


def _compare(scene: Scene, result: Result) -> list[tuple[str, str]]:
    """Compare what was called with what the model does; returns every call on the state directory."""
    with scene.set_up():
        present = {str(path) for path in (scene.state, *scene.state.rglob("*"))}
        _, code, calls = scene.life(["-e", f"trace={','.join(WRITES)}"])
        if code != 0:
            result.violations.append(f"the script ended with {code} under strace")
    real = operations_of(calls, str(scene.state), present)
    with scene.set_up():
        model = asyncio.run(_modelled(scene))
    compared = 0
    for (move, made), (_, expected) in zip(real, model, strict=False):
        compared += len(expected)
        if made != expected:
            result.violations.append(f"{move}: the calls were {made}, the model says {expected}")
    if [move for move, _ in real] != [move for move, _ in model]:
        result.violations.append(f"the moves were {[m for m, _ in real]} and in the model {[m for m, _ in model]}")
    result.counts.update({"moves": len(real), "calls as modelled": compared})
    return [(name, arguments) for name, arguments in calls if f"{scene.state}/" in arguments]


def operations_of(calls: Sequence[tuple[str, str]], state: str, present: set[str]) -> Moves:
    """The calls as operations of `Files`, by move; `present` are the paths that are there at first."""
    parent = os.path.dirname(state)
    moves: Moves = [("start", [])]
    for name, arguments in calls:
        if told := _TOLD.match(arguments):
            moves.append((told[2] or told[1], []))
            continue
        paths = [path for path in _PATH.findall(arguments) if path.startswith(state) or path == parent]
        if not paths:
            continue
        operation = _operation(name, arguments, paths, present)
        if operation is not None:
            moves[-1][1].append(operation)
    return moves


def _operation(name: str, arguments: str, paths: list[str], present: set[str]) -> Operation | None:
    if name == "openat":
        new = "O_CREAT" in arguments and (paths[0] not in present or "O_EXCL" in arguments)
        present.add(paths[0])
        return ("create", paths[0]) if new else None
    if name == "mkdir" and paths[0] in present:
        return None  # it is only made sure that it is there
    if name in ("rename", "unlink"):
        present.discard(paths[0])
    if name in ("rename", "linkat"):
        present.add(paths[1])
    return OPERATIONS.get(name, f"a call that the model does not know: {name}"), paths[0]


async def _modelled(scene: Scene) -> Moves:
    files = SimFiles()
    for path in sorted(scene.state.rglob("*")):
        if path.is_dir():
            files.make_directory(str(path))
        else:
            fd = files.create(str(path))
            files.write(fd, path.read_bytes())
            files.sync(fd)
            files.close(fd)
    files.operations.clear()
    moves: Moves = []
    names = ["start"]

    def tell(line: dict[str, Any]) -> None:
        moves.append((names[-1], list(files.operations)))
        files.operations.clear()
        names.append(line.get("op") or next(iter(line)))

    async with opened(scene.state, tell, files=files, rows=False, threads=1) as told:
        await every_move(told, first=2)
    moves.append((names[-1], list(files.operations)))
    return moves


# --- a kill at each of them ---


def _kill_at_each(scene: Scene, calls: Sequence[tuple[str, str]], result: Result) -> None:
    paths = sorted({path for _, arguments in calls for path in _PATH.findall(arguments) if f"{scene.state}/" in path})
    seen: Counter[str] = Counter()
    kills = lost = 0
    for name, _ in calls:
        seen[name] += 1
        with scene.set_up() as world:
            options = [option for path in paths for option in ("-P", path)]
            options += ["-e", f"trace={name}", "-e", f"inject={name}:signal=SIGKILL:when={seen[name]}"]
            told, code, _ = scene.life(options)
            where = f"killed at {name} number {seen[name]}"
            if code != -9:
                result.violations.append(f"{where}: it was not killed but ended with {code}")
            kills += code == -9
            wrong = _after(scene, world, told)
        lost += len(wrong)
        result.violations += [f"{where}: {text}" for text in wrong]
        if kills % 50 == 0:
            say("syscalls", {"kills": kills, "lost": lost})
    result.counts.update({"kills": kills, "lost": lost})


def _after(scene: Scene, world: World, told: list[dict[str, Any]]) -> list[str]:
    """What the next start finds wrong after a process that told this was killed."""
    listener = Listener(world)
    for line in told:
        listener.hear(line)
    life = Life(scene.look)
    for line in life.rest():
        listener.hear(line)
    if life.end() != 0:
        listener.violations.append(f"the next start failed: {listener.failure}")
    left = [name for name in os.listdir(scene.state / "pending") if name.endswith(".tmp")]
    return listener.violations + [f"{name} was left behind" for name in left]
