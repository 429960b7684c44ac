"""Tests on small models of our own whether llama.cpp does what this package relies on.

The first test is of its calls, which change between versions without a warning that Python could see. The second is
whether it computes correctly with the forms of weights that a file has: for prompts and for single tokens, with one
thread and with several. Each trial runs in a copy of the process, because it may crash.
"""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agentd.host.limits import Crashed
from agentd.models.llama.blocks import FORMS
from agentd.models.llama.driver import Driver
from agentd.models.llama.isolate import MOST_MEMORY, isolated
from agentd.models.llama.job import Span
from agentd.models.llama.sampler import Sampler
from agentd.models.llama.specimen import CONTEXT, NAMES, Specimen
from agentd.models.llama.ways import Way
from agentd.models.llama.wire import Choice

SECONDS = 20.0
"""Processor time for one trial; it takes a tenth of a second."""
GPU_MEMORY = 1 << 40
"""Address space of a trial on a GPU: its libraries reserve much more than they use."""
MOST_THREADS = 8
ERROR, WORST = 0.05, 0.3
"""The largest errors, as shares of the standard deviation: the root of the mean square, and that of any number.

llama.cpp rounds the numbers that weights are multiplied with to 8 bits, with one scale for up to 256 of them; errors of
0.016 and 0.12 were measured. A kernel that reads a scale, a sign or a row wrongly is off by about 1.
"""
_GREEDY = Choice(temperature=0, top_k=0, top_p=1, min_p=0, repeat_penalty=1, seed=0)
_PROMPT = [NAMES.index(letter) for letter in "thequickbrownfoxjumpsoverthelazydog"]
"""Longer than 32 tokens, because other kernels are used from there on."""
_NEXT = [NAMES.index(letter) for letter in "and"]

Floats = NDArray[np.float32]


class Trials:
    """The models of the self-test, which are written once for all ways."""

    def __init__(self, directory: Path, forms: Iterable[str]) -> None:
        self._directory = directory
        self._calls = Specimen("F32")
        self._forms = [form for form in FORMS if form in forms]
        self._known: dict[str, Floats] = {}
        self._write("F32", self._calls)

    def problem(self, way: Way, threads: Sequence[int]) -> str:
        """The first problem that llama.cpp has in this way; "" if there is none."""
        if found := self._tried(lambda: next(self._calls_problems(way), ""), way):
            return found
        for form in self._forms:
            expected = self._expected(form)
            work = functools.partial(self._form_problem, form, expected, way, threads)
            if found := self._tried(work, way):
                return f"{found} with {form} weights"
        return ""

    def _tried(self, work: Callable[[], str], way: Way) -> str:
        memory = GPU_MEMORY if way.gpu else MOST_MEMORY
        try:
            return isolated(lambda: work().encode(), seconds=SECONDS, memory=memory).decode()
        except Crashed as crash:
            return str(crash)

    def _expected(self, form: str) -> Floats:
        if form not in self._known:
            specimen = self._calls if form == "F32" else Specimen(form)
            self._write(form, specimen)
            self._known[form] = specimen.logits(_PROMPT + _NEXT)
        return self._known[form]

    def _path(self, form: str) -> Path:
        return self._directory / f"{form}.gguf"

    def _write(self, form: str, specimen: Specimen) -> None:
        self._path(form).write_bytes(specimen.file())

    def _form_problem(self, form: str, expected: Floats, way: Way, threads: Sequence[int]) -> str:
        found = (self._numbers_problem(form, expected, way, count) for count in threads)
        return next(filter(None, found), "")

    def _numbers_problem(self, form: str, expected: Floats, way: Way, threads: int) -> str:
        driver = _driver(self._path(form), way, threads=threads)
        prompt = Span(slot=0, start=0, tokens=_PROMPT, last=True, guessed=len(_PROMPT) - 1)
        if driver.decode([prompt]) != "done":
            return "it refused a prompt"
        found = [driver.logits(0, ahead).copy() for ahead in range(len(_PROMPT))]
        for i, token in enumerate(_NEXT):
            if driver.decode([Span(slot=0, start=len(_PROMPT) + i, tokens=[token], last=True)]) != "done":
                return "it refused a token"
            found.append(driver.logits(0).copy())
        return "" if alike(np.array(found), expected) else "it computed wrong numbers"

    def _calls_problems(self, way: Way) -> Iterator[str]:
        driver = _driver(self._path("F32"), way, threads=1)
        words = driver.vocabulary
        text = words.tokenize("abcab", special=False, after=1)
        if text != [NAMES.index(letter) for letter in "abcab"] or words.piece(text[1]) != b"b":
            yield "text becomes other tokens"
        if driver.facts() != (CONTEXT, 3, 1):
            yield f"a context has other properties than requested: {driver.facts()}"
        calls = _Calls(driver, self._calls)
        other = [NAMES.index(letter) for letter in "zyxwvutsr"]
        yield from calls.differences("a batch of two sequences", (0, text, 0), (1, other, 0))
        yield from calls.differences("going on with one of them", (0, [text[0]], len(text)))
        driver.copy(1, 2, 6)
        yield from calls.differences("a copied beginning", (2, text, 6), before=other[:6])
        if not driver.keep(1, 4):
            yield "a sequence cannot be cut"
        yield from calls.differences("a sequence that was cut", (1, text[:2], 4), before=other[:4])
        state = driver.state(1)
        driver.clear(1)
        if not driver.restore(1, state):
            yield "a stored sequence cannot be restored"
        yield from calls.differences("a sequence that was restored", (1, text, 6), before=[*other[:4], *text[:2]])
        yield from calls.choices()
        logging.disable()  # llama.cpp warns about the next call, which fails on purpose
        if driver.decode([Span(slot=2, start=11, tokens=text * 50, last=True)]) != "full":
            yield "a cache that is too small does not say so"


