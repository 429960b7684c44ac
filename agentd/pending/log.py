"""The lines of the log beside a pending event: what each one says, and what they mean together.

A line is sealed (see `file`) and names the event that it is about, so that a line about a question is never taken for
the state of its answer. It has a line break on both sides, so that the remains of a failed write cannot swallow it.
Anything that is not a sealed line of agentd is ignored.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, get_args

from agentd.events import StepEvent, decode
from agentd.pending.file import seal, unseal
from agentd.ports.work import PendingTurn

log = logging.getLogger(__name__)

LogLine = dict[str, Any]

LONGEST_COUNT = 2**31
"""No count in a log comes near this."""


def encode_line(line: LogLine) -> bytes:
    return b"\n%b\n" % seal(line)


def lines_of(blocks: Iterable[bytes], event_id: str) -> Iterator[LogLine]:
    """The lines about one event, in the order in which they were written; lines of another form are left out."""
    odd = 0
    for text in _split(blocks):
        if (line := unseal(text)) is not None and line.get("of") == event_id:
            if _is_ours(line):
                yield line
                continue
            odd += 1
            if odd == 1:
                log.error("a line in the log of %s was not written by agentd and is left out: %.200r", event_id, text)
    if odd > 1:
        log.error("%d more such lines in the log of %s are left out", odd - 1, event_id)


def _split(blocks: Iterable[bytes]) -> Iterator[bytes]:
    begun: list[bytes] = []
    for block in blocks:
        first, *others = block.split(b"\n")
        begun.append(first)
        if others:
            yield b"".join(begun)
            begun = [others.pop()]
            yield from others
    yield b"".join(begun)


def event_id_of(turn: PendingTurn) -> str:
    """The id of the event that new lines about this turn have to name."""
    return turn.outbound_id or turn.id


def started(turn: PendingTurn, *, alone: bool) -> LogLine:
    return {"of": event_id_of(turn), "line": "started", "alone": alone}


def parked(turn: PendingTurn) -> LogLine:
    return {"of": event_id_of(turn), "line": "parked"}


def held(turn: PendingTurn) -> LogLine:
    return {"of": event_id_of(turn), "line": "held"}


def steps(turn: PendingTurn, events: Sequence[StepEvent]) -> LogLine:
    """What the turn has done, as one line, so that either all of it is there or nothing."""
    return {"of": event_id_of(turn), "line": "steps", "events": [event.model_dump(mode="json") for event in events]}


def steps_of(lines: Iterable[LogLine]) -> list[StepEvent]:
    """The steps in these lines, each once; a step that this agentd does not know is logged and left out."""
    found: dict[str, StepEvent] = {}
    for line in lines:
        for fields in line["events"] if line["line"] == "steps" else ():
            if (event := _step_of(line["of"], fields)) is not None:
                found.setdefault(event.id, event)
    return list(found.values())


def kept(lines: Iterable[LogLine]) -> list[LogLine]:
    """The lines that stay when a log is written anew: what the turn has done."""
    return [{key: value for key, value in line.items() if key != "sum"} for line in lines if line["line"] == "steps"]


def _step_of(event_id: str, fields: Any) -> StepEvent | None:
    try:
        event = decode(json.dumps(fields).encode())
    except ValueError as error:
        log.error("this agentd does not know a step of %s: %s", event_id, str(error).splitlines()[0])
        return None
    return event if isinstance(event, get_args(StepEvent)) else None


def sending(turn: PendingTurn, parts: Sequence[str] | None) -> LogLine:
    fixed = {} if parts is None or turn.parts else {"parts": list(parts)}
    return {"of": event_id_of(turn), "line": "sending", **fixed}


def part(turn: PendingTurn, n: int) -> LogLine:
    return {"of": event_id_of(turn), "line": "part", "n": n}


def deferred(
    turn: PendingTurn, until: datetime | None, attempt: int, error: str, *, uncertain: bool = False
) -> LogLine:
    """`uncertain`: the platform may have the message. One line says both, so that neither is lost alone."""
    return {
        "of": event_id_of(turn),
        "line": "deferred",
        "until": None if until is None else until.isoformat(),
        "attempt": attempt,
        "error": _whole(error),
        **({"uncertain": True} if uncertain else {}),
    }


def buried(event_id: str, reason: str, time: datetime) -> LogLine:
    return {"of": event_id, "line": "buried", "reason": _whole(reason), "time": time.isoformat()}


def state(turn: PendingTurn) -> LogLine:
    """The whole state of a turn as one line, with which a log that is written anew begins."""
    return {
        "of": event_id_of(turn),
        "line": "state",
        "starts": turn.starts,
        "running": turn.running,
        "alone": turn.starts_alone,
        "sending": turn.sending,
        "parts": list(turn.parts),
        "parts_done": turn.parts_done,
        "attempts": turn.attempts,
        "not_before": None if turn.not_before is None else turn.not_before.isoformat(),
        "last_error": turn.last_error,
        "retried": None if turn.retried is None else turn.retried.isoformat(),
    }


def _whole(text: str) -> str:
    """The text without halves of characters, which cannot be shown."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def after(turn: PendingTurn, lines: Iterable[LogLine]) -> PendingTurn:
    """The turn after these lines."""
    changes: dict[str, Any] = {}
    for line in lines:
        _apply(turn, changes, line)
    return replace(turn, **changes) if changes else turn


