"""The peer: the same model, the same passages, the plain prompt that most systems use, the high-level `Llama`.

It runs in a process of its own (`python -m bench.answers_peer`), which takes a question as one line of JSON on its
standard input and gives its reply as one line on its standard output.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

CONTEXT = 8192
PASSAGES = 8
LOAD_SECONDS = 600.0
ANSWER_SECONDS = 900.0
INSTRUCTION = "Answer the question from the context. If the context does not hold the answer, say so."


def prompt(question: str, passages: Sequence[str]) -> str:
    """Instruction, context, question."""
    context = "\n\n".join(passage.strip() for passage in passages)
    return f"{INSTRUCTION}\n\nContext:\n{context}\n\nQuestion: {question}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Spoken:
    """A reply of the peer; the seconds count from when its process took the question."""

    text: str
    prompt_tokens: int
    first_text: float
    seconds: float


class PeerFailed(Exception):
    """The peer's process ended or did not answer; the message says how."""


class Peer:
    """The parent's end."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def ask(self, text: str, *, tokens: int) -> Spoken:
        """A reply of at most so many tokens, at temperature 0."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"text": text, "tokens": tokens}).encode() + b"\n")
        await self._process.stdin.drain()
        return Spoken(**json.loads(await self.line(ANSWER_SECONDS)))

    async def line(self, seconds: float) -> bytes:
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(seconds):
                line = await self._process.stdout.readline()
        except TimeoutError:
            raise PeerFailed(f"the peer did not answer within {seconds:g} s.") from None
        if not line:
            raise PeerFailed(f"the peer ended with exit code {await self._process.wait()}.")
        return line


@asynccontextmanager
async def peer(model: Path, *, threads: int, way: str) -> AsyncIterator[Peer]:
    """A peer that has loaded its model, and has llama.cpp compute in the way that ours found to work here."""
    command = (sys.executable, "-m", "bench.answers_peer", str(model), "--threads", str(threads), "--way", way)
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        limit=1 << 24,
    )
    try:
        found = Peer(process)
        await found.line(LOAD_SECONDS)
        yield found
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


# --- The peer's own process ------------------------------------------------------------------------------------------


def serve(model: Path, *, threads: int, way: str) -> None:
    """Say "ready", then answer line by line until the input ends."""
    llama = _load(model, threads=threads, parts=way.split("+"))
    print('"ready"', flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        print(json.dumps(asdict(_answer(llama, asked["text"], asked["tokens"]))), flush=True)


def _load(model: Path, *, threads: int, parts: Sequence[str]) -> Any:
    import llama_cpp
    from llama_cpp import llama_cpp as native

    from agentd.models.llama.native import begin

    begin()  # llama-cpp-python does not look for what was compiled for this processor

    class Llama(llama_cpp.Llama):
        """Tells how many tokens the prompt had, which a streamed answer does not."""

        prompt_tokens = 0

        def generate(self, tokens: Any, *arguments: Any, **named: Any) -> Any:
            self.prompt_tokens = len(tokens)
            return super().generate(tokens, *arguments, **named)

    if "repack" not in parts:
        defaults: Any = native.llama_model_default_params

        def without_extra_buffers() -> Any:
            parameters = defaults()
            parameters.use_extra_bufts = False
            return parameters

        native.llama_model_default_params = without_extra_buffers
    return Llama(
        str(model),
        n_ctx=CONTEXT,
        n_threads=threads,
        n_threads_batch=threads,
        n_gpu_layers=-1 if "gpu" in parts else 0,
        flash_attn="flash" in parts,
        verbose=False,
    )


def _answer(llama: Any, text: str, tokens: int) -> Spoken:
    start = time.perf_counter()
    first, said = 0.0, ""
    stream = llama.create_chat_completion(
        messages=[{"role": "user", "content": text}], max_tokens=tokens, temperature=0.0, stream=True
    )
    for event in stream:
        piece = event["choices"][0]["delta"].get("content") or ""
        if piece.strip() and not first:
            first = time.perf_counter() - start
        said += piece
    seconds = time.perf_counter() - start
    return Spoken(text=said, prompt_tokens=llama.prompt_tokens, first_text=first or seconds, seconds=seconds)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.answers_peer", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--way", required=True, help="what of llama.cpp is used: gpu, flash, repack, joined by +")
    options = parser.parse_args()
    serve(options.model, threads=options.threads, way=options.way)


if __name__ == "__main__":
    main()
