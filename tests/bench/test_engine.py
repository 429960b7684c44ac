"""The engine's benchmark in its smallest form: what its models say, what is asked, and the form of its rows."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentd.models.llama.ways import BY_NAME
from bench import engine
from bench.engine import ALONE, OURS, REAL, SERVER, Measured, Plan, Texts, chats
from bench.engine_driver import open_driver, way
from bench.engine_models import CHATML, Shape, words, write_quoting_model, write_random_model
from bench.engine_overhead import per_token
from bench.engine_peers import flags, one_after_another, ours

pytestmark = pytest.mark.native

TINY = Shape(layers=1, width=128, feed_forward=128, heads=2, kv_heads=1, vocabulary=20_000)
PLAN = Plan(chats=(1, 16), rounds=1, shape=TINY, quote=40)


@pytest.fixture(scope="module")
def random_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "random.gguf"
    write_random_model(path, TINY)
    return path


def test_every_word_is_one_token_and_so_is_each_mark_of_the_template(random_model: Path) -> None:
    vocabulary = open_driver(random_model, context=256, threads=1, sequences=1).vocabulary
    assert vocabulary.size == TINY.vocabulary
    some = words(500)
    tokens = vocabulary.tokenize("".join(some), special=False, after=1)
    assert [vocabulary.piece(token).decode() for token in tokens] == some
    assert len(vocabulary.tokenize("<|im_start|>", special=True, after=1)) == 1
    assert vocabulary.chat_template() == CHATML


async def test_a_random_model_says_as_many_words_as_it_is_asked_for(random_model: Path) -> None:
    asked = chats(Texts(0), 3, shared=True)
    assert len({chat.lines[0] for chat in asked}) == 1 and len({chat.lines[1] for chat in asked}) == 3
    async with ours(random_model, threads=1) as ask:
        speed, first = await engine.together(ask, asked)
        assert speed > 0 and first > 0
        assert await engine.second_turn(ask, Texts(1)) > 0
        assert 0 < await engine.freeze(ask, Texts(2)) < 60


async def test_the_high_level_llama_says_as_many(random_model: Path) -> None:
    async with one_after_another(random_model, threads=1) as ask:
        speed, first = await engine.together(ask, chats(Texts(0), 2, shared=True))
    assert speed > 0 and 0 < first < 60


@pytest.mark.parametrize("guess", [False, True])
async def test_a_quoting_model_says_its_circle(tmp_path: Path, guess: bool) -> None:
    write_quoting_model(tmp_path / "quoting.gguf", TINY, words(PLAN.quote))
    async with ours(tmp_path / "quoting.gguf", threads=1, guess=guess) as ask:
        said = await engine.quote(ask, PLAN)
    assert said.text == "".join(words(PLAN.quote // 2))


def test_what_python_adds_is_counted_for_child_and_daemon(random_model: Path) -> None:
    child, daemon = per_token(random_model, chats=4, tokens=20)
    assert 0 < child < 5000 and 0 < daemon < 5000


def test_llama_server_computes_in_the_way_that_ours_found_to_work(random_model: Path) -> None:
    assert way(random_model) in BY_NAME.values()
    assert flags(BY_NAME["flash+repack"]) == ()
    assert flags(BY_NAME["repack"]) == ("--flash-attn", "off")
    assert flags(BY_NAME["plain"]) == ("--no-repack", "--flash-attn", "off")


def test_texts_of_one_round_are_not_those_of_another() -> None:
    assert Texts(0).some(20) == Texts(0).some(20) != Texts(1).some(20)


def test_the_judged_rows_are_there_under_their_names() -> None:
    found = Measured()
    for name in ("no_prefix_tps_1", "no_prefix_tps_16", "second_turn_ttft"):
        for who, value in ((OURS, 2.0), (SERVER, 1.0)):
            found.add(name, who, value)
    for name in ("shared_prefix_tps_16", "shared_prefix_ttft_16"):
        for who in (OURS, SERVER, ALONE):
            found.add(name, who, 1.0 if who == OURS else 2.0)
    for who, value in ((OURS, 0.5), (SERVER, 2.0)):
        found.add("freeze_s", who, value)
    for who, value in (("guesses", 3.0), ("no guesses", 2.0)):
        found.add("quoting_tps", who, value)
    rows = engine.rows(PLAN, found)
    judged = {row.name: row.ratio for row in rows if row.peer}
    assert judged == {
        "shared_prefix_tps_16": 0.5,
        "no_prefix_tps_1": 2.0,
        "no_prefix_tps_16": 2.0,
        "shared_prefix_ttft_16": 2.0,
        "second_turn_ttft": 0.5,
        "quoting_tps": 1.5,
    }
    assert len(engine.panels(PLAN, rows)) == 4


def test_a_real_model_has_rows_of_its_own_beside_the_same_peer() -> None:
    found = Measured()
    for mark, better in (("", 2.0), (REAL, 3.0)):
        for name in ("no_prefix_tps_1", "no_prefix_tps_16", "second_turn_ttft", "freeze_s"):
            for who, value in ((OURS, better), (SERVER, 1.0)):
                found.add(f"{name}{mark}", who, value)
        for name in ("shared_prefix_tps_16", "shared_prefix_ttft_16"):
            for who, value in ((OURS, better), (SERVER, 1.0), (ALONE, 1.0)):
                found.add(f"{name}{mark}", who, value)
    for who in ("guesses", "no guesses"):
        found.add("quoting_tps", who, 1.0)
    rows = engine.rows(PLAN, found)
    judged = {row.name: row.ratio for row in rows if row.peer and row.name.endswith(REAL)}
    assert judged == {
        "shared_prefix_tps_16_real": 3.0,
        "no_prefix_tps_1_real": 3.0,
        "no_prefix_tps_16_real": 3.0,
        "shared_prefix_ttft_16_real": pytest.approx(1 / 3),
        "second_turn_ttft_real": pytest.approx(1 / 3),
    }
    both, *_ = engine.panels(PLAN, rows)
    assert both.series[OURS] == [2.0, 3.0] and len(both.groups) == 2


def test_a_real_model_is_asked_for_more_than_it_may_say() -> None:
    (chat,) = chats(Texts(0, real=True), 1, shared=False)
    assert chat.may_end and chat.lines[1][1].endswith("occur.")
    assert not chats(Texts(0), 1, shared=False)[0].may_end