def several() -> tuple[int, ...]:
    """The numbers of threads to try: one, and as many as the machine has, up to `MOST_THREADS`."""
    return 1, min(MOST_THREADS, max(2, len(os.sched_getaffinity(0))))


def alike(found: Floats, expected: Floats) -> bool:
    """Whether these numbers differ by rounding only, see `ERROR`; False if one of them is NaN."""
    off = (found - expected) / expected.std()
    return bool(np.sqrt(np.mean(off**2)) < ERROR and np.abs(off).max() < WORST)


def _driver(path: Path, way: Way, *, threads: int) -> Driver:
    return Driver(path, context=CONTEXT, threads=threads, gpu_layers=-1, sequences=3, way=way)


class _Calls:
    """Compares what llama.cpp computes for sequences with what the weights give."""

    def __init__(self, driver: Driver, specimen: Specimen) -> None:
        self._driver = driver
        self._specimen = specimen
        self._known: dict[int, list[int]] = {}

    def differences(
        self, name: str, *parts: tuple[int, Sequence[int], int], before: Sequence[int] | None = None
    ) -> Iterator[str]:
        """Each part is a sequence, tokens, and their start; what follows each of these tokens is compared."""
        spans = [
            Span(slot=slot, start=start, tokens=tokens, last=True, guessed=len(tokens) - 1)
            for slot, tokens, start in parts
        ]
        if self._driver.decode(spans) != "done":
            yield f"{name} cannot be decoded"
            return
        for number, (slot, tokens, start) in enumerate(parts):
            earlier = self._known.get(slot, [])[:start] if before is None else list(before)
            known = self._known[slot] = [*earlier, *tokens]
            expected = self._specimen.logits(known)[start:]
            found = np.array([self._driver.logits(number, ahead) for ahead in range(len(tokens))])
            if not alike(found, expected):
                yield f"{name} gives wrong numbers"

    def choices(self) -> Iterator[str]:
        """Compares what samplers and grammars choose after the last batch."""
        driver, words = self._driver, self._driver.vocabulary
        expected = int(np.argmax(driver.logits(0, 0)))
        free = Sampler(_GREEDY, vocabulary=words, before=[])
        if driver.sample(free, 0) != expected:
            yield "the likeliest token is not chosen"
        penalty = Sampler(_GREEDY.model_copy(update={"repeat_penalty": 1e6}), vocabulary=words, before=[expected])
        if driver.sample(penalty, 0) == expected:
            yield "a penalty for repetition has no effect"
        bound = Sampler(_GREEDY, vocabulary=words, before=[], grammar=b'root ::= "q"')
        bound.constrain()
        first, second = (driver.sample(bound, 0) for _ in range(2))
        if first is None or words.piece(first) != b"q" or second != NAMES.index("</s>"):
            yield "a grammar does not bind"
