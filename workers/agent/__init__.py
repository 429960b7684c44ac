"""The AgentWorker: runs the turns that wait, one at a time in a session, in parallel across sessions.

worker     `AgentWorker`: what comes in, what an earlier process left, stops and decisions
places     which turns run, and which is next
deadlines  the waits of turns that nobody decided on in time
runner     one turn, from its file to its durable end
ledger     what became of a turn, written down however long the disk refuses it
"""

from __future__ import annotations

from workers.agent.ledger import Ledger
from workers.agent.worker import AgentWorker

__all__ = ["AgentWorker", "Ledger"]
