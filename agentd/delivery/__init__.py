"""When each outbound event is sent, tried again or given up: pure, with a clock and a generator passed in.

lanes       `Lanes`: told what is owed and what became of it, answers with decisions
outlet      the lanes of one channel and whose turn it is
backoff     how long to wait before another try, here and everywhere else
breaker     when a channel is left alone for a while, and how fast it is caught up with
decisions   the decisions as values, and the `Policy` behind them
stats       the figures, and who has them
"""

from agentd.delivery.decisions import Bury, ChannelLanes, Defer, Owed, Policy, Send, ToHistory
from agentd.delivery.lanes import Lanes
from agentd.delivery.stats import Delivering, DeliveryStats, LastSeen

__all__ = [
    "Bury",
    "ChannelLanes",
    "Defer",
    "Delivering",
    "DeliveryStats",
    "Lanes",
    "LastSeen",
    "Owed",
    "Policy",
    "Send",
    "ToHistory",
]
