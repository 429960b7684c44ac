"""The child that runs the model, `agentd.models.llama.child DESCRIPTOR LEVEL`; `process` starts it with its limits.

It reads messages between two steps, and ends when its socket is closed.
"""

from __future__ import annotations

import logging
import os
import select
import socket
import sys
from typing import TYPE_CHECKING

from agentd.errors import ModelError
from agentd.host.limits import Crashed
from agentd.models.llama import files, machine, verdict
from agentd.models.llama.advice import advice_of
from agentd.models.llama.checks import Checks
from agentd.models.llama.isolate import isolated
from agentd.models.llama.memory import Memory
from agentd.models.llama.rendering import UntrustedTemplate
from agentd.models.llama.settings import EngineSettings, ModelFile
from agentd.models.llama.ways import BY_NAME, Way, allowed
from agentd.models.llama.wire import (
    Cancel,
    Count,
    Embed,
    Frames,
    FromChild,
    Generate,
    Load,
    Loaded,
    LoadFailed,
    OpenEmbedder,
    Ping,
    Pong,
    Progress,
    ToChild,
    Warm,
    decode_to_child,
    encode,
)

if TYPE_CHECKING:
    from agentd.models.llama.embeddings import Embeddings
    from agentd.models.llama.engine import Engine

log = logging.getLogger(__name__)

ALL_LAYERS = -1
"""Tells llama.cpp to put all layers of a model on the GPU."""


class _Connection:
    """Receives messages from the daemon, with or without waiting, and sends collected messages together."""

    def __init__(self, to_daemon: socket.socket) -> None:
        self._socket = to_daemon
        self._frames = Frames()
        self._out = bytearray()

    def receive(self, *, wait: bool) -> list[ToChild] | None:
        """The messages that have arrived; None if the daemon has closed the connection."""
        readable, _, _ = select.select([self._socket], [], [], None if wait else 0)
        if not readable:
            return []
        data = self._socket.recv(1 << 18)
        return [decode_to_child(body) for body in self._frames.feed(data)] if data else None

    def send(self, message: FromChild) -> None:
        self._out += encode(message)
        if isinstance(message, Progress):  # the next step may be the long one that it announces
            self.flush()

    def flush(self) -> None:
        if self._out:
            self._socket.sendall(self._out)
            self._out.clear()


def main(arguments: list[str]) -> None:
    descriptor, level = (int(argument) for argument in arguments)
    os.nice(machine.NICENESS)
    logging.basicConfig(stream=sys.stderr, level=level, format="%(levelname)s %(message)s")
    with socket.socket(fileno=descriptor) as to_daemon:
        try:
            _serve(_Connection(to_daemon))
        except (BrokenPipeError, ConnectionResetError):
            log.info("the daemon is gone")


def _serve(connection: _Connection) -> None:
    desk = _Desk(connection)
    while (messages := connection.receive(wait=not desk.busy)) is not None:
        for message in messages:
            if isinstance(message, Load):
                try:
                    desk.load(message)
                except ModelError as error:
                    connection.send(LoadFailed(reason=str(error)))
                    connection.flush()
                    return
            else:
                desk.handle(message)
        connection.flush()
        desk.step()
        connection.flush()


class _Desk:
    """Passes each message to the part that answers it; each part is loaded when it is first needed."""

    def __init__(self, connection: _Connection) -> None:
        self._connection = connection
        self._engine: Engine | None = None
        self._embeddings: Embeddings | None = None
        self._checks = Checks(None)
        self._memory = Memory()

    @property
    def busy(self) -> bool:
        return (self._engine is not None and self._engine.busy) or (
            self._embeddings is not None and self._embeddings.busy
        )

    def load(self, message: Load) -> None:
        if message.file is not None:
            self._checks = Checks(message.file.checks)
            self._engine = _load(message.file, message.settings, self._checks, self._memory, self._connection)
        else:
            self._connection.send(Loaded(context=0, notes=()))

    def handle(self, message: Generate | Count | Warm | OpenEmbedder | Embed | Cancel | Ping) -> None:
        match message:
            case Ping():
                self._connection.send(Pong(n=message.n))
            case OpenEmbedder() | Embed():
                self._embed(message)
            case Cancel() if self._embeddings is not None:
                self._embeddings.cancel(message.id)
        if self._engine is not None and isinstance(message, Generate | Count | Warm | Cancel):
            self._engine.handle(message)

    def _embed(self, message: OpenEmbedder | Embed) -> None:
        if self._embeddings is None:
            from agentd.models.llama.embeddings import Embeddings

            self._embeddings = Embeddings(self._connection.send, self._checks, self._memory, fresh=self._engine is None)
        if isinstance(message, OpenEmbedder):
            self._embeddings.open(message)
        else:
            self._embeddings.embed(message)

    def step(self) -> None:
        answering = self._engine is not None and self._engine.busy
        if self._engine is not None and answering:
            self._engine.step()
        if self._embeddings is not None and self._embeddings.busy:
            self._embeddings.step(beside=answering)


