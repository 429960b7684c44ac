from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentd.host.limits import child_environment, command
from agentd.models.llama import child as child_module
from agentd.models.llama.process import LIMITS, MODULE
from agentd.models.llama.settings import EngineSettings, ModelFile
from agentd.models.llama.wire import (
    Cancel,
    ChatMessage,
    Choice,
    Embed,
    Embedded,
    Ended,
    Frames,
    FromChild,
    Generate,
    Load,
    Loaded,
    LoadFailed,
    OpenedEmbedder,
    OpenEmbedder,
    Piece,
    Ping,
    Pong,
    Progress,
    Said,
    decode_from_child,
    encode,
)
from agentd.testing.gguf import chain, write_random_model, write_table_model

SECONDS = 60


class Child:
    def __init__(self) -> None:
        self.socket, theirs = socket.socketpair()
        self.socket.settimeout(SECONDS)
        with theirs:
            self.process = subprocess.Popen(
                command(MODULE, (str(theirs.fileno()), str(logging.INFO)), LIMITS),
                env=child_environment(os.environ),
                pass_fds=[theirs.fileno()],
                stderr=subprocess.PIPE,
            )

    def messages(self) -> Iterator[FromChild]:
        frames = Frames()
        while data := self.socket.recv(65536):
            yield from (decode_from_child(body) for body in frames.feed(data))

    def close(self) -> None:
        self.socket.close()
        self.process.kill()
        self.process.communicate(timeout=SECONDS)


@pytest.fixture
def child() -> Iterator[Child]:
    child = Child()
    yield child
    child.close()


def load(path: Path, *, context: int = 512) -> Load:
    settings = EngineSettings(context=context, threads=1, gpu_layers=0, sequences=2, spill_bytes=0)
    return Load(file=ModelFile(path=path), settings=settings)


def question(number: int) -> Generate:
    choice = Choice(temperature=0, top_k=0, top_p=1, min_p=0, repeat_penalty=1, seed=0)
    return Generate(
        id=number,
        session="s",
        messages=(ChatMessage(role="user", pieces=(Piece(text="Hi", trusted=False),)),),
        choice=choice,
        max_tokens=10,
        stop=(),
        priority="interactive",
    )


def test_it_answers_over_its_socket_and_ends_when_that_is_closed(child: Child, tmp_path: Path) -> None:
    write_table_model(tmp_path / "tiny.gguf", chain("\n", "Hello", " world"))
    child.socket.sendall(encode(load(tmp_path / "tiny.gguf")) + encode(question(1)))
    messages = child.messages()
    loaded = next(messages)
    assert isinstance(loaded, Loaded) and (loaded.context, loaded.notes) == (512, ())
    assert loaded.read_tps > 0 and loaded.write_tps > 0, "nothing was measured"
    assert (loaded.way, loaded.switched_off) == ("flash+repack", "")
    text = ""
    for message in messages:
        if isinstance(message, Said):
            text += "".join(said for _, _, said in message.items)
        if isinstance(message, Ended):
            break
    assert text == "Hello world"
    child.socket.close()
    assert child.process.wait(SECONDS) == 0


def test_it_gives_way_to_the_daemon(child: Child) -> None:
    child.socket.sendall(encode(Ping(n=1)))
    assert next(child.messages()) == Pong(n=1)
    assert os.getpriority(os.PRIO_PROCESS, child.process.pid) > os.getpriority(os.PRIO_PROCESS, 0)


def test_a_ping_is_answered_with_and_without_a_model(child: Child, tmp_path: Path) -> None:
    child.socket.sendall(encode(Ping(n=1)))
    messages = child.messages()
    assert next(messages) == Pong(n=1)
    child.socket.sendall(encode(Load(file=None)) + encode(Ping(n=2)))
    assert [next(messages), next(messages)] == [Loaded(context=0, notes=()), Pong(n=2)]


def test_vectors_are_made_beside_answers_and_a_cancelled_request_gets_none(child: Child, tmp_path: Path) -> None:
    write_table_model(tmp_path / "tiny.gguf", chain("\n", "Hello", " world"))
    opening = OpenEmbedder(id=7, path=str(tmp_path / "tiny.gguf"), threads=1)
    child.socket.sendall(encode(load(tmp_path / "tiny.gguf")) + encode(opening))
    messages = child.messages()
    assert isinstance(next(messages), Loaded)
    assert next(messages) == OpenedEmbedder(id=7, dimension=512)
    embeds = b"".join(encode(Embed(id=number, texts=("a",), urgent=False)) for number in (8, 9))
    child.socket.sendall(encode(question(1)) + embeds + encode(Cancel(id=8)) + encode(Ping(n=3)))
    told: list[FromChild] = []
    while not {Ended, Embedded} <= set(map(type, told)):
        told.append(next(messages))
    assert [message.id for message in told if isinstance(message, Embedded)] == [9]


def test_a_model_that_cannot_be_used_is_told_in_words_and_ends_the_child(child: Child, tmp_path: Path) -> None:
    child.socket.sendall(encode(load(tmp_path / "none.gguf")))
    (message,) = child.messages()
    assert isinstance(message, LoadFailed) and "no model file" in message.reason
    assert child.process.wait(SECONDS) == 0


def test_what_the_model_lacks_is_said_when_it_is_loaded(child: Child, tmp_path: Path) -> None:
    write_table_model(tmp_path / "bare.gguf", chain("a", "b"), chat_template=None, context=256)
    child.socket.sendall(encode(load(tmp_path / "bare.gguf")))
    loaded = next(child.messages())
    assert isinstance(loaded, Loaded) and loaded.context == 256
    assert "ChatML" in loaded.notes[0] and "256 tokens, not the 512" in loaded.notes[1]


def test_a_context_that_the_model_does_not_have_is_no_reason_to_refuse_it(child: Child, tmp_path: Path) -> None:
    write_random_model(tmp_path / "small.gguf", context=512)
    child.socket.sendall(encode(load(tmp_path / "small.gguf", context=2**40)))
    loaded = next(child.messages())
    assert isinstance(loaded, Loaded) and loaded.context == 512


def test_ctrl_c_at_the_terminal_is_not_for_it(child: Child, tmp_path: Path) -> None:
    write_table_model(tmp_path / "tiny.gguf", chain("\n", "Hello"))
    child.socket.sendall(encode(load(tmp_path / "tiny.gguf")))
    messages = child.messages()
    next(messages)
    child.process.send_signal(signal.SIGINT)
    child.socket.sendall(encode(question(1)))
    assert any(isinstance(message, Ended) for message in messages)


def test_how_long_reading_takes_is_told_before_it_begins() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.setblocking(False)
        connection = child_module._Connection(ours)
        connection.send(Pong(n=1))
        with pytest.raises(BlockingIOError):
            theirs.recv(1)
        connection.send(Progress(id=1, done=0, total=2100, seconds=40.0))
        bodies = Frames().feed(theirs.recv(1 << 16))
        assert [decode_from_child(body) for body in bodies] == [
            Pong(n=1),
            Progress(id=1, done=0, total=2100, seconds=40.0),
        ]
