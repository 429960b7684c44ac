from __future__ import annotations

import itertools
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agentd.models.llama.driver import Driver
from agentd.models.llama.engine import Engine
from agentd.models.llama.kept import Kept
from agentd.models.llama.settings import EngineSettings
from agentd.models.llama.template import Template
from agentd.models.llama.wire import (
    Cancel,
    ChatMessage,
    Choice,
    Count,
    Counted,
    Ended,
    FromChild,
    Generate,
    Paced,
    Piece,
    Queued,
    Refused,
    Said,
    Started,
)
from agentd.testing.gguf import CHATML, chain, write_random_model, write_recurrent_model, write_table_model

pytestmark = pytest.mark.native

GREEDY = Choice(temperature=0, top_k=0, top_p=1, min_p=0, repeat_penalty=1, seed=0)
SYSTEM = "You answer briefly. " * 8


class Bench:
    """An engine and the messages that it sent."""

    def __init__(
        self,
        path: Path,
        *,
        sequences: int = 16,
        context: int = 8192,
        spill_bytes: int = 0,
        guess: bool = True,
        clock: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self.told: list[FromChild] = []
        self.driver = Driver(path, context=context, threads=1, gpu_layers=0, sequences=sequences)
        template = Template(self.driver.vocabulary.chat_template())
        settings = EngineSettings(sequences=sequences, spill_bytes=spill_bytes, guess=guess)
        self.engine = Engine(self.driver, template, settings, Kept(), send=self.told.append, clock=clock)
        self.steps = 0

    def run(self, most: int = 10_000) -> None:
        for _ in range(most):
            if not self.engine.busy:
                return
            self.engine.step()
            self.steps += 1
        raise AssertionError("the engine does not come to an end")

    def text(self, number: int) -> str:
        items = [item for told in self.told if isinstance(told, Said) for item in told.items]
        return "".join(text for request, _, text in items if request == number)

    def ends(self) -> dict[int, Ended]:
        return {told.id: told for told in self.told if isinstance(told, Ended)}


def ask(
    number: int,
    text: str,
    *,
    system: str = SYSTEM,
    session: str = "",
    max_tokens: int = 40,
    choice: Choice = GREEDY,
    schema: dict[str, Any] | None = None,
) -> Generate:
    first = [ChatMessage(role="system", pieces=(Piece(text=system, trusted=True),))] if system else []
    return Generate(
        id=number,
        session=session or str(number),
        messages=(*first, ChatMessage(role="user", pieces=(Piece(text=text, trusted=False),))),
        choice=choice,
        max_tokens=max_tokens,
        stop=(),
        priority="interactive",
        answer_schema=schema,
    )


@pytest.fixture(scope="module")
def random_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "random.gguf"
    write_random_model(path)
    return path


Alone = Callable[[Generate], str]


@pytest.fixture(scope="module")
def alone(random_model: Path) -> Alone:
    """What the model answers to a request that runs alone."""
    bench = Bench(random_model, sequences=1)

    def answer(request: Generate) -> str:
        bench.driver.clear(0)
        bench.engine._scheduler.forget(0)
        bench.told.clear()
        bench.engine.handle(request)
        bench.run()
        return bench.text(request.id)

    return answer


@pytest.mark.parametrize("count", [1, 2, 8, 16])
@pytest.mark.parametrize("seed", [0, 1])
def test_together_is_the_same_as_alone_token_for_token(random_model: Path, alone: Alone, count: int, seed: int) -> None:
    chance = random.Random(seed)
    bench = Bench(random_model, sequences=count)
    requests = [
        ask(i, f"Question {chance.randrange(5)}" * chance.randrange(1, 12), max_tokens=chance.randrange(5, 60))
        for i in range(count * 2)
    ]
    cancelled: set[int] = set()
    for request in requests:
        bench.engine.handle(request)
        for _ in range(chance.randrange(8)):
            bench.engine.step()
        if chance.random() < 0.3:
            victim = chance.choice(requests[: request.id + 1]).id
            if victim not in bench.ends():
                cancelled.add(victim)
            bench.engine.handle(Cancel(id=victim))
    bench.run()
    assert set(bench.ends()) == {request.id for request in requests} - cancelled
    for request in requests:
        text, expected = bench.text(request.id), alone(request)
        assert text == expected if request.id not in cancelled else expected.startswith(text)


def test_a_cache_that_is_too_small_for_all_changes_no_answer(random_model: Path, alone: Alone) -> None:
    bench = Bench(random_model, sequences=4, context=512)
    requests = [ask(i, f"Question {i} " * 6, system="", max_tokens=150) for i in range(6)]
    for request in requests:
        bench.engine.handle(request)
    bench.run()
    assert [bench.text(request.id) for request in requests] == [alone(request) for request in requests]
    assert {ended.completion_tokens for ended in bench.ends().values()} == {150}
    starts = [told.id for told in bench.told if isinstance(told, Started)]
    assert len(starts) > len(requests), "the cache was never full"


def test_the_next_question_of_a_session_reads_only_what_is_new(random_model: Path) -> None:
    bench = Bench(random_model)
    bench.engine.handle(ask(1, "One", session="s"))
    bench.run()
    bench.engine.handle(ask(2, "One more", session="s"))
    bench.run()
    first, second = bench.ends()[1], bench.ends()[2]
    assert first.cached_tokens == 0
    assert second.cached_tokens > second.prompt_tokens * 0.8


def test_what_a_request_took_is_told_and_learned_from_if_it_ran_alone(random_model: Path) -> None:
    ticks = itertools.count(step=0.125)
    bench = Bench(random_model, clock=lambda: next(ticks))
    bench.engine.handle(ask(1, "x" * 1000, max_tokens=20))
    bench.run()
    ended = bench.ends()[1]
    assert ended.read_seconds > 0 and ended.write_seconds > ended.read_seconds
    (paced,) = [told for told in bench.told if isinstance(told, Paced)]
    assert paced.read_tps == pytest.approx(ended.prompt_tokens / ended.read_seconds)
    assert paced.write_tps == pytest.approx(19 / ended.write_seconds)
    for number in (2, 3):
        bench.engine.handle(ask(number, f"{number}" * 1000, max_tokens=20))
    bench.run()
    assert sum(isinstance(told, Paced) for told in bench.told) == 1


def test_newcomers_share_the_beginning_that_another_is_decoding(random_model: Path) -> None:
    bench = Bench(random_model)
    for number in (1, 2, 3):
        bench.engine.handle(ask(number, "Why?" + "?" * number, system=SYSTEM * 4))
    bench.run()
    cached = [bench.ends()[number].cached_tokens for number in (1, 2, 3)]
    assert cached[0] == 0 and min(cached[1:]) > len(SYSTEM * 4)


def test_who_waits_is_told_where_and_again_when_it_moves_up(random_model: Path) -> None:
    bench = Bench(random_model, sequences=1)
    for number in (1, 2, 3):
        bench.engine.handle(ask(number, f"{number} Why?", system="", max_tokens=3))
    bench.run()
    moves = [told for told in bench.told if isinstance(told, Queued | Started | Ended)]
    assert [(type(m).__name__, m.id, getattr(m, "position", 0)) for m in moves] == [
        ("Queued", 2, 1),
        ("Queued", 3, 2),
        ("Started", 1, 0),
        ("Ended", 1, 0),
        ("Queued", 3, 1),
        ("Started", 2, 0),
        ("Ended", 2, 0),
        ("Started", 3, 0),
        ("Ended", 3, 0),
    ]


def test_who_has_a_place_and_waits_for_the_prompts_of_others_is_told_so_until_its_own_is_read(
    random_model: Path,
) -> None:
    bench = Bench(random_model, sequences=2)
    bench.engine.handle(ask(1, "x" * 1200, system="", max_tokens=1))
    bench.engine.handle(ask(2, "y" * 1200, system="", max_tokens=1))
    bench.run()
    starts = [(told.id, told.reading) for told in bench.told if isinstance(told, Started)]
    assert starts == [(1, True), (2, False), (2, True)]


def test_a_cancelled_request_says_nothing_more_and_frees_its_place(random_model: Path) -> None:
    bench = Bench(random_model, sequences=1)
    bench.engine.handle(ask(1, "x" * 3000, max_tokens=1000))
    bench.engine.handle(ask(2, "Why?", max_tokens=2))
    bench.engine.step()
    bench.engine.handle(Cancel(id=1))
    bench.engine.handle(Cancel(id=99))
    bench.run()
    assert bench.text(1) == "" and set(bench.ends()) == {2}


def test_what_a_cancelled_request_had_said_is_not_told_later(random_model: Path) -> None:
    bench = Bench(random_model)
    bench.engine.handle(ask(1, "Why?", max_tokens=100))
    bench.engine.handle(ask(2, "How?", max_tokens=20))
    for _ in range(10):
        bench.engine.step()
    before = bench.text(1)
    bench.engine.handle(Cancel(id=1))
    bench.run()
    assert bench.text(1) == before and bench.ends()[2].completion_tokens == 20


def test_text_is_told_together_but_never_later_than_it_would_be_seen(random_model: Path) -> None:
    """Steps take 6 ms, so two of them make one message. Before a prompt, which takes longer, everything is sent."""
    bench = Bench(random_model)
    ticks = iter(range(1_000_000))
    settings = EngineSettings(sequences=4, spill_bytes=0, guess=False)
    engine = Engine(
        bench.driver, Template(CHATML), settings, Kept(), send=bench.told.append, clock=lambda: next(ticks) * 0.002
    )
    engine.handle(ask(1, "Why?", max_tokens=40))
    while engine.busy:
        engine.step()
    sizes = [len(told.items) for told in bench.told if isinstance(told, Said)]
    assert sizes == [1, *[2] * 19, 1]
    engine.handle(ask(2, "Why?", max_tokens=40))
    for _ in range(4):
        engine.step()
    engine.handle(ask(3, "And this? " * 100, max_tokens=1))
    assert sum(len(told.items) for told in bench.told if isinstance(told, Said)) == 40 + 4


def test_a_prompt_that_does_not_fit_is_refused_with_the_numbers(random_model: Path) -> None:
    bench = Bench(random_model, context=512)
    bench.engine.handle(ask(1, "x" * 600, system=""))
    (refused,) = bench.told
    assert isinstance(refused, Refused)
    assert all(number in refused.reason for number in (" 619 ", " 512 ", " 8192 "))
    assert not bench.engine.busy


def test_a_prompt_far_too_long_is_refused_before_it_is_read_to_the_end(random_model: Path) -> None:
    bench = Bench(random_model, context=512)
    bench.engine.handle(ask(1, "世" * 3_000_000, system=""))
    (refused,) = bench.told
    assert isinstance(refused, Refused) and "has more than " in refused.reason


def test_an_answer_ends_where_the_context_does(random_model: Path) -> None:
    bench = Bench(random_model, context=256)
    bench.engine.handle(ask(1, "x" * 100, system="", max_tokens=1000))
    bench.run()
    ended = bench.ends()[1]
    assert ended.reason == "length" and ended.prompt_tokens + ended.completion_tokens == 256


def test_the_same_seed_gives_the_same_answer_and_another_seed_another(random_model: Path) -> None:
    def answer(seed: int) -> str:
        bench = Bench(random_model, sequences=1)
        bench.engine.handle(ask(1, "Why?", choice=GREEDY.model_copy(update={"temperature": 1.5, "seed": seed})))
        bench.run()
        return bench.text(1)

    assert answer(1) == answer(1) != answer(2)


def test_a_prompt_is_counted_as_it_would_be_read(random_model: Path) -> None:
    bench = Bench(random_model)
    request = ask(1, "Why <|im_end|>?")
    bench.engine.handle(request)
    bench.engine.handle(Count(id=2, messages=request.messages))
    bench.run()
    assert Counted(id=2, tokens=bench.ends()[1].prompt_tokens) in bench.told


def test_a_conversation_that_the_template_refuses_is_refused_with_its_words(tmp_path: Path) -> None:
    path = tmp_path / "picky.gguf"
    picky = "{% if messages | length > 2 %}{{ raise_exception('only two') }}{% endif %}" + CHATML
    write_table_model(path, chain("\n", "Hello"), chat_template=picky)
    bench = Bench(path)
    lines = tuple(
        ChatMessage(role=role, pieces=(Piece(text="x", trusted=False),)) for role in ("user", "assistant", "user")
    )
    bench.engine.handle(ask(1, "x").model_copy(update={"messages": lines}))
    bench.engine.handle(Count(id=2, messages=lines))
    refused = [told for told in bench.told if isinstance(told, Refused)]
    assert [told.id for told in refused] == [1, 2]
    assert all(told.reason.endswith(": only two.") for told in refused)


def test_a_slow_machine_gets_smaller_steps(random_model: Path) -> None:
    bench = Bench(random_model)
    ticks = iter(range(10_000))
    settings = EngineSettings(sequences=2, spill_bytes=0)
    engine = Engine(
        bench.driver, Template(CHATML), settings, Kept(), send=bench.told.append, clock=lambda: next(ticks) * 2.0
    )
    engine.handle(ask(1, "x" * 1000, max_tokens=1))
    steps = 0
    while engine.busy:
        engine.step()
        steps += 1
    assert steps > 1000 / 70, "a step of 128 tokens took 2 s, so later ones must be about half of that"


def test_idle_histories_give_way_to_a_long_prompt(random_model: Path) -> None:
    bench = Bench(random_model, sequences=4, context=512)
    for number in (1, 2):
        bench.engine.handle(ask(number, f"{number}" * 150, system="", max_tokens=5))
        bench.run()
    bench.engine.handle(ask(3, "x" * 450, system="", max_tokens=5))
    bench.run()
    assert bench.ends()[3].completion_tokens == 5


PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 12},
        "age": {"type": "integer"},
        "likes": {"type": "array", "items": {"enum": ["tea", "cats"]}, "maxItems": 3},
    },
    "required": ["name", "likes"],
    "additionalProperties": False,
}