def _apply(turn: PendingTurn, changes: dict[str, Any], line: LogLine) -> None:
    def now(name: str) -> Any:
        return changes[name] if name in changes else getattr(turn, name)

    match line["line"]:
        case "started":
            changes.update(
                starts=now("starts") + 1, running=True, starts_alone=now("starts_alone") + 1 if line["alone"] else 0
            )
        case "parked":
            changes.update(running=False, starts_alone=0)
        case "held":
            changes["running"] = False
        case "sending":
            changes.update(sending=True, parts=now("parts") or tuple(line.get("parts", ())))
        case "part":
            changes["parts_done"] = max(now("parts_done"), line["n"] + 1)
        case "deferred":
            changes.update(
                sending=line.get("uncertain", False),
                not_before=_time(line["until"]),
                attempts=line["attempt"],
                last_error=line["error"],
            )
        case "steps":
            changes["stepped"] = True
        case "state":
            changes.update(_state(line))


def _state(line: LogLine) -> dict[str, Any]:
    return {
        "starts": line["starts"],
        "running": line["running"],
        "starts_alone": line["alone"],
        "sending": line["sending"],
        "parts": tuple(line["parts"]),
        "parts_done": line["parts_done"],
        "attempts": line["attempts"],
        "not_before": _time(line["not_before"]),
        "last_error": line["last_error"],
        "retried": _time(line["retried"]),
    }


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


# --- the form of the lines ---


def _is_text(value: Any) -> bool:
    try:
        return isinstance(value, str) and (value.isascii() or bool(value.encode()))
    except UnicodeEncodeError:
        return False


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < LONGEST_COUNT


def _is_time(value: Any) -> bool:
    try:
        time = datetime.fromisoformat(value)
        return time.tzinfo is not None and time.timestamp() >= 0
    except (TypeError, ValueError, OverflowError):
        return False


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


def _or(absent: object, form: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is absent or form(value)


_ABSENT = object()

_FORMS: Mapping[str, Mapping[str, Callable[[Any], bool]]] = {
    "started": {"alone": _is_flag},
    "sending": {"parts": _or(_ABSENT, _are_texts)},
    "part": {"n": _is_count},
    "deferred": {
        "until": _or(None, _is_time),
        "attempt": _is_count,
        "error": _is_text,
        "uncertain": _or(_ABSENT, _is_flag),
    },
    "steps": {"events": _is_list},
    "buried": {"reason": _is_text, "time": _is_time},
    "state": {
        "starts": _is_count,
        "running": _is_flag,
        "alone": _is_count,
        "sending": _is_flag,
        "parts": _are_texts,
        "parts_done": _is_count,
        "attempts": _is_count,
        "not_before": _or(None, _is_time),
        "last_error": _is_text,
        "retried": _or(None, _is_time),
    },
}
"""Kind of line -> what its fields must be; a line of another kind changes nothing."""


def _is_ours(line: LogLine) -> bool:
    kind = line.get("line")
    fields = _FORMS.get(kind, {}) if isinstance(kind, str) else {"line": _is_text}
    return all(form(line.get(name, _ABSENT)) for name, form in fields.items())
