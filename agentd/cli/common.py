"""What the options of every command say: the settings and the state directory."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from agentd import config, paths


def load_settings(options: argparse.Namespace) -> tuple[config.Settings, Path]:
    """The settings and the absolute state directory; `ConfigError` names every problem.

    A command with an option of its own for a key adds it to `options.set`, a list of (key, text).
    """
    settings = config.load(
        os.environ, config=paths.config_file(os.environ, options.config), overrides=dict(options.set)
    )
    return settings, paths.state_dir(os.environ, options.state_dir)
