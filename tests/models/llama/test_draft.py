from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from agentd.models.llama.draft import LEAST, MOST, SEED, STRIDE, SURE, Drafter


def say(drafter: Drafter, tokens: list[int], answer: Sequence[int], *, most: int = 64) -> int:
    """Let the model say the answer, and count the batches that this takes."""
    at = batches = 0
    while at < len(answer):
        batches += 1
        guess = list(drafter.guess(most))
        right = 0
        for guessed in (*guess, None):
            if at == len(answer):
                break
            tokens.append(answer[at])
            drafter.added()
            at += 1
            if guessed != answer[at - 1]:
                break
            right += 1
        if guess:
            drafter.judged(len(guess), right)
    return batches


def prompt(length: int, seed: int = 0) -> list[int]:
    return [random.Random(seed).randrange(50_000) for _ in range(1)] + random.Random(seed).sample(range(50_000), length)


def test_a_quote_takes_far_fewer_batches_than_tokens() -> None:
    tokens = prompt(400)
    quote = tokens[100:300]
    drafter = Drafter(tokens)
    assert say(drafter, tokens, quote) < SURE + 10
    assert drafter.wrong <= MOST


def test_nothing_is_guessed_before_a_source_was_followed_for_a_while() -> None:
    tokens = prompt(400)
    quote = tokens[100 : 100 + SURE - 1]
    drafter = Drafter(tokens)
    for token in quote:
        assert not drafter.guess(64)
        tokens.append(token)
        drafter.added()
    tokens.append(tokens[100 + SURE - 1])
    drafter.added()
    assert drafter.guess(64) == tokens[100 + SURE : 100 + SURE + LEAST - 1]


def test_an_answer_that_repeats_itself_is_guessed_beyond_its_end() -> None:
    tokens = prompt(20)
    drafter = Drafter(tokens)
    assert say(drafter, tokens, [1, 2, 3, 4] * 100) < 100
    assert drafter.guess(7) == ([1, 2, 3, 4] * 2)[:7]


def test_no_more_is_guessed_than_there_is_room_for_and_with_the_certain_token_it_is_whole_strides() -> None:
    tokens = prompt(400)
    drafter = Drafter(tokens)
    say(drafter, tokens, tokens[100:164])
    assert [len(drafter.guess(most)) for most in (LEAST - 1, LEAST, 20, 1000)] == [7, 7, 19, MOST - 1]
    assert not drafter.guess(LEAST - 2) and not drafter.guess(0) and MOST % STRIDE == 0


def test_a_guess_is_no_longer_than_what_its_source_was_followed_for() -> None:
    tokens = prompt(400)
    drafter = Drafter(tokens)
    say(drafter, tokens, tokens[100:164])
    say(drafter, tokens, [60_000, *tokens[20 : 20 + SURE]], most=0)
    assert len(drafter.guess(64)) == LEAST - 1


@pytest.mark.parametrize("length", range(SEED + 2))
def test_the_shortest_prompts_do_no_harm(length: int) -> None:
    tokens = list(range(length))
    assert say(Drafter(tokens), tokens, [7, 8, 9]) == 3


@pytest.mark.parametrize("seed", range(20))
def test_where_guessing_does_not_help_few_guesses_are_wrong(seed: int) -> None:
    """An answer that begins to quote again and again, and stops each time as soon as a guess was made."""
    chance = random.Random(seed)
    tokens = prompt(1000, seed)
    source = list(tokens)
    drafter = Drafter(tokens)
    answer: list[int] = []
    while len(answer) < 1000:
        start = chance.randrange(900)
        answer += [*source[start : start + SURE + chance.randrange(3)], chance.randrange(50_000)]
    say(drafter, tokens, answer)
    assert drafter.wrong > 0, "the trap does not work"
    assert drafter.wrong < 0.05 * (len(answer) + drafter.wrong)