def test_an_answer_fits_its_schema_whatever_the_model_wants_to_say(random_model: Path) -> None:
    bench = Bench(random_model)
    for number in range(12):
        choice = GREEDY.model_copy(update={"temperature": 1.5, "seed": number})
        bench.engine.handle(ask(number, "Who?", choice=choice, schema=PERSON, max_tokens=1000))
    bench.engine.handle(ask(99, "Who?"))
    bench.run()
    for number in range(12):
        found = json.loads(bench.text(number))
        assert {"name", "likes"} <= found.keys() <= {"name", "age", "likes"}
        assert isinstance(found["name"], str) and isinstance(found.get("age", 0), int)
        assert len(found["likes"]) <= 3 and set(found["likes"]) <= {"tea", "cats"}
        assert bench.ends()[number].reason == "stop"
    assert bench.text(99).startswith("w"), "who asks without a schema is not bound by one"


def test_what_is_thought_first_is_not_bound_by_the_schema(tmp_path: Path) -> None:
    follows = {**chain(">", "hm", "</think>", "Yes"), '"': "Yes", "Yes": '"'}
    write_table_model(tmp_path / "thinker.gguf", follows, chat_template=CHATML + "<think>")
    bench = Bench(tmp_path / "thinker.gguf")
    bench.engine.handle(ask(1, "Well?", schema={"enum": ["Yes", "No"]}))
    bench.run()
    items = [item for told in bench.told if isinstance(told, Said) for item in told.items]
    assert "".join(text for _, reasoning, text in items if reasoning) == "hm"
    assert "".join(text for _, reasoning, text in items if not reasoning) == '"Yes"'


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"enum": []}, "llama.cpp does not"),
        ({"const": "\ue000" * 30}, "within 5 tokens"),
    ],
)
def test_a_schema_that_cannot_be_met_is_refused_and_the_others_go_on(
    random_model: Path, schema: dict[str, Any], words: str
) -> None:
    bench = Bench(random_model)
    bench.engine.handle(ask(1, "Why?", schema=schema, max_tokens=5))
    bench.engine.handle(ask(2, "Why?"))
    bench.run()
    (refused,) = [told for told in bench.told if isinstance(told, Refused)]
    assert refused.id == 1 and words in refused.reason
    assert bench.ends()[2].completion_tokens == 40


