"""The one way to start a child process: it has limits, and it ends when its parent ends.

`start` is for a child that stays and gets messages, `result` for one that reads its input, writes its output and ends.
The child sets its limits (`limited`) before it imports its own module.
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
    """A child, or a copy of this process, ended without a result; the message begins with "it" and says how."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ChildLimits:
    """What a child may use; None means as much as this process. A child never leaves a core dump.

    `memory` is its own memory in bytes (heap, stacks, private maps); a file that it maps and only reads does not count.
    `processor` is seconds of processor time. It may have `files` files open at once, and may write none that is longer
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
    """The environment of a child: no secrets, the way in which threads wait, no debugger on abort."""
    kept = {name: value for name, value in environment.items() if _KEPT.fullmatch(name) and not is_secret_name(name)}
    return {**kept, **THREADS_WAIT, "OPENBLAS_NUM_THREADS": "1", "GGML_NO_BACKTRACE": "1"}


def command(module: str, arguments: Sequence[str], limits: ChildLimits) -> list[str]:
    """The command line of a child, to be run with `child_environment`, for callers that cannot await `start`."""
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
    """Start a child that runs `module` as a program, with its standard error as a pipe; `end` ends it.

    The child dies when the thread that called this ends: call it from a thread that stays, such as the event loop's.
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
    """Kill the child and the processes that it has started, unless it has ended."""
    if child.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)


async def result(
    module: str, arguments: Sequence[str], limits: ChildLimits, *, data: bytes = b"", seconds: float, most: int
) -> bytes:
    """What `module` writes to its standard output, at most `most` bytes, when it gets `data` on its standard input.

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
    """Kill the child if it has not ended, drop the rest of its output, and return its exit code. Nobody else may read
    its pipes. For asyncio, a process has ended only when its pipes have ended, too (CPython 3.11, `base_subprocess`),
    and a pipe that nobody reads never ends.
    """
    end(child)
    pipes = [pipe for pipe in (child.stdout, child.stderr) if pipe is not None]
    with suppress(TimeoutError):  # another process has outlived it and holds the pipes
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
    with suppress(BrokenPipeError, ConnectionResetError):  # the child need not read all of its input
        child.stdin.write(data)
        await child.stdin.drain()
        child.stdin.close()


async def _read(stream: asyncio.StreamReader, most: int) -> bytes:
    found = bytearray()
    while part := await stream.read(1 << 16):
        found += part
        if len(found) > most:
            raise Crashed(f"it wrote more than {most} bytes")
    return bytes(found)


async def last_words(child: asyncio.subprocess.Process) -> bytes:
    """The end of what it wrote to its standard error, once it has ended."""
    assert child.stderr is not None
    found = b""
    while part := await child.stderr.read(_LAST_WORDS):
        found = (found + part)[-_LAST_WORDS:]
    return found


def how_it_ended(code: int, limits: ChildLimits, words: str = "") -> str:
    """What a child's exit code (or signal, if negative) means, with the last line that it wrote."""
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
