"""The lines of the log beside a pending event: what each says, and what all of them together mean.

A line is sealed (see `file`) and names the event that it is about, so that what was noted of a question is
never taken for the state of its answer. It stands between two line breaks, so that whatever a failed write left
before it cannot swallow it; what is not a sealed line is ignored.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from agentd.pending.file import seal, unseal
from agentd.ports import Entry

Line = dict[str, Any]


def encode_line(line: Line) -> bytes:
    return b"\n%b\n" % seal(line)


def lines_of(log: bytes, event_id: str) -> Iterator[Line]:
    """The lines about one event, in the order in which they were written."""
    for text in log.split(b"\n"):
        if text and (line := unseal(text)) is not None and line.get("of") == event_id:
            yield line


def event_id_of(entry: Entry) -> str:
    """The event that lines about this entry are about now."""
    return entry.outbound_id or entry.id


def started(entry: Entry, *, alone: bool) -> Line:
    return {"of": event_id_of(entry), "line": "started", "alone": alone}


def parked(entry: Entry) -> Line:
    return {"of": event_id_of(entry), "line": "parked"}


def held(entry: Entry) -> Line:
    return {"of": event_id_of(entry), "line": "held"}


def sending(entry: Entry, parts: Sequence[str] | None) -> Line:
    fixed = {} if parts is None or entry.parts else {"parts": list(parts)}
    return {"of": event_id_of(entry), "line": "sending", **fixed}


def part(entry: Entry, n: int) -> Line:
    return {"of": event_id_of(entry), "line": "part", "n": n}


def deferred(entry: Entry, until: datetime | None, attempt: int, error: str, *, uncertain: bool = False) -> Line:
    """`uncertain`: the platform may have it, which one line must say together with the rest."""
    return {
        "of": event_id_of(entry),
        "line": "deferred",
        "until": None if until is None else until.isoformat(),
        "attempt": attempt,
        "error": error,
        **({"uncertain": True} if uncertain else {}),
    }


def buried(event_id: str, reason: str, time: datetime) -> Line:
    return {"of": event_id, "line": "buried", "reason": reason, "time": time.isoformat()}


def state(entry: Entry) -> Line:
    """All of an entry in one line: what a log that is written anew begins with."""
    return {
        "of": event_id_of(entry),
        "line": "state",
        "starts": entry.starts,
        "running": entry.running,
        "alone": entry.alone,
        "sending": entry.sending,
        "parts": list(entry.parts),
        "parts_done": entry.parts_done,
        "attempts": entry.attempts,
        "not_before": None if entry.not_before is None else entry.not_before.isoformat(),
        "last_error": entry.last_error,
        "retried": None if entry.retried is None else entry.retried.isoformat(),
    }


def apply(entry: Entry, line: Line) -> None:
    """Bring an entry up to date with one more line."""
    match line["line"]:
        case "started":
            entry.starts += 1
            entry.running = True
            entry.alone = entry.alone + 1 if line["alone"] else 0
        case "parked":
            entry.running = False
            entry.alone = 0
        case "held":
            entry.running = False
        case "sending":
            entry.sending = True
            if not entry.parts:
                entry.parts = tuple(line.get("parts", ()))
        case "part":
            entry.parts_done = max(entry.parts_done, line["n"] + 1)
        case "deferred":
            entry.sending = line.get("uncertain", False)
            entry.not_before = _time(line["until"])
            entry.attempts = line["attempt"]
            entry.last_error = line["error"]
        case "state":
            _restore(entry, line)


def _restore(entry: Entry, line: Line) -> None:
    entry.starts = line["starts"]
    entry.running = line["running"]
    entry.alone = line["alone"]
    entry.sending = line["sending"]
    entry.parts = tuple(line["parts"])
    entry.parts_done = line["parts_done"]
    entry.attempts = line["attempts"]
    entry.not_before = _time(line["not_before"])
    entry.last_error = line["last_error"]
    entry.retried = _time(line["retried"])


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