# --- Guessing --------------------------------------------------------------------------------------------------------

CIRCLE = [f" word{i}" for i in range(40)]


@pytest.fixture(scope="module")
def quoter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that repeats a circle of words, which is in the prompt."""
    path = tmp_path_factory.mktemp("models") / "quoter.gguf"
    write_table_model(path, {**chain("\n", *CIRCLE), CIRCLE[-1]: CIRCLE[0]})
    return path


def test_an_answer_that_quotes_is_the_same_with_guesses_and_takes_far_fewer_steps(quoter: Path) -> None:
    answers, steps = set(), []
    for guess in (False, True):
        bench = Bench(quoter, guess=guess)
        bench.engine.handle(ask(1, "".join(CIRCLE), max_tokens=300))
        bench.run()
        answers.add((bench.text(1), bench.ends()[1].completion_tokens))
        steps.append(bench.steps)
    ended = bench.ends()[1]
    assert answers == {(("".join(CIRCLE) * 8)[1:][: len(next(iter(answers))[0])], 300)}
    assert steps[1] < steps[0] / 4
    assert ended.guessed_tokens > 200 and ended.wrong_tokens == 0


@pytest.mark.parametrize("guess", [False, True])
def test_what_ends_in_the_middle_of_a_guess_ends_there(quoter: Path, guess: bool) -> None:
    bench = Bench(quoter, guess=guess)
    quote = ask(1, "".join(CIRCLE), max_tokens=333, session="s")
    bench.engine.handle(quote.model_copy(update={"stop": (" word30 word31",)}))
    bench.run()
    assert bench.text(1) == "".join(CIRCLE[:30])[1:]
    bench.engine.handle(ask(2, "".join(CIRCLE), max_tokens=50, session="s"))
    bench.run()
    assert bench.text(2) == ("".join(CIRCLE) * 2)[1:][: len(bench.text(2))]


def test_guesses_do_not_change_what_chance_decides(quoter: Path, tmp_path: Path) -> None:
    """The circle has forks: the answer leaves its source again and again, with the same seed at the same positions."""
    forks = {word: {CIRCLE[(i + 1) % 40]: 0.9, CIRCLE[(i + 20) % 40]: 0.1} for i, word in enumerate(CIRCLE)}
    write_table_model(tmp_path / "forks.gguf", {"\n": CIRCLE[0], **forks})
    said, wrong = set(), []
    for guess in (False, True):
        bench = Bench(tmp_path / "forks.gguf", guess=guess)
        for number in range(4):
            choice = GREEDY.model_copy(update={"temperature": 1.0, "seed": number})
            bench.engine.handle(ask(number, "".join(CIRCLE), max_tokens=400, choice=choice))
        bench.run()
        said.add(tuple(bench.text(number) for number in range(4)))
        wrong = [(ended.wrong_tokens, ended.guessed_tokens) for ended in bench.ends().values()]
    assert len(said) == 1 and all(0 < count < guessed for count, guessed in wrong)


def test_few_guesses_are_wrong_or_far_more_are_right(random_model: Path) -> None:
    bench = Bench(random_model)
    for number in range(4):
        choice = GREEDY.model_copy(update={"temperature": 1.0, "seed": number})
        bench.engine.handle(ask(number, "What now? " * 20, max_tokens=500, choice=choice))
    bench.run()
    for ended in bench.ends().values():
        right = ended.guessed_tokens - ended.wrong_tokens
        assert ended.wrong_tokens <= max(0.05 * ended.completion_tokens, right / 2)


def test_guesses_give_way_where_the_cache_is_full(quoter: Path) -> None:
    bench = Bench(quoter, sequences=1, context=256)
    bench.engine.handle(ask(1, " word0 word1 word2", system="", max_tokens=1000))
    bench.run()
    ended = bench.ends()[1]
    assert ended.prompt_tokens + ended.completion_tokens == 256


# --- Out of the cache and back ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_sessions_that_leave_the_cache_and_come_back_say_what_they_say_alone(
    random_model: Path, alone: Alone, seed: int
) -> None:
    chance = random.Random(seed)
    bench = Bench(random_model, sequences=2, context=1024, spill_bytes=1 << 22)
    number = 0
    histories = {name: f"{name} begins. " * 10 for name in ("one", "two", "three", "four", "five")}
    for _ in range(5):
        asked = []
        for name in chance.sample(sorted(histories), 3):
            number += 1
            histories[name] += f"And {chance.randrange(100)}? "
            asked.append(ask(number, histories[name], session=name, max_tokens=chance.randrange(5, 25)))
            bench.engine.handle(asked[-1])
            if chance.random() < 0.2:
                bench.engine.handle(Cancel(id=asked.pop().id))
        bench.run()
        for request in asked:
            assert bench.text(request.id) == alone(request)
    cached = [ended.cached_tokens for ended in bench.ends().values()]
    assert sum(count > 200 for count in cached) > len(cached) / 3, "little came back"


def test_a_recurrent_model_reads_again_only_what_is_new(tmp_path: Path) -> None:
    write_recurrent_model(tmp_path / "recurrent.gguf")
    bench = Bench(tmp_path / "recurrent.gguf", sequences=2, spill_bytes=1 << 24)
    histories = {name: f"{name} asks " * 30 for name in ("one", "two", "three")}
    for number, name in enumerate(["one", "two", "three", "one", "two"]):
        request = ask(number, histories[name], session=name, max_tokens=10)
        bench.engine.handle(request)
        bench.run()
        fresh = Bench(tmp_path / "recurrent.gguf", sequences=1)
        fresh.engine.handle(request)
        fresh.run()
        assert bench.text(number) == fresh.text(number)
        histories[name] += "and more "
    cached = [bench.ends()[number].cached_tokens for number in range(5)]
    assert cached[0] == 0
    assert cached[1] > len(SYSTEM) and cached[2] > len(SYSTEM), "the system message is read once"
    assert cached[3] > bench.ends()[0].prompt_tokens - 60, "and so is each history"


def test_what_people_wait_for_does_not_wait_for_background_work(random_model: Path, alone: Alone) -> None:
    bench = Bench(random_model, sequences=1, spill_bytes=1 << 22)
    summary = ask(1, "Summarise. " * 30, max_tokens=60).model_copy(update={"priority": "background"})
    bench.engine.handle(summary)
    for _ in range(10):
        bench.engine.step()
    bench.engine.handle(ask(2, "Now!", max_tokens=5))
    bench.run()
    ends = [told.id for told in bench.told if isinstance(told, Ended)]
    assert ends == [2, 1]
    assert Queued(id=1, position=1) in bench.told
    assert bench.text(1) == alone(summary)
