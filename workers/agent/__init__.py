"""The AgentWorker: runs the turns that wait, one at a time in a session, in parallel across sessions.

worker    who runs when, what is recovered, stopped, left and gone on with
outcomes  what became of a turn, written down however long the disk refuses it
"""

from __future__ import annotations

from workers.agent.worker import AgentWorker

__all__ = ["AgentWorker"]
