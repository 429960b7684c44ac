"""`agentd` imports only the command that was asked for, and every error ends with its message and exit code."""

from __future__ import annotations

import argparse
import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import agentd
from agentd import cli
from agentd.cli import COMMANDS, EXIT_CODES, ask, main
from agentd.errors import AgentdError, ConfigError, ModelError, TimedOut, Unreachable, UsageError

HEAVY = {"pydantic", "asyncio", "sqlite3", "logging", "importlib.metadata", "typing_extensions"}


def agentd_command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "agentd", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
        env=dict(os.environ),
    )


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], []])
def test_help_and_version_import_nothing_heavy_and_no_command(arguments: list[str]) -> None:
    code = (
        "import sys\nfrom agentd.cli import main\n"
        f"code = main({arguments!r})\nprint(*sys.modules, file=open(sys.argv[1], 'w'))\nsys.exit(code)"
    )
    read, write = os.pipe()
    result = subprocess.run(
        [sys.executable, "-c", code, f"/dev/fd/{write}"],
        pass_fds=[write],
        capture_output=True,
        timeout=60,
        env=dict(os.environ),
    )
    os.close(write)
    with open(read) as pipe:
        modules = set(pipe.read().split())
    assert result.returncode == (0 if arguments else 2)
    assert {name for name in modules if name.startswith("agentd")} == {
        "agentd",
        "agentd.text",
        "agentd.text.characters",
        "agentd.cli",
        "agentd.cli.advice",
        "agentd.cli.exhausted",
        "agentd.cli.say",
        "agentd.errors",
        "agentd.text.plain",
    }
    assert not modules & HEAVY


def test_a_command_that_needs_a_daemon_imports_one_only_if_none_runs() -> None:
    """A daemon is most of agentd, and importing it takes longer than asking one that runs."""
    clients = ("chat", "ask", "ingest", "docs", "sessions", "status", "open", "token", "delivery", "config")
    code = f"import sys, {', '.join(f'agentd.cli.{name}' for name in clients)}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    rooms = {".".join(name.split(".")[:2]) for name in done.stdout.split() if name.startswith("agentd.")}
    assert not rooms & {"agentd.daemon", "agentd.models", "agentd.storage", "agentd.retrieval", "agentd.turns"}


def test_help_lists_the_commands_in_order_and_the_exit_codes() -> None:
    text = agentd_command("--help").stdout
    names = [
        "chat",
        "ask",
        "ingest",
        "docs",
        "model",
        "run",
        "sessions",
        "status",
        "open",
        "token",
        "delivery",
        "config",
    ]
    assert list(COMMANDS) == names
    width = max(map(len, COMMANDS))
    for name, (_, line) in COMMANDS.items():
        assert f"  {name:<{width}}  {line}\n" in text
    for code, meaning in EXIT_CODES.items():
        assert f"  {code:>3}  {meaning}\n" in text


def test_the_table_of_exit_codes_has_what_errors_end_with_and_nothing_else() -> None:
    def kinds(error: type[AgentdError]) -> set[type[AgentdError]]:
        return {error}.union(*map(kinds, error.__subclasses__()))

    errors = {error.exit_code for error in kinds(AgentdError)}
    assert set(EXIT_CODES) == errors | {0, cli.INTERRUPTED, cli.BROKEN_PIPE}
    assert set(ask.EXIT_CODES.values()) <= errors


def test_the_documentation_has_the_same_exit_codes() -> None:
    page = Path(agentd.__file__).parents[1].joinpath("docs", "commands.md").read_text()
    table = re.findall(r"^\| (\d+) \| (.+) \|$", page.partition("## Exit codes")[2], re.M)
    assert [(int(code), meaning) for code, meaning in table] == list(EXIT_CODES.items())


def test_every_command_has_its_file() -> None:
    for module, _ in COMMANDS.values():
        assert Path(agentd.__file__).parent.joinpath("cli", module.rpartition(".")[2] + ".py").is_file()


def test_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"agentd {agentd.__version__}\n"


@pytest.mark.parametrize(
    ("command", "hint"), [("confg", "did you mean config?"), ("xyzzy", "`agentd --help` lists them.")]
)
def test_an_unknown_command_gets_a_suggestion(command: str, hint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command]) == 2
    told = capsys.readouterr().err
    assert told.startswith("agentd: ") and told.endswith(f" {command!r}; {hint}\n")


class Command:
    """A command module: keeps the options that it is run with, and raises `error` if there is one."""

    __doc__ = "Does nothing."

    def __init__(self) -> None:
        self.options = argparse.Namespace()
        self.error: BaseException | None = None

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("words", nargs="*")
        parser.add_argument("--loud", action="store_true")

    def run(self, options: argparse.Namespace) -> int:
        self.options = options
        if self.error is not None:
            raise self.error
        return 7


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Command:
    command = Command()
    monkeypatch.setitem(COMMANDS, "try", ("tests.try_command", "try it"))
    monkeypatch.setitem(sys.modules, "tests.try_command", command)
    return command


def test_the_command_decides_the_exit_code(command: Command) -> None:
    assert main(["try"]) == 7


