"""The beginning of prompts is read before anybody asks, gives way to requests, and is there at the next start."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import pytest

from agentd.models.llama.checks import Checks
from agentd.models.llama.driver import Driver
from agentd.models.llama.engine import Engine
from agentd.models.llama.job import Span
from agentd.models.llama.kept import Kept
from agentd.models.llama.pace import Speeds
from agentd.models.llama.settings import EngineSettings
from agentd.models.llama.snapshots import Snapshots
from agentd.models.llama.template import Template
from agentd.models.llama.wire import (
    Cancel,
    ChatMessage,
    Choice,
    Ended,
    FromChild,
    Generate,
    Piece,
    Refused,
    Said,
    Tool,
    Warm,
    Warmed,
)
from agentd.ports.models import Pace
from agentd.testing.gguf import write_random_model, write_recurrent_model

pytestmark = pytest.mark.native

GREEDY = Choice(temperature=0, top_k=0, top_p=1, min_p=0, repeat_penalty=1, seed=0)
SYSTEM = "You answer from documents, and nothing else. " * 8


class Counting(Driver):
    """A driver that counts the tokens of its batches."""

    tokens = 0

    def decode(self, spans: Sequence[Span]) -> Literal["done", "full", "failed"]:
        self.tokens += sum(len(span.tokens) for span in spans)
        return super().decode(spans)


class Bench:
    """An engine and the messages that it sent; it decides by `speed` what is worth a file."""

    def __init__(
        self, path: Path, *, directory: Path | None = None, sequences: int = 4, context: int = 4096, speed: float = 50
    ) -> None:
        self.told: list[FromChild] = []
        self.driver = Counting(path, context=context, threads=1, gpu_layers=0, sequences=sequences)
        speeds = Speeds(Checks(None), "")
        speeds.set(Pace(read=speed, write=speed))
        template = Template(self.driver.vocabulary.chat_template())
        settings = EngineSettings(sequences=sequences, spill_bytes=1 << 24)
        kept = Kept(speeds=speeds, snapshots=Snapshots(directory, path.name))
        self.engine = Engine(self.driver, template, settings, kept, send=self.told.append, clock=lambda: 0.0)

    @property
    def read(self) -> int:
        """Tokens that were decoded since the model was loaded, including the one that warms it up."""
        return self.driver.tokens

    def run(self) -> None:
        for _ in range(2000):
            if not self.engine.busy:
                return
            self.engine.step()
        raise AssertionError("the engine does not come to an end")

    def warm(self, number: int, system: str = SYSTEM) -> int:
        self.engine.handle(warm(number, system))
        self.run()
        return next(told.tokens for told in self.told if isinstance(told, Warmed) and told.id == number)

    def ask(self, number: int, text: str = "Why?", *, system: str = SYSTEM, session: str = "") -> Ended:
        self.engine.handle(ask(number, text, system=system, session=session))
        self.run()
        return self.ended(number)

    def ended(self, number: int) -> Ended:
        return next(told for told in self.told if isinstance(told, Ended) and told.id == number)

    def text(self, number: int) -> str:
        items = [item for told in self.told if isinstance(told, Said) for item in told.items]
        return "".join(text for request, _, text in items if request == number)


def first(system: str) -> ChatMessage:
    return ChatMessage(role="system", pieces=(Piece(text=system, trusted=True),))


def warm(number: int, system: str = SYSTEM) -> Warm:
    return Warm(id=number, messages=(first(system),))


def ask(number: int, text: str = "Why?", *, system: str = SYSTEM, session: str = "") -> Generate:
    return Generate(
        id=number,
        session=session or str(number),
        messages=(first(system), ChatMessage(role="user", pieces=(Piece(text=text, trusted=False),))),
        choice=GREEDY,
        max_tokens=12,
        stop=(),
        priority="interactive",
    )


Write = Callable[[Path], None]


@pytest.fixture(scope="module", params=[write_random_model, write_recurrent_model], ids=["attention", "recurrent"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("models") / "m.gguf"
    request.param(path)
    return path


@pytest.fixture(scope="module")
def random_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "random.gguf"
    write_random_model(path)
    return path


def test_the_first_question_of_each_conversation_does_not_pay_for_what_never_changes(model: Path) -> None:
    cold, bench = Bench(model), Bench(model)
    expected = cold.ask(1)
    length = bench.warm(1)
    assert length > len(SYSTEM) * 0.8
    for number, session in ((2, "a"), (3, "b"), (4, "c")):
        ended = bench.ask(number, session=session)
        assert ended.cached_tokens >= length
        assert ended.prompt_tokens == expected.prompt_tokens
        assert bench.text(number) == cold.text(1), "the answer is another one"


def test_at_the_next_start_it_comes_from_disk(model: Path, tmp_path: Path) -> None:
    before = Bench(model, directory=tmp_path)
    length = before.warm(1)
    after = Bench(model, directory=tmp_path)
    assert after.warm(1) == length
    assert after.read <= 2 < length <= before.read
    assert after.ask(2).cached_tokens >= length
    before.ask(2)
    assert after.text(2) == before.text(2)


def test_a_damaged_snapshot_is_read_anew_and_written_again(random_model: Path, tmp_path: Path) -> None:
    length = Bench(random_model, directory=tmp_path).warm(1)
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:-10])
    bench = Bench(random_model, directory=tmp_path)
    assert bench.warm(1) == length <= bench.read
    again = Bench(random_model, directory=tmp_path)
    again.warm(1)
    assert again.read == 2


def test_what_is_read_in_no_time_is_not_worth_a_file(random_model: Path, tmp_path: Path) -> None:
    bench = Bench(random_model, directory=tmp_path, speed=100_000)
    assert bench.warm(1) > 100
    assert not list(tmp_path.iterdir())


def test_a_question_comes_first_and_takes_over_what_was_read(random_model: Path) -> None:
    bench = Bench(random_model)
    system = SYSTEM * 4
    bench.engine.handle(warm(1, system))
    bench.engine.step()
    read = bench.read
    assert 1 < read < len(system)
    bench.engine.handle(ask(2, system=system))
    while not any(isinstance(told, Ended) for told in bench.told):
        assert not any(isinstance(told, Warmed) for told in bench.told)
        bench.engine.step()
    assert bench.ended(2).cached_tokens >= read - 2
    together = bench.read
    bench.run()
    assert any(isinstance(told, Warmed) and told.tokens > len(system) * 0.8 for told in bench.told)
    assert bench.read - together <= 1, "it was read a second time"


def test_it_outlives_conversations_that_take_all_the_room_but_its_own(random_model: Path) -> None:
    bench = Bench(random_model, sequences=3, context=1024)
    length = bench.warm(1)
    for number in range(2, 8):
        bench.ask(number, f"{number} " * 100, system="", session=f"s{number}")
    before = bench.read
    ended = bench.ask(9)
    assert ended.cached_tokens >= length
    assert bench.read - before < 60


def test_where_all_places_are_wanted_it_gives_up_its_own(random_model: Path) -> None:
    bench = Bench(random_model, sequences=1)
    length = bench.warm(1)
    assert bench.ask(2).cached_tokens >= length
    assert bench.ask(3, session="other").cached_tokens >= length


def test_the_same_again_costs_a_token_and_no_second_place(random_model: Path) -> None:
    bench = Bench(random_model)
    length = bench.warm(1)
    read = bench.read
    assert bench.warm(2) == length
    assert bench.read <= read + 1
    assert sum(bool(slot.tokens) for slot in bench.engine._scheduler._pool.slots) == 1


def test_several_beginnings_share_what_they_have_in_common(random_model: Path) -> None:
    bench = Bench(random_model)
    bench.warm(1)
    read = bench.read
    bench.warm(2, SYSTEM + "Name the passage after each sentence.")
    assert bench.read - read < 60
    assert bench.ask(3).cached_tokens > len(SYSTEM) * 0.8


def test_who_does_not_want_it_any_more_gets_nothing(random_model: Path) -> None:
    bench = Bench(random_model)
    bench.engine.handle(warm(1, SYSTEM * 4))
    bench.engine.handle(warm(2))
    bench.engine.step()
    bench.engine.handle(Cancel(id=1))
    bench.engine.handle(Cancel(id=99))
    bench.run()
    assert [told.id for told in bench.told if isinstance(told, Warmed)] == [2]


def test_what_does_not_fit_is_refused_with_the_numbers_and_questions_go_on(random_model: Path) -> None:
    bench = Bench(random_model, context=256)
    bench.engine.handle(warm(1, SYSTEM * 20))
    bench.run()
    assert any(isinstance(told, Refused) and "256" in told.reason for told in bench.told)
    assert bench.ask(2, system="").completion_tokens == 12


def test_tools_belong_to_what_is_read(random_model: Path) -> None:
    bench = Bench(random_model)
    tool = Tool(name="add", description="Adds two numbers.", parameters={"type": "object"})
    bench.engine.handle(Warm(id=1, messages=(first(SYSTEM),), tools=(tool,)))
    bench.run()
    assert any(isinstance(told, Warmed) and told.tokens > 0 for told in bench.told)
