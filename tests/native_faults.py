"""Faults on purpose in the process that holds the model: what native code does to whoever asks it the wrong thing.

`environment` makes every model process of a daemon wait for one; `provoke` says which. It happens in the next step of
an answer that goes on. `broken` makes every way of llama.cpp fail that uses a certain part of it, in the trials of the
self-test, with the model itself, or both.
"""

from __future__ import annotations

import ctypes
import faulthandler
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agentd.models.llama.driver import Driver
    from agentd.models.llama.job import Span

VARIABLE = "LLAMA_FAULT"
ROOT = Path(__file__).parent.parent
ALWAYS = "!"
"""In front of a fault: it happens again and again."""
TOO_MANY = 513
BROKEN = "LLAMA_BROKEN"
TRIAL_SECONDS = 8.0
"""That a trial may take that hangs on purpose."""


def environment(place: Path) -> dict[str, str]:
    """For a daemon, whose model processes import `sitecustomize` from `place`."""
    place.mkdir(exist_ok=True)
    (place / "sitecustomize.py").write_text("from tests.native_faults import arm\n\narm()\n")
    return {VARIABLE: str(place / "fault"), "PYTHONPATH": f"{place}:{ROOT}"}


def broken(place: Path, part: str, how: str, *, where: str = "everywhere") -> dict[str, str]:
    """For a daemon: the ways that use `part` ("gpu", "flash", "repack", or "all") fail like `how` (`FAILURES`).

    `where`: "everywhere", in the "trials" alone, or with the "model" alone.
    """
    return environment(place) | {BROKEN: f"{part} {where} {how}"}


def provoke(place: Path, fault: str) -> None:
    written = place / "written"
    written.write_text(fault)
    written.rename(place / "fault")


def arm() -> None:
    """Only in the process that holds the model; the daemon itself stays as it is."""
    if "agentd.models.llama.child" not in sys.orig_argv:
        return
    if BROKEN in os.environ:
        _break(*os.environ[BROKEN].split(" ", 2))
    from agentd.models.llama.driver import Driver

    wanted = Path(os.environ[VARIABLE])
    decode, process = Driver.decode, os.getpid()
    said: set[tuple[int, int]] = set()
    """Where the answers of the step before go on."""

    def faulty(driver: Driver, spans: Sequence[Span]) -> str:
        goes_on = any((span.slot, span.start) in said and len(span.tokens) == 1 for span in spans)
        said.clear()
        said.update((span.slot, span.start + len(span.tokens)) for span in spans if span.last)
        if goes_on and wanted.exists() and os.getpid() == process:  # the self-test runs in a copy
            fault = wanted.read_text()
            if not fault.startswith(ALWAYS):
                wanted.unlink()
            spans = FAULTS[fault.removeprefix(ALWAYS)](driver, spans) or spans
        return decode(driver, spans)

    Driver.decode = faulty  # type: ignore[method-assign, assignment]


def _break(part: str, where: str, how: str) -> None:
    from agentd.models.llama import selftest
    from agentd.models.llama.driver import Driver

    selftest.SECONDS = TRIAL_SECONDS
    decode, logits, process = Driver.decode, Driver.logits, os.getpid()

    def fails(driver: Driver) -> bool:
        here = where == "everywhere" or (where == "model") == (os.getpid() == process)
        return here and (part == "all" or bool(getattr(driver._way, part)))

    def faulty_decode(driver: Driver, spans: Sequence[Span]) -> str:
        if fails(driver) and how != WRONG:
            FAILURES[how]()
        return decode(driver, spans)

    def faulty_logits(driver: Driver, span: int, ahead: int = 0) -> Any:
        found = logits(driver, span, ahead)
        return found * 0.8 if fails(driver) and how == WRONG else found

    Driver.decode = faulty_decode  # type: ignore[method-assign, assignment]
    Driver.logits = faulty_logits  # type: ignore[method-assign, assignment]


def _signal(number: signal.Signals) -> Callable[[], None]:
    def fail() -> None:
        faulthandler.disable()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    return fail


def _sleep() -> None:
    while True:
        signal.pause()


WRONG = "wrong numbers"
FAILURES: Mapping[str, Callable[[], None]] = {
    "SIGSEGV": _signal(signal.SIGSEGV),
    "SIGILL": _signal(signal.SIGILL),
    "SIGABRT": _signal(signal.SIGABRT),
    "a hang": _sleep,
    WRONG: lambda: None,
}


Fault = Callable[["Driver", Sequence["Span"]], "Sequence[Span] | None"]


