"""The composition root: the only room that names channels and workers.

daemon   `Daemon`, which has everything built, starts it, and stops it
floors   one function for each floor of the house
"""

from agentd.daemon.daemon import Daemon
from agentd.daemon.floors import CHANNELS

__all__ = ["CHANNELS", "Daemon"]
