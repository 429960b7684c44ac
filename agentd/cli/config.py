"""`agentd config`: check the configuration, or show every key with its value and where the value comes from."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
from pathlib import Path

from pydantic import JsonValue

from agentd.cli.attach import running_client
from agentd.cli.common import load_settings
from agentd.cli.say import say, say_json
from agentd.config import Settings, Shown, origins, with_secrets
from agentd.config.channels import channel_builders, channel_models, check_channels
from agentd.config.settings import DEFAULT
from agentd.errors import AgentdError, ConfigError, ModelError
from agentd.host import paths
from agentd.status.text import answers_line


def _show_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="write JSON for programs: {key: {value, origin}}")


ACTIONS = {
    "check": (lambda parser: None, "check the settings; exit with 78 if anything is wrong"),
    "show": (_show_arguments, "show every key, its value (secrets masked) and where the value comes from"),
}


def run(options: argparse.Namespace) -> int:
    settings, state_dir = load_settings(options)
    if options.action == "check":
        from agentd.daemon import CHANNELS

        with_secrets(settings)
        check_channels(settings, channel_builders(settings, CHANNELS))
        _check_model(settings)
        ok = "ok, with 1 warning" if settings.warning else "ok"
        say(f"{ok}: {_sources(paths.config_file(os.environ, options.config), origins(settings))}")
    elif options.json:
        say_json({row.key: {"value": row.value, "origin": row.origin} for row in _rows(settings)})
    else:
        say(f"# {asyncio.run(_who_answers(settings, state_dir))}")
        say("\n".join(lines(_rows(settings))))
    return 0


def _rows(settings: Settings) -> list[Shown]:
    """The rows of all keys, with the secrets that the channels declare masked."""
    if not settings.channels:
        return origins(settings, {})
    from agentd.daemon import CHANNELS

    return origins(settings, channel_models(settings, channel_builders(settings, CHANNELS)))


async def _who_answers(settings: Settings, state_dir: Path) -> str:
    """One line: which model answers and from how many documents, in the running daemon or in the next one."""
    try:
        client = await running_client(state_dir, "agentd config", False)
        if client is None:
            from agentd.status.at_rest import status_at_rest

            return answers_line(await status_at_rest(settings, state_dir))
        async with client:
            return answers_line(await client.status())
    except AgentdError as error:
        return f"cannot find out which model answers: {' '.join(str(error).split())}"


def _check_model(settings: Settings) -> None:
    """`ConfigError` if the file of `model.path` is not a model, as with --model."""
    from agentd.models.llama import files

    if settings.model.path is None:
        return
    try:
        files.inspect(settings.model.path)
    except ModelError as error:
        origin = next(row.origin for row in origins(settings) if row.key == "model.path")
        raise ConfigError(f"{origin}: model.path cannot be used: {error}") from None


def _sources(file: Path | None, rows: list[Shown]) -> str:
    """Where the values come from: the file, and every variable and option."""
    given = [row.origin for row in rows if row.origin != DEFAULT and not (file and row.origin.startswith(str(file)))]
    if file is not None:
        return " and ".join([str(file), *([", ".join(given)] if given else [])])
    return "no configuration file, all defaults" + (f" but {', '.join(given)}" if given else "")


def lines(rows: list[Shown]) -> list[str]:
    """The keys as lines of TOML, each with its origin as a comment; a key that is not set becomes a comment."""
    texts = [f"# {row.key} is not set" if row.value is None else f"{row.key} = {_toml(row.value)}" for row in rows]
    width = min(60, max(map(len, texts)))
    return [f"{text:<{width}}  # {row.origin}" for text, row in zip(texts, rows, strict=True)]


def _toml(value: JsonValue) -> str:
    match value:
        case dict():
            return "{" + ", ".join(f"{json.dumps(name)} = {_toml(inner)}" for name, inner in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(_toml, value)) + "]"
        case _:
            return json.dumps(value, ensure_ascii=False)