def _load(file: ModelFile, settings: EngineSettings, checks: Checks, memory: Memory, connection: _Connection) -> Engine:
    gguf = files.inspect(file.path)
    untrusted = UntrustedTemplate()
    gpu_layers = settings.gpu_layers
    if gpu_layers is None:
        gpu_layers = ALL_LAYERS if _finds_gpu() else 0
    if gpu_layers == 0:
        files.check_memory(gguf, context=settings.context, available=machine.available_memory())
    memory.allow(gguf, context=settings.context, besides=settings.spill_bytes, gpu=gpu_layers != 0)
    way, switched_off = _way(file, gguf.types, checks, gpu=gpu_layers != 0)
    # These imports take a while, so a file that cannot be run is reported before them.
    from agentd.models.llama.driver import Driver
    from agentd.models.llama.engine import Engine
    from agentd.models.llama.kept import open_kept
    from agentd.models.llama.template import Template

    threads = machine.free_threads() if settings.threads is None else settings.threads
    driver = Driver(
        file.path,
        context=settings.context,
        threads=threads,
        gpu_layers=gpu_layers,
        sequences=settings.sequences,
        way=way,
    )
    words = driver.vocabulary
    template = Template(
        words.chat_template(),
        bos=words.bos_text,
        eos=words.eos_text,
        chatml=words.has_control("<|im_start|>") and words.has_control("<|im_end|>"),
        untrusted=untrusted,
    )
    if template.family is not None:
        words.shown = template.family.shown
    notes = template.notes
    if driver.context < settings.context:
        notes += (f"The model has a context of {driver.context} tokens, not the {settings.context} that are set.",)
    kept = open_kept(file, driver, way, threads=threads)
    connection.send(
        Loaded(
            context=driver.context,
            notes=notes,
            tools=template.tools,
            read_tps=kept.speeds.pace.read,
            write_tps=kept.speeds.pace.write,
            advice=advice_of(gguf.name, gguf.sampling),
            way=way.name,
            switched_off=switched_off,
        )
    )
    return Engine(driver, template, settings, kept, send=connection.send)


def _finds_gpu() -> bool:
    """A copy looks, because the libraries of a GPU must not be initialised in a process that is copied later."""
    from agentd.models.llama.native import finds_gpu
    from agentd.models.llama.selftest import GPU_MEMORY, SECONDS

    try:
        return bool(isolated(lambda: b"yes" if finds_gpu() else b"", seconds=SECONDS, memory=GPU_MEMORY))
    except Crashed as crash:
        log.warning("llama.cpp cannot look for a GPU: %s", crash)
        return False


def _way(file: ModelFile, types: tuple[str, ...], checks: Checks, *, gpu: bool) -> tuple[Way, str]:
    """The way in which llama.cpp computes with such weights here, and a sentence about what is switched off."""
    ways = allowed(gpu=gpu)
    if file.way in BY_NAME:
        chosen = BY_NAME[file.way]
        verdict.find(checks, types, (chosen,))
        return chosen, verdict.switched_off(chosen, ways[0], file.why) if file.why else ""
    found = verdict.find(checks, types, ways)
    assert found.way is not None
    return found.way, found.switched_off(ways)


if __name__ == "__main__":
    main(sys.argv[1:])
