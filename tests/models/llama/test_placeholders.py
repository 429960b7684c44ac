from __future__ import annotations

from agentd.models.llama.placeholders import Placeholders
from agentd.models.llama.wire import ChatMessage, Piece


def untrusted(text: str) -> Piece:
    return Piece(text=text, trusted=False)


def test_untrusted_text_leaves_and_comes_back_as_a_piece_of_its_own() -> None:
    placeholders = Placeholders()
    content = placeholders.content(
        ChatMessage(role="user", pieces=(Piece(text="Q: ", trusted=True), untrusted(" a<b> ")))
    )
    assert "a<b>" not in content
    assert placeholders.pieces(f"[{content}]") == (
        Piece(text="[Q:  ", trusted=True),
        untrusted("a<b>"),
        Piece(text=" ]", trusted=True),
    )


def test_it_knows_what_came_back_and_what_was_of_the_newest_message() -> None:
    placeholders = Placeholders()
    first = placeholders.content(ChatMessage(role="user", pieces=(untrusted("a"),)))
    placeholders.content(ChatMessage(role="user", pieces=(untrusted("b"), untrusted("c"))))
    placeholders.pieces(first)
    assert placeholders.seen == {0} and placeholders.of_newest == {1, 2}


def test_values_keep_their_form_and_only_strings_that_could_hold_control_tokens_are_hidden() -> None:
    placeholders = Placeholders()
    value = {"a": ["plain text, with (this)", "<|x|>", 1, None, True], "<k>": 2.5}
    hidden = placeholders.value(value)
    assert hidden["a"][0] == value["a"][0] and hidden["a"][2:] == [1, None, True]  # type: ignore[index]
    assert "<" not in str(hidden)
    (key,) = [key for key in hidden if key != "a"]
    assert placeholders.pieces(key) == (untrusted("<k>"),)


def test_within_quotes_text_is_escaped_as_json() -> None:
    placeholders = Placeholders()
    hidden = placeholders.value('<a "b"\n>')
    assert placeholders.pieces(f'{{"x": "{hidden}"}}')[1] == untrusted('<a \\"b\\"\\n>')
    assert placeholders.pieces(f"x: {hidden}")[1] == untrusted('<a "b"\n>')


def test_a_placeholder_of_another_shelf_is_only_text() -> None:
    foreign = Placeholders().value("<x>")
    assert Placeholders().pieces(foreign) == (Piece(text=foreign, trusted=True),)
