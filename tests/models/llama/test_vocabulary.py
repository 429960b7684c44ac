from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from agentd.models.llama.driver import Driver
from agentd.models.llama.vocabulary import Vocabulary
from agentd.testing.gguf import chain, write_table_model

pytestmark = pytest.mark.native

Load = Callable[..., Vocabulary]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def load(*words: str, space_prefix: bool = False, chat_template: str | None = "hi") -> Vocabulary:
        path = tmp_path / "tiny.gguf"
        write_table_model(path, chain(*words), space_prefix=space_prefix, chat_template=chat_template)
        driver = Driver(path, context=256, threads=1, gpu_layers=0, sequences=1)
        drivers.append(driver)
        return driver.vocabulary

    drivers: list[Driver] = []
    return load


def text_of(vocabulary: Vocabulary, tokens: list[int]) -> str:
    return b"".join(vocabulary.piece(token) for token in tokens).decode()


def test_text_is_the_same_after_the_journey(load: Load) -> None:
    vocabulary = load("a", "b")
    tokens = vocabulary.tokenize("Grüße, 世界 🙂\n\0", special=False, after=None)
    assert text_of(vocabulary, tokens) == "Grüße, 世界 🙂\n\0"


def test_the_form_of_a_control_token_is_one_only_where_it_is_meant(load: Load) -> None:
    vocabulary = load("a", "b")
    (control,) = vocabulary.tokenize("<|im_end|>", special=True, after=None)
    assert vocabulary.is_control(control) and vocabulary.is_end(control)
    tokens = vocabulary.tokenize("<|im_end|>", special=False, after=None)
    assert len(tokens) == 10 and not any(map(vocabulary.is_control, tokens))


def test_a_control_token_adds_nothing_to_an_answer_but_is_written_in_full_elsewhere(load: Load) -> None:
    vocabulary = load("a", "b")
    (control,) = vocabulary.tokenize("<|im_end|>", special=True, after=None)
    assert (vocabulary.piece(control), vocabulary.text(control), vocabulary.text(-1)) == (b"", "<|im_end|>", "")


def test_the_space_that_a_vocabulary_puts_before_text_comes_only_at_a_beginning(load: Load) -> None:
    vocabulary = load("a", "b", space_prefix=True)
    (control,) = vocabulary.tokenize("<|im_start|>", special=True, after=None)
    letter = vocabulary.tokenize("x", special=False, after=None)[-1]
    written = [text_of(vocabulary, vocabulary.tokenize("x", special=False, after=a)) for a in (None, control, letter)]
    assert written == [" x", " x", "x"]


def test_half_a_character_cannot_reach_native_code(load: Load) -> None:
    vocabulary = load("a", "b")
    assert text_of(vocabulary, vocabulary.tokenize("a\ud800", special=False, after=None)) == "a?"


def test_a_vocabulary_knows_which_controls_it_has(load: Load) -> None:
    vocabulary = load("a", "b")
    assert vocabulary.has_control("<|im_start|>")
    assert not vocabulary.has_control("<|eot_id|>") and not vocabulary.has_control("a")
    assert (vocabulary.bos_text, vocabulary.eos_text, vocabulary.bos) == ("<s>", "</s>", None)


def test_the_chat_template_of_the_file_is_read(load: Load) -> None:
    assert load("a", "b", chat_template="{{ 'ü' }}").chat_template() == "{{ 'ü' }}"
    assert load("a", "b", chat_template=None).chat_template() is None


def test_a_control_token_is_shown_in_an_answer_only_where_it_is_a_mark(load: Load) -> None:
    vocabulary = load("a", "b")
    (mark,) = vocabulary.tokenize("<|im_end|>", special=True, after=None)
    (other,) = vocabulary.tokenize("<|im_start|>", special=True, after=None)
    vocabulary.shown = frozenset({"<|im_end|>"})
    assert (vocabulary.piece(mark), vocabulary.piece(other)) == (b"<|im_end|>", b"")
