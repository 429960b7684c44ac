"""The one way to start a child process: with limits on what it may take, and gone when its parent is gone.

`start` is for a child that stays and is talked to, `result` for one that makes something of what it reads and ends. The
limits are set in the child (`limited`) before its own module is imported.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass

from agentd.host.limited import NO_MEMORY
from agentd.host.secrets import is_secret_name

_LIMITED = "agentd.host.limited"
_LAST_WORDS = 4096
_REAP_SECONDS = 5.0

_KEPT = re.compile(
    r"PATH|HOME|TMPDIR|TZ|LANG|LC_.*|LD_LIBRARY_PATH|VIRTUAL_ENV|PYTHON.*|(OMP|GOMP|GGML|LLAMA|CUDA|HIP|ROCR|VK)_.*"
)


class Crashed(Exception):
    """A child, or a copy of this process, ended without a result; the message says how: "it ..."."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ChildLimits:
    """What a child may take; None is what this process may. It leaves no core dump, whatever these say.

    `memory` is what it has for itself (heap, stacks, private maps), in bytes: a file that is mapped and only read does
    not count. `processor` is seconds of processor time. `files` may be open at once, and none that it writes is longer
    than `file_size` bytes.
    """

    memory: int | None = None
    processor: int | None = None
    files: int | None = 64
    file_size: int | None = 0


THREADS_WAIT = {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "2000"}
"""How threads that compute together wait for each other: they spin for some microseconds, then they sleep.

docs/models.md has the figures. The count is libgomp's (its manual, "Environment Variables"); it overrides the policy,
which is for other OpenMP libraries.
"""


def child_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """What of ours the child gets: nothing that could hold a secret, how threads wait, and no debugger on abort."""
    kept = {name: value for name, value in environment.items() if _KEPT.fullmatch(name) and not is_secret_name(name)}
    return {**kept, **THREADS_WAIT, "OPENBLAS_NUM_THREADS": "1", "GGML_NO_BACKTRACE": "1"}


def command(module: str, arguments: Sequence[str], limits: ChildLimits) -> list[str]:
    """What to execute from this process, with `child_environment`, if `start` cannot be waited for."""
    told = json.dumps(asdict(limits), separators=(",", ":"))
    return [sys.executable, "-P", "-m", _LIMITED, module, str(os.getpid()), told, *arguments]


async def start(
    module: str,
    arguments: Sequence[str],
    limits: ChildLimits,
    *,
    stdin: int = asyncio.subprocess.DEVNULL,
    stdout: int = asyncio.subprocess.DEVNULL,
    pass_fds: Sequence[int] = (),
) -> asyncio.subprocess.Process:
    """A child that runs `module` as a program, with its standard error as a pipe; `end` ends it.

    It dies when the thread that calls this ends: call it from one that stays, as the loop's does.
    """
    return await asyncio.create_subprocess_exec(
        *command(module, arguments, limits),
        stdin=stdin,
        stdout=stdout,
        stderr=asyncio.subprocess.PIPE,
        pass_fds=pass_fds,
        start_new_session=True,
        env=child_environment(os.environ),
    )


def end(child: asyncio.subprocess.Process) -> None:
    """Kill the child and what it has started; nothing, if it has ended."""
    if child.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)


async def result(
    module: str, arguments: Sequence[str], limits: ChildLimits, *, data: bytes = b"", seconds: float, most: int
) -> bytes:
    """What `module` writes on its standard output, at most `most` bytes, when it reads `data` on its standard input.

    `Crashed` if it exits with another code than 0, says more, or has not ended after this many seconds.
    """
    child = await start(module, arguments, limits, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)
    try:
        async with asyncio.timeout(seconds):
            return await _exchange(child, limits, data, most)
    except TimeoutError:
        raise Crashed(f"it did not end within {seconds:g} s") from None
    finally:
        await reap(child)


async def reap(child: asyncio.subprocess.Process) -> int:
    """Kill the child, if it has not ended, and drop what it still says; its exit code. Nobody else may read its pipes.

    To asyncio, a process has ended only when its pipes have, too (CPython 3.11, `base_subprocess`), and a pipe that
    nobody reads never does.
    """
    end(child)
    pipes = [pipe for pipe in (child.stdout, child.stderr) if pipe is not None]
    with suppress(TimeoutError):  # something outlived it that holds the pipes
        async with asyncio.timeout(_REAP_SECONDS):
            await asyncio.gather(child.wait(), *map(_drop, pipes))
    return -signal.SIGKILL if child.returncode is None else child.returncode


async def _drop(pipe: asyncio.StreamReader) -> None:
    while await pipe.read(1 << 16):
        pass


async def _exchange(child: asyncio.subprocess.Process, limits: ChildLimits, data: bytes, most: int) -> bytes:
    assert child.stdout is not None
    feeding = asyncio.create_task(_feed(child, data), name="a child's input")
    words = asyncio.create_task(last_words(child), name="a child's words")
    try:
        said = await _read(child.stdout, most)
        if await child.wait() != 0:
            raise Crashed(how_it_ended(await child.wait(), limits, (await words).decode("utf-8", "replace")))
        return said
    finally:
        feeding.cancel()
        words.cancel()
        await asyncio.gather(feeding, words, return_exceptions=True)


async def _feed(child: asyncio.subprocess.Process, data: bytes) -> None:
    assert child.stdin is not None
    with suppress(BrokenPipeError, ConnectionResetError):  # it need not read all of it
        child.stdin.write(data)
        await child.stdin.drain()
        child.stdin.close()


async def _read(stream: asyncio.StreamReader, most: int) -> bytes:
    found = bytearray()
    while part := await stream.read(1 << 16):
        found += part
        if len(found) > most:
            raise Crashed(f"it made more than {most} bytes")
    return bytes(found)


async def last_words(child: asyncio.subprocess.Process) -> bytes:
    """The end of what it writes on its standard error, when it has ended."""
    assert child.stderr is not None
    found = b""
    while part := await child.stderr.read(_LAST_WORDS):
        found = (found + part)[-_LAST_WORDS:]
    return found


def how_it_ended(code: int, limits: ChildLimits, words: str = "") -> str:
    """What an exit code (negative: the signal) of a child says, with the last line of its words."""
    last = words.strip().rpartition("\n")[2].strip()
    said = f" ({last})" if last else ""
    if code == NO_MEMORY:
        return f"it needed more than its limit of memory ({_megabytes(limits.memory)})"
    if code == -signal.SIGXCPU:
        return f"it used more than {limits.processor} s of processor time"
    if code < 0:
        return f"it was killed by {signal.Signals(-code).name}{said}"
    return f"it ended with exit code {code}{said}"


def _megabytes(size: int | None) -> str:
    return "what this process may have" if size is None else f"{size / 1e6:.0f} MB"
