"""How long a daemon takes to start, and how much memory it has, if very many turns are pending."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from agentd.events import InboundEvent, OutboundEvent
from agentd.pending.file import encode_file
from agentd.records import Address
from agentd.serving.client import Client
from bench.cycles import Questions

START_SECONDS = 120.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Start:
    """One start of `agentd run`: seconds until it says that it is ready, and its largest memory in MB (VmHWM)."""

    seconds: float
    memory: float


def fill(state: Path, count: int) -> None:
    """Make this many pending events, half of them questions of the terminal, half of them answers; not synced."""
    questions, pending = Questions(), state / "pending"
    pending.mkdir(parents=True, mode=0o700)
    for n in range(count):
        event = _event(questions, n)
        (pending / f"{event.id}.event").write_bytes(encode_file(event))


def _event(questions: Questions, n: int) -> InboundEvent | OutboundEvent:
    session = f"{n % 1000:016x}-00000000"
    address = Address(channel="terminal", account="local", chat=session)
    asked = questions.ask(session).model_copy(update={"address": address})
    if n % 2:
        return asked
    # A pending answer is a file that begins like this.
    return questions.answer(asked).model_copy(update={"answers": ()})


async def start(state: Path) -> Start:
    """Start a daemon, wait until it is ready and answers, and kill it before it does much."""
    began = time.perf_counter()
    environment = {key: value for key, value in os.environ.items() if not key.startswith("AGENTD_")}
    daemon = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "agentd", "run", "--state-dir", str(state), "--log-level", "error"),
        *("--set", "channels.websocket.enabled=false"),
        stdout=asyncio.subprocess.PIPE,
        env=environment,
    )
    try:
        assert daemon.stdout is not None
        async with asyncio.timeout(START_SECONDS):
            line = await daemon.stdout.readline()
        seconds = time.perf_counter() - began
        if b"ready" not in line:
            raise RuntimeError(f"the daemon on {state} did not start; `agentd run --state-dir {state}` says why")
        async with await Client.connect(state / "agentd.sock", name="bench") as client:
            await client.status()
        return Start(seconds=seconds, memory=_memory(daemon.pid))
    finally:
        daemon.send_signal(signal.SIGKILL)
        await daemon.wait()


def _memory(pid: int) -> float:
    found = re.search(r"^VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) / 1024
