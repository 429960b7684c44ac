"""The tool `current_time`: the date and time, which no model knows and no prompt holds."""

from __future__ import annotations

import asyncio
import difflib
from datetime import datetime
from zoneinfo import ZoneInfo, available_timezones

from pydantic import Field

from agentd.errors import ToolError
from agentd.ports.clock import Clock
from agentd.ports.tools import ToolContext
from agentd.tools.arguments import Arguments


class CurrentTimeArguments(Arguments):
    time_zone: str = Field(
        default="",
        description="IANA name; leave it out for the user's own.",
        max_length=100,
    )


class CurrentTime:
    """Implements `ports.Tool`; the user's own time zone is the one that this machine is set to."""

    name = "current_time"
    description = "Tell the present date, weekday and time of day."
    arguments = CurrentTimeArguments
    side_effects = False

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def run(self, arguments: CurrentTimeArguments, context: ToolContext) -> str:
        """Weekday, ISO 8601 with the offset from UTC, and the zone's name."""
        now = self._clock.now()
        # A time zone is a file.
        return await asyncio.to_thread(_told, now, arguments.time_zone.strip())


def _told(now: datetime, zone: str) -> str:
    local = now.astimezone(_zone(zone) if zone else None)
    return f"{local:%A}, {local.isoformat(sep=' ', timespec='seconds')} ({zone or local.tzname()})"


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    # Which one depends on what lies under that name: nothing, a folder, another file, or no possible name at all.
    except (KeyError, ValueError, OSError):
        near = difflib.get_close_matches(name, sorted(available_timezones()), n=3, cutoff=0.5)
        hint = f"Near to it are: {', '.join(near)}." if near else "Use an IANA name such as Europe/Berlin."
        raise ToolError(f"There is no time zone {name!r} on this machine. {hint}") from None
