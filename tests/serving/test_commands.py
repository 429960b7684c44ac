"""The registry of slash commands: what is one, what is none, and what people are told about them."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentd.errors import UsageError
from agentd.serving import commands
from agentd.serving.commands import parse, unescape


@pytest.mark.parametrize(
    ("text", "name", "argument"),
    [
        ("/help", "help", ""),
        ("/help\n", "help", ""),
        ("/HELP", "help", ""),
        ("/resume  holiday plans ", "resume", "holiday plans"),
        ("/docs add /tmp/a b.md", "docs", "add /tmp/a b.md"),
        ("/bad wrong\nand too long", "bad", "wrong\nand too long"),
    ],
)
def test_a_slash_and_a_known_word_are_a_command(text: str, name: str, argument: str) -> None:
    invocation = parse(text)
    assert invocation is not None
    assert (invocation.command.name, invocation.argument) == (name, argument)


@pytest.mark.parametrize("text", ["", "hello", "//help", "/etc/hosts is what?", "/ help", " /help", "1/2"])
def test_everything_else_is_a_message(text: str) -> None:
    assert parse(text) is None


def test_two_slashes_stand_for_one() -> None:
    assert unescape("//help") == "/help"
    assert unescape("a // b") == "a // b"


def test_an_unknown_command_is_answered_with_the_nearest_one() -> None:
    with pytest.raises(UsageError, match=r" /sesions; did you mean /sessions\?"):
        parse("/sesions")
    with pytest.raises(UsageError, match=r" /xyzzy; /help .* // "):
        parse("/xyzzy now")
    with pytest.raises(UsageError, match="/help lists the commands"):
        parse("/ ")


def test_the_help_names_the_commands_of_those_who_read_it() -> None:
    everything = commands.help_text(("anyone", "owner", "terminal"))
    assert [line.split()[0] for line in everything.splitlines()] == [f"/{c.name}" for c in commands.COMMANDS]
    guests = commands.help_text(["anyone"])
    assert "/model" not in guests and "/quit" not in guests and "/stop" in guests


def test_the_help_of_one_command_is_its_usage_and_what_it_does() -> None:
    assert commands.help_text((), "/resume").startswith("/resume NAME|ID|NUMBER\n")
    with pytest.raises(UsageError, match="did you mean /resume"):
        commands.help_text((), "resum")


def test_the_documentation_names_every_command_with_its_arguments() -> None:
    text = (Path(__file__).parents[2] / "docs" / "commands.md").read_text().replace("\\|", "|")
    assert [c.usage for c in commands.COMMANDS if f"`{c.usage}`" not in text] == []


def test_every_name_is_one_that_telegram_publishes_too() -> None:
    for command in commands.COMMANDS:
        assert command.name.isascii() and command.name.islower() and len(command.name) <= 32
        assert 1 <= len(command.summary) <= 256
