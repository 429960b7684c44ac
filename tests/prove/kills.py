"""kill -9 of the whole daemon at random moments of its start and its work, under load, again and again.

Two daemons live and die side by side. What people wrote and what arrived is kept outside of them, and compared at last.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.daemons import WEBSOCKET
from tests.prove.feeder import Chat, Feeder
from tests.prove.result import Result, say

HOUSES = 2
CHATS = 12
STARTS = 0.15
"""Share of the kills that come while the daemon still starts."""
START_SECONDS, WORK_SECONDS = 0.5, 0.35
"""A kill comes within this time of the start of the process, or of its being ready."""
DEADLINE = 90.0
SHOWN_FIRST = (
    *("kills", "messages", "lost", "buried", "out of order", "answered by two turns"),
    *("repeats", "repeats without a label"),
)

CONFIG = """
[channels.log]
build = "tests.prove.log_channel:build"
feed = "{folder}/feed"
log = "{folder}/arrived"
[agent]
concurrency = 8
[delivery]
backoff_base = 0.05
backoff_cap = 0.2
"""


def run(*, kills: int, seed: int) -> Result:
    result = Result(part="kill")
    with tempfile.TemporaryDirectory(prefix="agentd-kill-") as folder:
        asyncio.run(_run_all(Path(folder), kills, seed, result))
    result.end()
    minutes = result.seconds / 60
    result.counts["kills per minute"] = int(kills / minutes)
    return result


async def _run_all(folder: Path, kills: int, seed: int, result: Result) -> None:
    totals: Counter[str] = Counter()
    houses = min(HOUSES, kills)
    async with asyncio.TaskGroup() as group:
        for n in range(houses):
            share = kills // houses + (n < kills % houses)
            house = House(folder / str(n), random.Random(f"{seed} {n}"), totals)
            group.create_task(house.run(share, result), name=f"house {n}")
    result.counts = {name: totals[name] for name in [*SHOWN_FIRST, *sorted(totals.keys() - set(SHOWN_FIRST))]}


class House:
    """One state directory, and the daemons that live on it one after another."""

    def __init__(self, folder: Path, rng: random.Random, totals: Counter[str]) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        self._state = folder / "state"
        self._rng = rng
        self._totals = totals
        self.feeder = Feeder(folder / "feed", folder / "arrived", CHATS, rng)
        (folder / "config.toml").write_text(CONFIG.format(folder=folder))
        self._environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("AGENTD_")},
            "DYING_COUNT": str(folder / "inferences"),
            WEBSOCKET: "false",
        }

    async def run(self, kills: int, result: Result) -> None:
        async with await self.feeder.serve():
            for _ in range(kills):
                await self._live_and_die()
                self._totals["kills"] += 1
                if self._totals["kills"] % 100 == 0:
                    say("kill", {"kills": self._totals["kills"]})
            code = await self._live_to_the_end()
        if code != 0:
            result.violations.append(f"the last daemon ended with {code}: {self._last_words()}")
        result.violations += self.judge()

    async def _spawn(self) -> asyncio.subprocess.Process:
        command = ["-m", "tests.dying_daemon", "run", "--log-level", "warning", "--state-dir", str(self._state)]
        with (self._folder / "stderr").open("wb") as stderr:
            return await asyncio.create_subprocess_exec(
                sys.executable,
                *command,
                *("--config", str(self._folder / "config.toml")),
                stdout=asyncio.subprocess.PIPE,
                stderr=stderr,
                env=self._environment,
            )

    async def _live_and_die(self) -> None:
        process = await self._spawn()
        if self._rng.random() < STARTS:
            await asyncio.sleep(self._rng.uniform(0.0, START_SECONDS))
            self._totals["kills while it started"] += 1
        else:
            await self._ready(process)
            await asyncio.sleep(self._rng.uniform(0.0, WORK_SECONDS))
        if process.returncode is not None:
            raise RuntimeError(f"the daemon ended by itself with {process.returncode}: {self._last_words()}")
        process.kill()
        await process.wait()

    async def _ready(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        began = time.monotonic()
        async with asyncio.timeout(DEADLINE):
            line = await process.stdout.readline()
        if b"ready" not in line:
            raise RuntimeError(f"the daemon did not start: {self._last_words()}")
        self._totals["slowest start ms"] = max(
            self._totals["slowest start ms"], round((time.monotonic() - began) * 1000)
        )

    async def _live_to_the_end(self) -> int:
        """One daemon that is let live until all is answered, and is then asked to stop."""
        self.feeder.finish()
        process = await self._spawn()
        await self._ready(process)
        try:
            async with asyncio.timeout(DEADLINE):
                await self.feeder.all_answered.wait()
        except TimeoutError:
            self._totals["never answered"] += sum(chat.owed for chat in self.feeder.chats.values())
        process.terminate()
        async with asyncio.timeout(DEADLINE):
            return await process.wait()

    def _last_words(self) -> str:
        return (self._folder / "stderr").read_text(errors="replace")[-2000:]

    # --- what came of it ---

    def judge(self) -> list[str]:
        """What was wrong, as sentences; the counts go into the totals."""
        arrivals = self.feeder.arrivals()
        by_chat: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for arrival in arrivals:
            by_chat[arrival["chat"]].append(arrival)
        wrong: list[str] = []
        for chat in self.feeder.chats.values():
            wrong += self._judge_chat(chat, by_chat[chat.name])
        wrong += self._judge_directory()
        self._totals["answers and parts that arrived"] += len(arrivals)
        self._totals["offered again"] += self.feeder.duplicates
        self._totals["refused"] += self.feeder.refused
        self._totals["inferences"] += len((self._folder / "inferences").read_text().splitlines())
        return wrong

    def _judge_chat(self, chat: Chat, arrivals: list[dict[str, Any]]) -> Iterator[str]:
        self._totals["messages"] += len(chat.written)
        first: dict[tuple[int, int], dict[str, Any]] = {}
        outs: dict[int, set[str]] = defaultdict(set)
        last = (-1, -1)
        for arrival in arrivals:
            number = int(arrival["message"].rpartition("-")[2])
            place = (number, arrival["part"])
            outs[number].add(arrival["out"])
            if place in first:
                self._totals["repeats"] += 1
                if not arrival["repeat"]:
                    self._totals["repeats without a label"] += 1
                    yield f"{chat.name}: {place} came again and was not called a repeat"
                continue
            if place < last:
                self._totals["out of order"] += 1
                yield f"{chat.name}: {place} came after {last}"
            first[place] = arrival
            last = max(last, place)
        for number, text in enumerate(chat.written):
            yield from self._judge_message(chat, number, text, first, outs[number])

    def _judge_message(
        self, chat: Chat, number: int, text: str, first: dict[tuple[int, int], dict[str, Any]], outs: set[str]
    ) -> Iterator[str]:
        name = f"{chat.name} number {number}"
        turns = chat.confirmed.get(number, set())
        arrived = [first[place] for place in sorted(first) if place[0] == number]
        if not arrived or len(arrived) != arrived[0]["parts"]:
            self._totals["lost"] += 1
            yield f"{name} was {'confirmed' if turns else 'offered'} and not answered"
            return
        if "".join(arrival["text"] for arrival in arrived) != f"You said: {text}":
            yield f"{name} got the answer to something else"
        if len(outs) != 1 or len(turns) != 1 or {arrival["turn"] for arrival in arrived} != turns:
            self._totals["answered by two turns"] += 1
            yield f"{name} was confirmed as {turns} and answered by {outs}"

    def _judge_directory(self) -> Iterator[str]:
        dead = [path.name for path in (self._state / "dead").glob("*.event")]
        self._totals["buried"] += len(dead)
        if dead:
            yield f"in the dead letters: {dead}"
        left = sorted(path.name for path in (self._state / "pending").iterdir() if path.name != ".reserve")
        if left:
            yield f"still in the pending directory: {left}"
        self._totals["set aside"] += len(list((self._state / "corrupt").iterdir()))
