"""Each kind of attack in its short form: what can be counted stays within its limits, and nothing accepted is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hostile.house import CALLBACK, MIB, SETTLED
from tests.hostile.kinds import ALL, attacked

PEAK = 512 * MIB
LOG = 1 * MIB


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.timeout(900)
async def test_an_attack_holds_up_fills_and_ends_nothing(kind: str, tmp_path: Path) -> None:
    seen = (await attacked(kind, tmp_path)).seen
    assert seen.callback <= CALLBACK, seen.which
    assert seen.peak - seen.before <= PEAK
    assert seen.grown <= SETTLED
    assert seen.log <= LOG
