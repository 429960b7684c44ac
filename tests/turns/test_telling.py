"""What a turn says is shown as it comes, held back while it may be no text, and starts again as a whole."""

from __future__ import annotations

from agentd.turns.telling import HELD, LONGEST, Telling


class Shown:
    def __init__(self) -> None:
        self.pieces: list[tuple[int, str, bool]] = []
        self.telling = Telling(self._show)

    async def _show(self, n: int, text: str, reasoning: bool) -> None:
        self.pieces.append((n, text, reasoning))

    @property
    def text(self) -> str:
        return "".join(text for _, text, reasoning in self.pieces if not reasoning)


def rests(sentence: str) -> tuple[int, ...]:
    return (7,) if "rent" in sentence else ()


async def test_text_and_reasoning_are_shown_with_offsets_of_their_own() -> None:
    shown = Shown()
    await shown.telling.say("one ")
    await shown.telling.reason("hm")
    await shown.telling.say("two")
    assert shown.pieces == [(0, "one ", False), (0, "hm", True), (4, "two", False)]
    assert shown.telling.text == "one two"


async def test_halves_of_characters_are_joined_and_the_rest_replaced() -> None:
    shown = Shown()
    for piece in ("wolf \ud83d", "\udc3a", " \ud83d"):
        await shown.telling.say(piece)
        await shown.telling.reason(piece)
    await shown.telling.finish()
    assert shown.text == shown.telling.text == shown.telling.raw == "wolf 🐺 \ufffd"
    assert "".join(text for _, text, reasoning in shown.pieces if reasoning) == "wolf 🐺 "


async def test_what_may_be_a_call_is_held_back_until_it_is_known() -> None:
    shown = Shown()
    for piece in ("```", "json\n", '{"name": "x"}', "\n```"):
        await shown.telling.say(piece)
    assert shown.pieces == []
    await shown.telling.finish()
    assert shown.text == '```json\n{"name": "x"}\n```'
    other = Shown()
    await other.telling.say("``")
    await other.telling.say("`python\n")
    assert other.text == "```python\n"
    long = Shown()
    await long.telling.say("{" * (HELD + 1))
    assert long.text == "{" * (HELD + 1)


async def test_sources_are_marked_while_the_text_is_shown() -> None:
    shown = Shown()
    shown.telling.mark(rests)
    for piece in ("The rent", " is due. It", " rains."):
        await shown.telling.say(piece)
    await shown.telling.finish()
    assert shown.text == shown.telling.text == "The rent is due. [1] It rains."
    assert shown.telling.raw == "The rent is due. It rains."
    assert shown.telling.used == (7,)


async def test_what_comes_after_a_tool_stands_apart() -> None:
    shown = Shown()
    await shown.telling.say("Let me see.")
    shown.telling.next_round()
    assert shown.telling.raw == ""
    await shown.telling.say("It is 42.")
    assert shown.telling.text == shown.text == "Let me see.\n\nIt is 42."


async def test_a_start_anew_shows_again_what_stays() -> None:
    shown = Shown()
    await shown.telling.say("Kept.")
    shown.telling.next_round()
    await shown.telling.say("Void.")
    await shown.telling.restart()
    assert shown.pieces[-1] == (0, "Kept.", False) or shown.pieces[-1] == (0, "Kept.\n\n", False)
    await shown.telling.restart(everything=True)
    await shown.telling.say("New.")
    assert shown.telling.text == "New." and shown.pieces[-1] == (0, "New.", False)


async def test_circles_end_an_answer_and_only_what_came_before_them_counts() -> None:
    shown = Shown()
    shown.telling.mark(rests)
    assert await shown.telling.say("Pay the rent. ")
    went_on = [await shown.telling.say("He said it and she said it. ") for _ in range(8)]
    assert not went_on[-1] and shown.telling.in_circles
    shown.telling.cut_circle()
    await shown.telling.finish()
    assert shown.telling.text == "Pay the rent. [1] He said it and she said it."


async def test_something_of_our_own_is_put_behind() -> None:
    shown = Shown()
    await shown.telling.say("Forbes.")
    await shown.telling.add("\n\n> A quote. [1]")
    assert shown.telling.text == shown.text == "Forbes.\n\n> A quote. [1]"


async def test_an_answer_and_its_reasoning_end_where_no_client_could_read_more() -> None:
    shown = Shown()
    await shown.telling.reason("h" * LONGEST + "more")
    await shown.telling.reason("more")
    numbers = " ".join(map(str, range(LONGEST)))[: LONGEST - 1]
    assert await shown.telling.say(numbers)
    assert not shown.telling.too_long
    assert not await shown.telling.say("yz")
    assert shown.telling.too_long
    assert not await shown.telling.say("more")
    await shown.telling.finish()
    assert shown.telling.text == shown.text == numbers + "y"
    assert sum(len(text) for _, text, reasoning in shown.pieces if reasoning) == LONGEST
    await shown.telling.restart(everything=True)
    assert await shown.telling.say("again") and not shown.telling.too_long


async def test_escape_sequences_are_removed_wherever_the_model_cuts_them() -> None:
    shown = Shown()
    for piece in ("one \x1b", "[31mtwo\x1b]0;", "never closed", "\nthree \ud83d", "\ude00\ud83d"):
        await shown.telling.say(piece)
    for piece in ("hm \x1b", "[2J", "\x07"):
        await shown.telling.reason(piece)
    await shown.telling.finish()
    assert shown.text == shown.telling.text == shown.telling.raw == "one two\nthree 😀\ufffd"
    assert [piece for piece in shown.pieces if piece[2]] == [(0, "hm ", True)]
