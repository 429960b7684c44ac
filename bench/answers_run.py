"""Asks the models part by part; every reply goes into the journal, and a question with a reply is not asked again."""

from __future__ import annotations

import shutil
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from agentd.models.llama.ways import PLAINEST
from bench.answers_daemon import Asking, Said, daemon
from bench.answers_data import SUMS, Asked, Collection, Document, FollowUp, Library, choose, read
from bench.answers_journal import Journal, Part, Reply, Who
from bench.answers_peer import PASSAGES, Peer, Spoken, peer, prompt

EXTRACTIVE = "extractive"
HELLO_CONTEXT = 4096
FIRST_TEXTS: Mapping[Part, int] = {"first_text_8": 8, "first_text_4": 4}
"""The `model.first_text` of these parts, in seconds."""
WARM_UP = "Which documents do you have?"
"""The first question of a daemon whose second one is measured."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """The number of questions: from the collection for each model (None: all), and for the other parts."""

    questions: Mapping[str, int | None]
    first_texts: int = 20
    sums: int = len(SUMS)
    follow_ups: int = 40
    tokens: int = 96

    def with_questions(self, most: int | None) -> Plan:
        """The same plan with fewer questions for language models."""
        if most is None:
            return self
        fewer = {name: count if count is None else min(count, most) for name, count in self.questions.items()}
        return replace(self, questions=fewer, first_texts=min(self.first_texts, most))


FULL = Plan(questions={EXTRACTIVE: None, "smollm2-135m": 200, "qwen-coder-0.5b": 200, "qwen-coder-1.5b": 120})
QUICK = Plan(questions={EXTRACTIVE: 48, "smollm2-135m": 4}, first_texts=0, sums=3, follow_ups=0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """`models` maps names to files, None for the extractive one; `place` is for temporary files.

    `sides` says who is asked. If the machine does other work, `timed` is false: then replies are kept without seconds.
    """

    collection: Collection
    follow_ups: Sequence[FollowUp]
    models: Mapping[str, Path | None]
    parts: Sequence[Part]
    place: Path
    threads: int
    sides: Sequence[Who] = ("agentd", "peer")
    timed: bool = True


class Progress:
    """Counts the questions and prints that now and then, with how long the rest may take."""

    def __init__(self, tell: Callable[[str], None], every: float = 20.0) -> None:
        self._tell = tell
        self._every = every
        self._name, self._total, self._done = "", 0, 0
        self._start = self._told = time.monotonic()

    def begin(self, name: str, total: int) -> None:
        self._name, self._total, self._done = name, total, 0
        self._start = self._told = time.monotonic()

    def step(self) -> None:
        self._done += 1
        now = time.monotonic()
        if self._done == self._total:
            self._tell(f"{self._name}: {self._total} done in {now - self._start:.0f} s")
        elif now - self._told >= self._every:
            self._told = now
            left = (now - self._start) / self._done * (self._total - self._done)
            self._tell(f"{self._name}: {self._done} of {self._total}, about {left / 60:.0f} min left")


@dataclass(slots=True)
class Run:
    """One run; a peer starts when it is first needed and lives as long as its model is asked."""

    plan: Plan
    setting: Setting
    journal: Journal
    progress: Progress
    _peers: dict[str, Peer] = field(default_factory=dict)

    async def everything(self) -> None:
        for model in self.setting.models:
            async with AsyncExitStack() as stack:
                for part in self.setting.parts:
                    await self._part(part, model, stack)
            self._peers.pop(model, None)

    async def _part(self, part: Part, model: str, stack: AsyncExitStack) -> None:
        match part:
            case "questions":
                await self._questions(model, stack)
            case "first_text_8" | "first_text_4":
                if model != EXTRACTIVE:
                    await self._first_texts(part, model, stack)
            case "sums":
                await self._sums(model)
            case "hello":
                if model != EXTRACTIVE:
                    await self._hello(model)
            case "follow_ups":
                await self._follow_ups(model)

    # --- the parts ---

    async def _questions(self, model: str, stack: AsyncExitStack) -> None:
        asked = choose(self.setting.collection, self.plan.questions.get(model, 0))
        todo = [each for each in asked if self._lacks("questions", model, each.kind, each.question.id)]
        self.progress.begin(f"{model}, questions", len(todo))
        for library in ("all", "half", "articles"):
            here = [each for each in todo if each.library == library]
            if not here:
                continue
            async with self._daemon(model, self._library(library), ()) as asking:
                for each in here:
                    await self._question("questions", model, each, asking, stack)
                    self.progress.step()

    async def _question(
        self, part: Part, model: str, each: Asked, asking: Asking, stack: AsyncExitStack, *, only_first: bool = False
    ) -> None:
        question = each.question
        if self._asks("agentd", part, model, each.kind, question.id):
            said = await asking.ask(question.text, only_first=only_first)
            self._keep(_ours(part, model, each.kind, question.id, question.text, said))
        if model != EXTRACTIVE and self._asks("peer", part, model, each.kind, question.id):
            texts = [passage.text for passage in await asking.passages(question.text, PASSAGES)]
            peer = await self._peer(model, asking, stack)
            spoken = await peer.ask(prompt(question.text, texts), tokens=1 if only_first else self.plan.tokens)
            self._keep(_peers(part, model, each.kind, question.id, question.text, spoken))

    async def _first_texts(self, part: Part, model: str, stack: AsyncExitStack) -> None:
        known = [each for each in choose(self.setting.collection, None) if each.kind == "known"]
        chosen = known[: self.plan.first_texts]
        todo = [each for each in chosen if self._lacks(part, model, each.kind, each.question.id)]
        if not todo:
            return
        self.progress.begin(f"{model}, {part}", len(todo))
        async with self._daemon(model, self._library("all"), (f"model.first_text={FIRST_TEXTS[part]}",)) as asking:
            await asking.ask(WARM_UP)
            other = await self._peer(model, asking, stack)
            await other.ask(prompt(WARM_UP, ()), tokens=1)  # the first of our questions may be the last that it read
            for each in todo:
                await self._question(part, model, each, asking, stack, only_first=True)
                self.progress.step()

    async def _sums(self, model: str) -> None:
        todo = [(text, value) for text, value in SUMS[: self.plan.sums] if self._lacks("sums", model, "sum", text)]
        if not todo:
            return
        self.progress.begin(f"{model}, sums", len(todo))
        async with self._daemon(model, self._library("all"), ()) as asking:
            for text, _ in todo:
                self._keep(_ours("sums", model, "sum", text, text, await asking.ask(text)))
                self.progress.step()

    async def _hello(self, model: str) -> None:
        if not self._lacks("hello", model, "hello", "hello"):
            return
        settings = ("model.tools=on", f"model.context={HELLO_CONTEXT}")
        async with self._daemon(model, self._library("all"), settings) as asking:
            self._keep(_ours("hello", model, "hello", "hello", "hello", await asking.ask("hello")))

    async def _follow_ups(self, model: str) -> None:
        chosen = self.setting.follow_ups[: self.plan.follow_ups]
        todo = [each for each in chosen if self._lacks("follow_ups", model, "second", each.id)]
        if not todo:
            return
        self.progress.begin(f"{model}, follow-ups", len(todo))
        async with self._daemon(model, self._written("own", read().documents), ()) as asking:
            for each in todo:
                session = await asking.session()
                await asking.ask(each.first, session=session)
                said = await asking.ask(each.second, session=session)
                self._keep(_ours("follow_ups", model, "second", each.id, each.second, said))
                self.progress.step()

    # --- what they need ---

    def _lacks(self, part: Part, model: str, kind: str, id: str) -> bool:
        """Whether a reply is missing; the extractive model and some parts have no peer."""
        alone = model == EXTRACTIVE or part in ("sums", "hello", "follow_ups")
        who: Iterable[Who] = ("agentd",) if alone else ("agentd", "peer")
        return any(self._asks(each, part, model, kind, id) for each in who)

    def _asks(self, who: Who, part: Part, model: str, kind: str, id: str) -> bool:
        """Whether this side is asked in this run and its reply is missing; a timed run misses the seconds, too."""
        kept = self.journal.get((part, model, who, kind, id))
        return who in self.setting.sides and (kept is None or (self.setting.timed and not kept.timed))

    def _keep(self, reply: Reply) -> None:
        self.journal.add(reply if self.setting.timed else replace(reply, first_text=0.0, seconds=0.0))

    async def _peer(self, model: str, asking: Asking, stack: AsyncExitStack) -> Peer:
        if model not in self._peers:
            path, threads = self.setting.models[model], self.setting.threads
            assert path is not None
            if not (way := asking.way(path)):
                await asking.ask(WARM_UP)
                way = asking.way(path) or PLAINEST.name
            self._peers[model] = await stack.enter_async_context(peer(path, threads=threads, way=way))
        return self._peers[model]

    @asynccontextmanager
    async def _daemon(self, model: str, documents: Path, settings: Sequence[str]) -> AsyncIterator[Asking]:
        """A fresh daemon that has read these documents; it keeps what earlier ones found out about the machine."""
        place = self.setting.place / "daemon"
        checks = place / "state" / "models" / "checks.json"
        kept = checks.read_bytes() if checks.exists() else None
        shutil.rmtree(place, ignore_errors=True)
        if kept is not None:
            checks.parent.mkdir(parents=True)
            checks.write_bytes(kept)
        limits = (f"model.sampling.max_tokens={self.plan.tokens}", "model.sampling.seed=1")
        async with daemon(place, self.setting.models[model], (*limits, *settings)) as asking:
            await asking.ingest(documents)
            yield asking

    def _library(self, name: Library) -> Path:
        return self._written(name, self.setting.collection.library(name))

    def _written(self, name: str, documents: Sequence[Document]) -> Path:
        """The folder with these documents as files."""
        folder = self.setting.place / "documents" / name
        if not folder.exists():
            folder.mkdir(parents=True)
            for document in documents:
                (folder / document.name).write_text(document.text, "utf-8")
        return folder


def _ours(part: Part, model: str, kind: str, id: str, question: str, said: Said) -> Reply:
    return Reply(
        part=part,
        model=model,
        who="agentd",
        kind=kind,
        id=id,
        question=question,
        text=said.text,
        outcome=said.outcome,
        by=said.model,
        cited=said.cited,
        found=said.found,
        prompt_tokens=said.prompt_tokens,
        first_text=said.first_text,
        seconds=said.seconds,
    )


def _peers(part: Part, model: str, kind: str, id: str, question: str, spoken: Spoken) -> Reply:
    return Reply(
        part=part,
        model=model,
        who="peer",
        kind=kind,
        id=id,
        question=question,
        text=spoken.text,
        by="peer",
        prompt_tokens=spoken.prompt_tokens,
        first_text=spoken.first_text,
        seconds=spoken.seconds,
    )