def _several_threads(driver: Driver, spans: Sequence[Span]) -> None:
    """Each as if it were alone: it decodes a token of a sequence of its own, and samples."""
    from agentd.models.llama.batch import Batch
    from agentd.models.llama.native import native

    def answer(sequence: int) -> None:
        batch = Batch(512)
        chain = native.llama_sampler_chain_init(native.llama_sampler_chain_default_params())
        native.llama_sampler_chain_add(chain, native.llama_sampler_init_greedy())
        for start in range(1000):
            batch.fill([replace(spans[0], slot=sequence, start=start, tokens=[1], guessed=0)])
            native.llama_decode(driver._context, batch.native)
            native.llama_sampler_sample(chain, driver._context, 0)

    threads = [threading.Thread(target=answer, args=(n,), name=f"answer {n}", daemon=True) for n in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _grammar_that_is_none(driver: Driver, spans: Sequence[Span]) -> None:
    from agentd.models.llama.native import native

    chain = native.llama_sampler_chain_init(native.llama_sampler_chain_default_params())
    grammar = native.llama_sampler_init_grammar(driver.vocabulary.handle, b"root ::= (", b"root")
    native.llama_sampler_chain_add(chain, grammar)
    native.llama_sampler_chain_add(chain, native.llama_sampler_init_greedy())
    native.llama_sampler_sample(chain, driver._context, -1)


def _forbidden_token(driver: Driver, spans: Sequence[Span]) -> None:
    from agentd.models.llama.native import native
    from agentd.models.llama.sampler import Grammar

    grammar = Grammar(b'root ::= "yes"', driver.vocabulary)
    for token in driver.vocabulary.tokenize("no", special=False, after=1):
        native.llama_sampler_accept(grammar.sampler, token)


def _batch_too_large(driver: Driver, spans: Sequence[Span]) -> None:
    from agentd.models.llama.batch import Batch
    from agentd.models.llama.native import native

    batch = Batch(TOO_MANY)
    batch.fill([replace(spans[0], tokens=[1] * TOO_MANY)])
    native.llama_decode(driver._context, batch.native)


def _output_not_wanted(driver: Driver, spans: Sequence[Span]) -> None:
    from agentd.models.llama.native import native

    driver._batch.fill([replace(spans[0], tokens=[1, 1], guessed=0)])
    native.llama_decode(driver._context, driver._batch.native)
    chain = native.llama_sampler_chain_init(native.llama_sampler_chain_default_params())
    native.llama_sampler_chain_add(chain, native.llama_sampler_init_greedy())
    native.llama_sampler_sample(chain, driver._context, 0)


def _copy_of_a_part(driver: Driver, spans: Sequence[Span]) -> None:
    from agentd.models.llama.native import native

    settings = driver._settings(1, 2)
    settings.kv_unified = False
    split = native.llama_init_from_model(driver._model, settings)
    driver._batch.fill([replace(spans[0], slot=0, start=0, tokens=[1, 2, 3, 4])])
    native.llama_decode(split, driver._batch.native)
    native.llama_memory_seq_cp(native.llama_get_memory(split), 0, 1, 0, 2)


def _context_that_was_freed(driver: Driver, spans: Sequence[Span]) -> None:
    from agentd.models.llama.native import native

    native.llama_free(driver._context)


def _null_pointer(driver: Driver, spans: Sequence[Span]) -> None:
    ctypes.string_at(0)


def _killed(driver: Driver, spans: Sequence[Span]) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _hang(driver: Driver, spans: Sequence[Span]) -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def _exception(driver: Driver, spans: Sequence[Span]) -> None:
    raise MemoryError("no room for the batch")


def _nonsense(driver: Driver, spans: Sequence[Span]) -> None:
    os.write(int(sys.argv[1]), b"\x00\x00\x00\x08nonsense")


def _token_out_of_range(driver: Driver, spans: Sequence[Span]) -> Sequence[Span]:
    return [replace(span, tokens=[10**6]) for span in spans]


def _gap_in_the_positions(driver: Driver, spans: Sequence[Span]) -> Sequence[Span]:
    return [replace(span, start=span.start - 2) for span in spans]


def _sequence_out_of_range(driver: Driver, spans: Sequence[Span]) -> Sequence[Span]:
    return [replace(span, slot=999) for span in spans]


FAULTS: Mapping[str, Fault] = {
    "several threads on one context": _several_threads,
    "a grammar that is none": _grammar_that_is_none,
    "a token that the grammar forbids": _forbidden_token,
    "a batch larger than n_batch": _batch_too_large,
    "an output that was not wanted": _output_not_wanted,
    "a copy of a part in a split cache": _copy_of_a_part,
    "a context that was freed": _context_that_was_freed,
    "a null pointer": _null_pointer,
    "kill -9": _killed,
    "a hang": _hang,
    "an exception": _exception,
    "nonsense on the socket": _nonsense,
    "a token out of range": _token_out_of_range,
    "a gap in the positions": _gap_in_the_positions,
    "a sequence out of range": _sequence_out_of_range,
}
