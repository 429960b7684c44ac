"""The gateway beside a bare WebSocket that sends the same messages: delay of chunks, memory, accepted questions.

`python -m bench.gateway [--quick] [--json FILE]`. The model is a source of tokens with a fixed rate, and every piece
says when it was sent. Rows that are judged:

chunk_p50_100, _p99_100   100 sessions with one client each and 10 chunks in a second: how late a chunk is
idle_connection_kib       memory of an idle connection, less that of a bare one
accepts_per_s             questions that 64 clients have durably accepted, beside the cycles of bench.delivery
page_*                    the page in Chromium, beside an empty one
openai_overhead_ms        time to the first token through /v1/chat/completions; the model itself takes none
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2

from bench import cycles
from bench.gateway_clients import Server, accepts, chunk_delays, idle_kib, quantile
from bench.gateway_page import page_rows
from bench.report import PICTURES, Panel, Row, compare, draw, limited, shown, table, write_json

START_SECONDS = 60.0
IDLE_LIMIT_KIB, OPENAI_LIMIT_MS = 60.0, 15.0
RATE = 10.0
"""Pieces of each answer in a second."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """`spread` is how many seconds the answers begin one after the other, before anything is measured."""

    rounds: int = 5
    clients: int = 100
    seconds: float = 9.0
    spread: float = 2.0
    accept_seconds: float = 3.0
    many: int = 1000
    idle: Sequence[int] = (0, 250, 500, 750, 1000)
    requests: int = 40
    page: bool = True


QUICK = Plan(rounds=2, seconds=6.0, many=0, idle=(0, 100, 200), requests=10, page=False)


@asynccontextmanager
async def serving(place: Path, *words: str) -> AsyncIterator[Server]:
    """A server in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.gateway_servers", *words),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(START_SECONDS):
            port = int(await process.stdout.readline())
        token = await _token(place) if words[0] == "ours" else ""
        yield Server(name=words[0], port=port, pid=process.pid, token=token)
    finally:
        process.kill()
        await process.wait()


async def _token(state: Path) -> str:
    """A token of the owner, as a person makes one."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "agentd", "--state-dir", str(state), "token", "create", "bench"),
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await process.communicate()
    return said.decode().strip()


async def chunk_rows(plan: Plan, ours: Server, bare: Server) -> tuple[list[Row], dict[str, list[float]]]:
    """Rounds of the two in turn, so that a change of the machine's load meets both."""
    found: dict[str, list[list[float]]] = {"ours": [], "bare": []}
    count = int(plan.seconds * RATE)
    for _ in range(plan.rounds):
        for server in (ours, bare):
            delays = await chunk_delays(server, plan.clients, count=count, rate=RATE, spread=plan.spread)
            found[server.name].append(delays)
    rows = []
    for name, q in (("p50", 0.5), ("p99", 0.99)):
        mine, theirs = ([quantile(run, q) * 1000 for run in found[side]] for side in ("ours", "bare"))
        rows.append(compare(f"chunk_{name}_{plan.clients}", "ms", mine, "bare WebSocket", theirs, better="less"))
    if plan.many:
        for server in (ours, bare):
            delays = await chunk_delays(
                server, plan.many, count=int(plan.seconds) * 2, rate=1.0, spread=2 * plan.spread
            )
            rows.append(shown(f"chunk_p99_{plan.many}_{server.name}", "ms", [quantile(delays, 0.99) * 1000]))
    return rows, {
        side: [statistics.median(quantile(run, q) * 1000 for run in runs) for q in (0.5, 0.99)]
        for side, runs in found.items()
    }


async def memory_row(plan: Plan, ours: Server, bare: Server) -> Row:
    more = await idle_kib(ours, plan.idle) - await idle_kib(bare, plan.idle)
    return limited("idle_connection_kib", more, "KiB", IDLE_LIMIT_KIB)


async def accept_row(plan: Plan, place: Path, ours: Server) -> Row:
    mine, theirs = [], []
    for _ in range(plan.rounds):
        mine.append(await accepts(ours, 64, seconds=plan.accept_seconds))
        theirs.append((await cycles.ours(place, 64, plan.accept_seconds, 0.0)).per_second)
    return compare("accepts_per_s", "1/s", mine, "cycles of delivery", theirs, better="more")


async def openai_row(plan: Plan, ours: Server) -> Row:
    """The first token of an answer that the model begins at once."""
    body = {"model": "beat", "stream": True, "messages": [{"role": "user", "content": "1 1000"}]}
    took = []
    async with httpx2.AsyncClient(base_url=f"http://{ours.address}", headers=ours.headers) as client:
        for _ in range(plan.requests):
            began = time.perf_counter()
            async with client.stream("POST", "/v1/chat/completions", json=body) as response:
                response.raise_for_status()
                firsts = []
                async for line in response.aiter_lines():
                    if line.startswith("data: {") and _says(json.loads(line[6:])):
                        firsts.append(time.perf_counter() - began)
                took.append(firsts[0] * 1000)
    return limited("openai_overhead_ms", statistics.median(took), "ms", OPENAI_LIMIT_MS)


def _says(chunk: dict[str, object]) -> bool:
    choices = chunk.get("choices")
    return isinstance(choices, list) and bool(choices) and bool(choices[0]["delta"].get("content"))


async def run(plan: Plan) -> tuple[list[Row], list[Panel]]:
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        state = place / "state"
        state.mkdir(mode=0o700)
        async with serving(state, "ours", str(state)) as ours, serving(state, "bare") as bare:
            memory = await memory_row(plan, ours, bare)  # first: what was once needed for something else stays
            rows, delays = await chunk_rows(plan, ours, bare)
            rows += [memory, await openai_row(plan, ours)]
            rows.append(await accept_row(plan, place, ours))
            if plan.page:
                rows += await page_rows(ours, bare, state, rounds=plan.rounds)
    return rows, [
        Panel(title=f"delay of a chunk, {plan.clients} clients", unit="ms", groups=("p50", "p99"), series=delays)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description="Compares the gateway with a bare WebSocket in the same run.")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds, within a minute")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows to this file")
    options = parser.parse_args()
    rows, panels = asyncio.run(run(QUICK if options.quick else Plan()))
    print(table(rows))
    if options.json:
        write_json(rows, options.json)
    if not options.quick:
        drawn = draw(panels, PICTURES / "gateway.svg", title="The gateway beside a bare WebSocket")
        print("picture: docs/benchmarks/gateway.svg" if drawn else "no picture: pip install --group bench")


if __name__ == "__main__":
    main()
