"""Which limit counts while an answer arrives, and the error if it passes."""

from __future__ import annotations

import asyncio
import re

from agentd.models.openai.patience import AFTER_END, Patience


async def test_each_phase_has_its_limit_and_all_end_with_the_turn() -> None:
    now = asyncio.get_running_loop().time()
    patience = Patience(first=2000, idle=1000, turn=60_000, deadline=now + 60_000)
    assert 1999 < patience.until - now < 2900 and re.search(r"\bbegin .* 2000 s", patience.problem)
    patience.went_on(begun=False, ended=False, said=True)
    assert 1999 < patience.until - now < 2900, "what was read of a prompt is no answer yet"
    patience.went_on(begun=True, ended=False, said=True)
    assert 999 < patience.until - now < 1900 and re.search("nothing more .* 1000 s", patience.problem)
    patience.went_on(begun=True, ended=True, said=False)
    assert AFTER_END - 1 < patience.until - now < 900
    late = Patience(first=2000, idle=1000, turn=5, deadline=now)
    assert late.until == now and re.search(r"\bend .* 5 s", late.problem)


async def test_what_says_nothing_does_not_prolong_the_wait() -> None:
    patience = Patience(first=2000, idle=1000, turn=60_000, deadline=asyncio.get_running_loop().time() + 600)
    before = patience.until
    patience.went_on(begun=False, ended=False, said=False)
    assert patience.until == before