@pytest.mark.parametrize(
    "arguments",
    [
        ["--config", "c", "--state-dir", "s", "--set", "a=1", "--set", "b==2", "try", "x", "--loud"],
        ["try", "--config", "c", "x", "--loud", "--state-dir", "s", "--set", "a=1", "--set", "b==2"],
        ["--config", "other", "--set", "a=1", "try", "--loud", "--config", "c", "--set=b==2", "--state-dir=s", "x"],
    ],
)
def test_common_options_stand_before_or_after_the_command(command: Command, arguments: list[str]) -> None:
    main(arguments)
    assert command.options.config == Path("c")
    assert command.options.state_dir == Path("s")
    assert command.options.set == [("a", "1"), ("b", "=2")]
    assert command.options.words == ["x"]
    assert command.options.loud


def test_common_options_need_not_be_given(command: Command) -> None:
    main(["try"])
    assert (command.options.config, command.options.state_dir, command.options.set) == (None, None, [])


def test_words_after_two_dashes_are_no_options(command: Command) -> None:
    main(["try", "--", "--loud", "-h"])
    assert command.options.words == ["--loud", "-h"]


@pytest.mark.parametrize(
    "arguments", [["--lou"], ["--set", "a"], ["--set", "=a"], ["--config"], ["--unknown"], ["--stat", "x"]]
)
def test_wrong_usage_exits_2_with_the_usage(
    command: Command, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["try", *arguments]) == 2
    assert "usage: agentd try" in capsys.readouterr().err


def test_a_command_has_its_own_help(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["try", "--help"]) == 0
    text = capsys.readouterr().out
    assert "Does nothing." in text and "--loud" in text and "--state-dir" in text


def actions() -> list[tuple[str, str]]:
    modules = {name: importlib.import_module(module) for name, (module, _) in COMMANDS.items()}
    return [(name, action) for name, module in modules.items() for action in getattr(module, "ACTIONS", ())]


def test_some_commands_have_actions() -> None:
    assert {name for name, _ in actions()} == {"docs", "model", "sessions", "token", "delivery", "config"}


@pytest.mark.parametrize(("name", "action"), actions())
def test_each_action_has_its_own_help_and_the_command_lists_it(
    name: str, action: str, capsys: pytest.CaptureFixture[str]
) -> None:
    line = importlib.import_module(COMMANDS[name][0]).ACTIONS[action][1]
    assert main([name, action, "--help"]) == 0
    own = capsys.readouterr().out
    assert own.startswith(f"usage: agentd {name} {action} ") and line[1:] in " ".join(own.split())
    assert "--state-dir" in own and "ACTION" not in own
    assert main([name, "--help"]) == 0
    listed = capsys.readouterr().out
    assert f"  {action} " in listed and line in listed
    assert main([name]) == 2
    assert capsys.readouterr() == ("", listed)


def test_an_option_of_another_action_and_an_unknown_action_are_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["model", "use", "x", "--replace"]) == 2
    told = capsys.readouterr().err
    assert told.startswith("usage: agentd model use ") and "unrecognized arguments: --replace" in told
    assert main(["delivery", "lst"]) == 2
    assert capsys.readouterr().err.endswith(" 'lst'; did you mean list?\n")
    assert main(["config", "xyzzy"]) == 2
    assert capsys.readouterr().err.endswith(" 'xyzzy'; `agentd config --help` lists them.\n")


@pytest.mark.parametrize("place", range(3))
def test_common_options_stand_anywhere_around_an_action(place: int, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["config", "show"]
    words[place:place] = ["--set", "agent.concurrency=7"]
    assert main([*words, "--config", "/dev/null"]) == 0
    assert re.search(r"^agent\.concurrency = 7 +# --set", capsys.readouterr().out, re.M)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (AgentdError("no"), 1),
        (UsageError("no"), 2),
        (Unreachable("no"), 3),
        (ModelError("no"), 5),
        (ConfigError("no"), 78),
        (TimedOut("no"), 124),
    ],
)
def test_an_error_of_agentd_is_one_line_and_its_exit_code(
    command: Command, error: AgentdError, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    command.error = error
    assert main(["try"]) == code
    assert capsys.readouterr() == ("", "agentd: no\n")


def test_ctrl_c_exits_130_without_a_traceback(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    command.error = KeyboardInterrupt()
    assert main(["try"]) == 130
    assert capsys.readouterr().err == ""


def test_an_error_that_nobody_foresaw_is_not_hidden(command: Command) -> None:
    command.error = ZeroDivisionError()
    with pytest.raises(ZeroDivisionError):
        main(["try"])


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_leaves_ends_the_command_quietly(unbuffered: str) -> None:
    read, write = os.pipe()
    os.close(read)
    result = subprocess.run(
        [sys.executable, "-m", "agentd", "config", "show"],
        stdout=write,
        stderr=subprocess.PIPE,
        timeout=60,
        env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
    )
    os.close(write)
    assert (result.returncode, result.stderr) == (cli.BROKEN_PIPE, b"")


@pytest.mark.parametrize("option", ["--state-dir", "--config", "--model"])
def test_an_option_that_names_nothing_is_wrong_usage(
    option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for empty in ("", " "):
        assert main(["ask", option, empty, "Hello?"]) == UsageError.exit_code
        assert f"argument {option}: must not" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_python_m_agentd_is_the_command() -> None:
    result = agentd_command("xyzzy")
    assert (result.returncode, result.stdout) == (2, "")
