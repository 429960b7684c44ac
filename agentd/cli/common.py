"""What the options of every command say: the settings and the state directory."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from agentd import config
from agentd.cli import path_option
from agentd.cli.say import warn
from agentd.config.channels import channel_builders, channel_problems
from agentd.errors import ConfigError, ModelError, StateError
from agentd.host import paths
from agentd.text.characters import whole


def model_option(parser: argparse.ArgumentParser) -> None:
    """Add `--model FILE`, short for `--set model.path=FILE`."""
    parser.add_argument(
        "--model", type=path_option, metavar="FILE", help="answer with this language model, a GGUF file (model.path)"
    )


def session_option(parser: argparse._MutuallyExclusiveGroup) -> None:
    """Add `--session NAME`."""
    told = "use this session (id or name); create it if it does not exist"
    parser.add_argument("--session", metavar="NAME", type=whole, help=told)


def _checked_model(path: Path) -> Path:
    """A file that can be a model: who names one on the command line is told at once where it cannot."""
    from agentd.models.llama import files

    try:
        files.inspect(path)
    except ModelError as error:
        raise ConfigError(f"--model cannot be used: {error}") from None
    return path


def load_settings(options: argparse.Namespace) -> tuple[config.Settings, Path]:
    """The settings and the absolute state directory; `ConfigError` names every problem.

    `StateError` where there is something else in the place of that directory; whether it can be used is for those to
    find out who use it. `options.set` is a list of (key, text); of a key that is set twice the last one holds.
    """
    overrides = dict(options.set)
    if (model := getattr(options, "model", None)) is not None:
        path = paths.absolute(model)
        # Who has a daemon already goes on with it, whatever has become of the file since.
        overrides["model.path"] = str(path if getattr(options, "had_daemon", False) else _checked_model(path))
    file = paths.config_file(os.environ, options.config)
    settings = config.load(os.environ, config=file, overrides=overrides, channels=_channel_problems)
    _warn_once(options, settings.warning)
    return settings, _no_file(paths.state_dir(os.environ, options.state_dir))


def _warn_once(options: argparse.Namespace, words: str) -> None:
    """These options may be loaded again, for another connection."""
    told: set[str] = vars(options).setdefault("told", set())
    if words and words not in told:
        told.add(words)
        warn(f"agentd: {words}")


def _channel_problems(settings: config.Settings) -> list[str]:
    """Those of the channels' tables; only where the configuration is wrong anyway is it worth to know the channels."""
    from agentd.daemon import CHANNELS

    return channel_problems(settings, channel_builders(settings, CHANNELS))


def _no_file(path: Path) -> Path:
    try:
        in_place = path.is_dir() or not path.exists()
    except OSError:  # What we may not look at, may be a directory.
        return path
    if not in_place:
        raise StateError(f"the state directory {path} is a file; name a directory with --state-dir.")
    return path
