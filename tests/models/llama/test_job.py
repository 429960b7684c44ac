from __future__ import annotations

from agentd.models.llama.job import Job
from agentd.models.llama.pool import Slot


def test_what_is_pending_is_what_the_slot_does_not_hold() -> None:
    job = Job(id=1, session="s", tokens=[1, 2, 3], remaining=5)
    assert job.pending == 3
    job.slot = Slot(0, tokens=[1, 2])
    assert job.pending == 1


def test_people_come_before_tools_and_tools_before_background_work() -> None:
    ranks = [
        Job(id=1, session="s", tokens=[], remaining=1, priority=priority).rank
        for priority in ("interactive", "tool", "background")
    ]
    assert ranks == sorted(set(ranks))
