"""Many chats on one local model: our engine beside llama-server and the high-level `Llama`.

`python -m bench.engine [--quick] [--json FILE] [--llama-server FILE] [--threads N] [--model FILE]`. The models have
random weights and the shape of a 0.5B model (a smaller one with --quick): their cost is real, their text is noise. A
real quantised one is asked the same: that of --model, or, in the full form, Qwen2.5-Coder-0.5B Q4_K_M if it is in the
cache of `agentd.testing.real_models`; its rows end in `_real`. llama-server is built from the source distribution of
the installed llama-cpp-python unless a built one is given. Rows that are judged:

shared_prefix_tps_16    16 chats with a system prompt in common, tokens per second
shared_prefix_ttft_16   the same, the worst time to a first token
no_prefix_tps_N         N chats with nothing in common
second_turn_ttft        the first token of the second answer of a conversation
quoting_tps             an answer that quotes its prompt, beside the same without guesses
overhead_us             Python and messages between processes for each token, beside 60 microseconds; with the
                        smaller model in both forms: what a large one leaves of the processor's caches is its own cost

Rows that are only shown, among others:

freeze_s                the longest pause of an answer while a prompt of 1,500 tokens comes in
quoting_divergence      how often a token is another one in a wide batch, as guesses are checked in, than alone
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

from agentd.host import limits
from agentd.models.llama.machine import free_threads
from agentd.models.speed import TASK, WORDS
from agentd.ports.generation import Role
from agentd.testing import real_models
from bench import engine_build, engine_divergence, engine_overhead
from bench.engine_models import HALF_BILLION, SMALL, Shape, words, write_quoting_model, write_random_model
from bench.engine_peers import TEMPERATURE, Ask, Chat, Said, llama_server, one_after_another, ours
from bench.report import PICTURES, Panel, Row, compare, draw, shown, table, write_json

SYSTEM_WORDS, QUESTION_WORDS, TOKENS = 180, 60, 48
NEWCOMER_WORDS, FROZEN_TOKENS = 1500, 100
OVERHEAD_LIMIT_US = 60.0
REAL_MODEL = "qwen-coder-0.5b"
REAL = "_real"
"""The end of the names of a real model's rows."""
OURS, SERVER, ALONE = "agentd", "llama-server", "Llama, one after another"

