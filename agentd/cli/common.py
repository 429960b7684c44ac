"""The options of every command: they give the settings and the state directory."""

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
    """The path of a file that can be a model; if it cannot, the person is told at once."""
    from agentd.models.llama import files

    try:
        files.inspect(path)
    except ModelError as error:
        raise ConfigError(f"--model cannot be used: {error}") from None
    return path


def load_settings(options: argparse.Namespace) -> tuple[config.Settings, Path]:
    """The settings and the absolute state directory; `ConfigError` names every problem.

    `StateError` if something that is not a directory has its name. Whether the directory can be used, its users find
    out. `options.set` is a list of (key, text); if a key is set twice, the last one counts.
    """
    overrides = dict(options.set)
    if (model := getattr(options, "model", None)) is not None:
        path = paths.absolute(model)
        # A command that already has a daemon goes on with it, whatever happened to the file since then.
        overrides["model.path"] = str(path if getattr(options, "had_daemon", False) else _checked_model(path))
    file = paths.config_file(os.environ, options.config)
    settings = config.load(os.environ, config=file, overrides=overrides, channels=_channel_problems)
    _warn_once(options, settings.warning)
    return settings, _no_file(paths.state_dir(os.environ, options.state_dir))


def _warn_once(options: argparse.Namespace, words: str) -> None:
    """Warn once: these options may be loaded again, for another connection."""
    told: set[str] = vars(options).setdefault("told", set())
    if words and words not in told:
        told.add(words)
        warn(f"agentd: {words}")


def _channel_problems(settings: config.Settings) -> list[str]:
    """The problems in the channels' tables; imports the channels, so only for a configuration that is wrong anyway."""
    from agentd.daemon import CHANNELS

    return channel_problems(settings, channel_builders(settings, CHANNELS))


def _no_file(path: Path) -> Path:
    try:
        in_place = path.is_dir() or not path.exists()
    except OSError:  # A path that we may not look at may be a directory.
        return path
    if not in_place:
        raise StateError(f"the state directory {path} is a file; name a directory with --state-dir.")
    return path
