"""The tool `current_time`."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from agentd.errors import ToolError
from agentd.testing.clock import FakeClock
from agentd.tools.current_time import CurrentTime, CurrentTimeArguments
from tests.contexts import context


async def told(zone: str) -> str:
    return await CurrentTime(FakeClock()).run(CurrentTimeArguments(time_zone=zone), context())


@pytest.fixture
def in_kathmandu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Asia/Kathmandu")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("zone", "text"),
    [
        ("UTC", "Thursday, 2026-01-01 00:00:00+00:00 (UTC)"),
        ("Europe/Berlin", "Thursday, 2026-01-01 01:00:00+01:00 (Europe/Berlin)"),
        (" America/New_York ", "Wednesday, 2025-12-31 19:00:00-05:00 (America/New_York)"),
    ],
)
async def test_it_tells_weekday_date_and_time_in_a_zone(zone: str, text: str) -> None:
    assert await told(zone) == text


async def test_without_a_zone_it_is_the_machines_own(in_kathmandu: None) -> None:
    assert await told("") == "Thursday, 2026-01-01 05:45:00+05:45 (+0545)"


@pytest.mark.parametrize(
    "zone", ["Berlin", "Europe", "../../etc/passwd", "/etc/passwd", "Europe/Berlin\x00", "zone.tab"]
)
async def test_what_is_no_zone_is_told(zone: str) -> None:
    with pytest.raises(ToolError, match="no time zone"):
        await told(zone)


async def test_a_name_that_is_nearly_right_gets_a_hint() -> None:
    with pytest.raises(ToolError, match=r": .*Europe/Berlin"):
        await told("europe/berlin")