Opened = Callable[[], AbstractAsyncContextManager[Ask]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    chats: Sequence[int] = (1, 4, 8, 16)
    rounds: int = 5
    shape: Shape = HALF_BILLION
    quote: int = 300
    quotes: int = 1
    overhead_tokens: int = 300
    compared_tokens: int = 300
    real_chats: Sequence[int] = (1, 16)
    real_rounds: int = 3


QUICK = Plan(chats=(1, 16), rounds=2, shape=SMALL, quotes=5, overhead_tokens=100, real_rounds=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """The models: `random` and `quoting` have the shape of the plan, `small` the smaller one; `real` may be None."""

    random: Path
    small: Path
    quoting: Path
    server: Path
    threads: int
    real: Path | None = None
    """The way in which llama.cpp computes with each of them."""


@dataclass(slots=True)
class Measured:
    """Values of each round by (row, who)."""

    values: dict[tuple[str, str], list[float]] = field(default_factory=dict)

    def add(self, row: str, who: str, value: float) -> None:
        self.values.setdefault((row, who), []).append(value)

    def knows(self, row: str, who: str) -> bool:
        return (row, who) in self.values

    def of(self, row: str, who: str) -> Sequence[float]:
        return self.values[row, who]


class Texts:
    """The words of one round, which no cache knows from another round; English words for a `real` model.

    `task` follows a question, so that a real model does not end before it has used up its tokens. It takes the most
    likely tokens, so that all programs say the same and no answer is short by chance.
    """

    def __init__(self, seed: int, *, real: bool = False) -> None:
        self.real = real
        self._chance = random.Random(seed)
        self._words = [f"{word} " for word in WORDS] if real else words(10_000)
        self.task = TASK if real else ""
        self.temperature = 0.0 if real else TEMPERATURE

    def some(self, count: int) -> str:
        return "".join(self._chance.choices(self._words, k=count))


def chats(texts: Texts, count: int, *, shared: bool) -> list[Chat]:
    """Questions after a system prompt, which all share or each has its own; about 256 tokens each."""
    system = texts.some(SYSTEM_WORDS)
    found = []
    for number in range(count):
        first: tuple[Role, str] = ("system", system if shared else texts.some(SYSTEM_WORDS))
        question: tuple[Role, str] = ("user", texts.some(QUESTION_WORDS) + texts.task)
        found.append(_chat(texts, f"{number}", (first, question)))
    return found


def _chat(texts: Texts, session: str, lines: tuple[tuple[Role, str], ...]) -> Chat:
    return Chat(session=session, lines=lines, tokens=TOKENS, temperature=texts.temperature, may_end=texts.real)


async def together(ask: Ask, asked: Sequence[Chat]) -> tuple[float, float]:
    """Ask all chats at once: tokens per second, and the worst time to a first token."""
    start = time.perf_counter()
    said = await asyncio.gather(*(ask(chat) for chat in asked))
    seconds = time.perf_counter() - start
    return sum(answer.tokens for answer in said) / seconds, max(answer.first for answer in said)


async def second_turn(ask: Ask, texts: Texts) -> float:
    """Seconds to the first token of the second answer of a conversation."""
    (chat,) = chats(texts, 1, shared=False)
    answer = await ask(chat)
    later: tuple[tuple[Role, str], ...] = (
        ("assistant", answer.text),
        ("user", texts.some(QUESTION_WORDS) + texts.task),
    )
    again = await ask(_chat(texts, chat.session, (*chat.lines, *later)))
    return again.first


async def quote(ask: Ask, plan: Plan) -> Said:
    """An answer that repeats a passage of its prompt word for word."""
    passage = "".join(words(plan.quote))
    chat = Chat(session="q", lines=(("user", passage),), tokens=plan.quote // 2, temperature=0.0)
    return await ask(chat)


async def freeze(ask: Ask, texts: Texts) -> float:
    """The longest pause of an answer, in seconds, while the long prompt of another one is read."""
    question: tuple[tuple[Role, str], ...] = (("user", texts.some(QUESTION_WORDS)),)
    running = Chat(session="running", lines=question, tokens=FROZEN_TOKENS)
    newcomer = Chat(session="newcomer", lines=(("user", texts.some(NEWCOMER_WORDS)),), tokens=1)

    async def come() -> None:
        await running.begun.wait()
        await ask(newcomer)

    said, _ = await asyncio.gather(ask(running), come())
    return said.pause


async def measure(plan: Plan, setting: Setting) -> Measured:
    """Run all rounds with the programs interleaved, so that a change of the machine's load meets all of them."""
    found = Measured()
    for number in range(plan.rounds):
        await _round(plan, setting, number, found)
        if setting.real is not None and number < plan.real_rounds:
            await _chats(setting.real, setting, plan.real_chats, partial(Texts, number, real=True), REAL, found)
        print(f"round {number + 1} of {plan.rounds} is done", flush=True)
    return found


async def _round(plan: Plan, setting: Setting, seed: int, found: Measured) -> None:
    await _chats(setting.random, setting, plan.chats, partial(Texts, seed), "", found)
    for who, opened in _who(setting.random, setting, 2):
        async with opened() as ask:
            found.add("freeze_s", who, await freeze(ask, Texts(seed)))
    texts = set()
    for guess in (True, False):
        async with ours(setting.quoting, threads=setting.threads, guess=guess) as ask:
            for _ in range(plan.quotes):
                said = await quote(ask, plan)
                texts.add(said.text)
                speed = (said.tokens - 1) / (said.end - said.first)
                found.add("quoting_tps", "guesses" if guess else "no guesses", speed)
    if len(texts) != 1:
        raise RuntimeError("the answer with guesses differs from the one without")


async def _chats(
    model: Path, setting: Setting, counts: Sequence[int], texts: Callable[[], Texts], mark: str, found: Measured
) -> None:
    """Chats with nothing in common; the largest number of chats with a shared beginning; a second turn."""
    for count in counts:
        for who, opened in _who(model, setting, count):
            async with opened() as ask:
                speed, _ = await together(ask, chats(texts(), count, shared=False))
                found.add(f"no_prefix_tps_{count}{mark}", who, speed)
    most = max(counts)
    for who, opened in _everybody(model, setting, most):
        async with opened() as ask:
            speed, first = await together(ask, chats(texts(), most, shared=True))
            found.add(f"shared_prefix_tps_{most}{mark}", who, speed)
            found.add(f"shared_prefix_ttft_{most}{mark}", who, first)
    for who, opened in _who(model, setting, 1):
        async with opened() as ask:
            found.add(f"second_turn_ttft{mark}", who, await second_turn(ask, texts()))


def _who(model: Path, setting: Setting, count: int) -> list[tuple[str, Opened]]:
    threads = setting.threads
    return [
        (OURS, lambda: ours(model, threads=threads)),
        (SERVER, lambda: llama_server(model, setting.server, threads=threads, chats=count)),
    ]


def _everybody(model: Path, setting: Setting, count: int) -> list[tuple[str, Opened]]:
    return [*_who(model, setting, count), (ALONE, lambda: one_after_another(model, threads=setting.threads))]


def overhead(plan: Plan, setting: Setting) -> list[Row]:
    """The worst of the medians over the rounds, for 4 and more chats."""
    rows, worst = [], 0.0
    for count in (4, 16):
        rounds = [
            engine_overhead.per_token(setting.small, chats=count, tokens=plan.overhead_tokens)
            for _ in range(plan.rounds)
        ]
        child = shown(f"overhead_us_child_{count}", "us", [child for child, _ in rounds])
        daemon = shown(f"overhead_us_daemon_{count}", "us", [daemon for _, daemon in rounds])
        rows += [child, daemon]
        worst = max(worst, child.value + daemon.value)
    limit = OVERHEAD_LIMIT_US
    judged = Row(name="overhead_us", value=worst, unit="us", peer="limit", peer_value=limit, ratio=limit / worst)
    return [judged, *rows]


def _divergence(plan: Plan, setting: Setting) -> Row:
    text = Texts(0).some(plan.compared_tokens)
    rate = engine_divergence.divergence(setting.random, text, threads=setting.threads)
    return shown("quoting_divergence", "of tokens", [rate])


def rows(plan: Plan, found: Measured) -> list[Row]:
    """First the rows that are judged, then those that are only shown."""
    most = max(plan.chats)
    speed, first = f"shared_prefix_tps_{most}", f"shared_prefix_ttft_{most}"
    real = found.knows(f"second_turn_ttft{REAL}", OURS)
    return [
        *_beside_server(found, plan.chats, ""),
        *(_beside_server(found, plan.real_chats, REAL) if real else ()),
        compare(
            "quoting_tps",
            "tokens/s",
            found.of("quoting_tps", "guesses"),
            "no guesses",
            found.of("quoting_tps", "no guesses"),
            better="more",
        ),
        shown("freeze_s", "s", found.of("freeze_s", OURS)),
        shown("freeze_s_llama_server", "s", found.of("freeze_s", SERVER)),
        *(
            shown(f"{name}{mark}_one_after_another", unit, found.of(f"{name}{mark}", ALONE))
            for mark in (("", REAL) if real else ("",))
            for name, unit in ((speed, "tokens/s"), (first, "s"))
        ),
    ]


def _beside_server(found: Measured, counts: Sequence[int], mark: str) -> list[Row]:
    """The rows of `_chats`, compared with llama-server's."""
    most = max(counts)

    def row(name: str, unit: str, better: Literal["more", "less"]) -> Row:
        return compare(name, unit, found.of(name, OURS), SERVER, found.of(name, SERVER), better=better)

    return [
        row(f"shared_prefix_tps_{most}{mark}", "tokens/s", "more"),
        *(row(f"no_prefix_tps_{count}{mark}", "tokens/s", "more") for count in counts),
        row(f"shared_prefix_ttft_{most}{mark}", "s", "less"),
        row(f"second_turn_ttft{mark}", "s", "less"),
    ]


def panels(plan: Plan, measured: Sequence[Row]) -> list[Panel]:
    """The panels of the picture."""
    known = {row.name: row for row in measured}
    most = max(plan.chats)
    speed, first = known[f"shared_prefix_tps_{most}"], known[f"shared_prefix_ttft_{most}"]
    plain = [known[f"no_prefix_tps_{count}"] for count in plan.chats]
    marks = ["", REAL] if f"second_turn_ttft{REAL}" in known else [""]
    names = ["random weights", "real model"][: len(marks)]
    shared, worst = ([known[f"{row.name}{mark}"] for mark in marks] for row in (speed, first))
    return [
        Panel(
            title=f"{most} chats, one system prompt",
            unit="tokens/s",
            groups=names,
            series={
                OURS: [row.value for row in shared],
                SERVER: [row.peer_value for row in shared],
                ALONE: [known[f"{row.name}_one_after_another"].value for row in shared],
            },
        ),
        Panel(
            title=f"worst time to a first token, {most} chats",
            unit="seconds",
            groups=names,
            series={
                OURS: [row.value for row in worst],
                SERVER: [row.peer_value for row in worst],
                ALONE: [known[f"{row.name}_one_after_another"].value for row in worst],
            },
        ),
        Panel(
            title="nothing in common",
            unit="tokens/s",
            groups=[f"{count} chats" if count > 1 else "1 chat" for count in plan.chats],
            series={OURS: [row.value for row in plain], SERVER: [row.peer_value for row in plain]},
        ),
        Panel(
            title="an answer that quotes",
            unit="tokens/s",
            groups=["1 chat"],
            series={"guesses": [known["quoting_tps"].value], "no guesses": [known["quoting_tps"].peer_value]},
        ),
    ]


def run(
    plan: Plan, place: Path, server: Path, threads: int, picture: Path | None, real: Path | None = None
) -> list[Row]:
    """Run everything; prints the table, and draws the picture if one is wanted."""
    setting = Setting(
        random=place / "random.gguf",
        small=place / "small.gguf",
        quoting=place / "quoting.gguf",
        server=server,
        threads=threads,
        real=real,
    )
    write_random_model(setting.random, plan.shape)
    write_random_model(setting.small, SMALL)
    write_quoting_model(setting.quoting, plan.shape, words(plan.quote))
    found = [*rows(plan, asyncio.run(measure(plan, setting))), *overhead(plan, setting), _divergence(plan, setting)]
    print(table(found))
    if picture is not None:
        title = f"{plan.shape.layers} layers of {plan.shape.width}, {plan.shape.vocabulary} words, {threads} thread(s)"
        title += f"; {real.stem}" if real is not None else ""
        drawn = draw(panels(plan, found), picture, title=title)
        print(f"\npicture: {picture}" if drawn else "\nno picture: install matplotlib (pip install --group bench)")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.engine", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer rounds and a smaller model, within a minute")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows to this file")
    parser.add_argument("--llama-server", type=Path, metavar="FILE", help="use this llama-server")
    parser.add_argument("--threads", type=int, default=None, help="threads of the model (default: as agentd does)")
    parser.add_argument(
        "--picture", type=Path, metavar="FILE", help="draw here (default: docs/benchmarks/engine.svg, not if --quick)"
    )
    parser.add_argument(
        "--model", type=Path, metavar="FILE", help=f"a real model (default: {REAL_MODEL} if it is here, not if --quick)"
    )
    options = parser.parse_args()
    os.environ.update(limits.THREADS_WAIT)  # the peers' threads wait as ours do
    server = options.llama_server or engine_build.llama_server()
    picture = options.picture or (None if options.quick else PICTURES / "engine.svg")
    with tempfile.TemporaryDirectory() as place:
        real = options.model or (None if options.quick else real_models.path_of(REAL_MODEL))
        plan, threads = QUICK if options.quick else Plan(), options.threads or free_threads()
        found = run(plan, Path(place), server, threads, picture, real)
    if options.json is not None:
        write_json(found, options.json)


if __name__ == "__main__":
    main()
