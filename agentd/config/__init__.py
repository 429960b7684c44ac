"""The settings: one tree, read from options, environment and a TOML file, each value with the place it came from.

settings   `Settings`, `load`, and a channel's own settings
sections   the sections of the tree: every key with its default, unit and meaning
layers     the three places that settings are read from, and what is wrong in them
"""

from agentd.config.settings import (
    Settings,
    Shown,
    channel_settings,
    check_channels,
    known_keys,
    load,
    origins,
)

__all__ = ["Settings", "Shown", "channel_settings", "check_channels", "known_keys", "load", "origins"]
