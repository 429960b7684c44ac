"""The settings: one tree, read from options, environment and a TOML file, each value with the place it came from.

settings   `Settings`, `load`, and what is wrong in a channel's table
sections   the sections of the tree: every key with its default, unit and meaning
layers     the three places that settings are read from, and what is wrong in them
"""

from agentd.config.settings import (
    Settings,
    Shown,
    config_error,
    known_keys,
    load,
    origins,
    table_problems,
    unknown_channels,
)

__all__ = [
    "Settings",
    "Shown",
    "config_error",
    "known_keys",
    "load",
    "origins",
    "table_problems",
    "unknown_channels",
]
