"""Native code of a benchmark in a process of its own, which it may end without ending the benchmark."""

from __future__ import annotations

import asyncio
import multiprocessing
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

Q = TypeVar("Q")
A = TypeVar("A")

SECONDS = 600.0


class Apart(Generic[Q, A]):
    """What `make(*arguments)` gives, made in a fresh process before this returns, and asked there, one by one.

    `make` and all arguments, questions and answers must be picklable. `RuntimeError` with the signal's name if the
    process ends, and with the traceback's last line if an answer is an exception.
    """

    def __init__(self, make: Callable[..., Callable[[Q], A]], *arguments: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self._ours, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, make, arguments), daemon=True)
        self._process.start()
        theirs.close()
        self._answer()

    def ask(self, question: Q) -> A:
        """Blocks; gives up after `SECONDS`."""
        self._ours.send(question)
        found: A = self._answer()
        return found

    async def answer(self, question: Q) -> A:
        """As `ask`, beside other work."""
        return await asyncio.to_thread(self.ask, question)

    def _answer(self) -> Any:
        try:
            if not self._ours.poll(SECONDS):
                raise RuntimeError(f"the process of the benchmark did not answer within {SECONDS:g} s")
            fine, answer = self._ours.recv()
        except (EOFError, ConnectionError):
            raise RuntimeError(f"the process of the benchmark is lost: {self._end()}") from None
        if not fine:
            raise RuntimeError(answer)
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.join()
        self._process.close()
        self._ours.close()

    def _end(self) -> str:
        self._process.join()
        code = self._process.exitcode or 0
        return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def _serve(pipe: Connection, make: Callable[..., Callable[[Any], Any]], arguments: tuple[Any, ...]) -> None:
    answer = make(*arguments)
    pipe.send((True, None))
    while True:
        try:
            question = pipe.recv()
        except EOFError:
            return
        try:
            pipe.send((True, answer(question)))
        except Exception as error:
            pipe.send((False, f"{type(error).__name__}: {error}"))
