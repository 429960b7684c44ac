"""The settings: one tree, read from options, environment and a TOML file, each value with the place it came from.

settings   `Settings`, `load`, and the secrets that are kept elsewhere (`with_secrets`)
sections   the sections of the tree: every key with its default, unit and meaning
tables     the tables of channels: what a channel gets, and what is wrong there
channels   what builds each channel, what it declares, and what is wrong in the tables of all
shown      every key as people may see it
declared   which settings are secret
kept       where a secret is kept that does not stand in the settings
layers     the three places that settings are read from, and what is wrong in them
problems   what is wrong, in sentences without secrets
"""

from agentd.config.problems import config_error
from agentd.config.settings import Settings, known_keys, load, with_secrets
from agentd.config.shown import Shown, origins
from agentd.config.tables import channel_table, table_problems, unknown_channels

__all__ = [
    "Settings",
    "Shown",
    "channel_table",
    "config_error",
    "known_keys",
    "load",
    "origins",
    "table_problems",
    "unknown_channels",
    "with_secrets",
]
