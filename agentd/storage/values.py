"""Values as they are stored in a row, and read back from a row that may be damaged."""

from __future__ import annotations

from datetime import UTC, datetime

from agentd.records import Principal


def as_text(value: object) -> str:
    """A stored text; a damaged row may contain anything, because SQLite keeps whatever it is given."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if isinstance(value, str) else ""


def as_time(value: object) -> datetime:
    """A stored time; 1970 if it cannot be read."""
    try:
        time = datetime.fromisoformat(as_text(value))
        return time if time.tzinfo is not None else time.replace(tzinfo=UTC)
    except ValueError:
        return datetime.fromtimestamp(0, UTC)


def as_stored(time: datetime) -> str:
    """A time as it is stored: in UTC and always with microseconds, so that texts and times have the same order."""
    return time.astimezone(UTC).isoformat(timespec="microseconds")


def as_principal(kind: object, identifier: object) -> Principal:
    """Whose row it is; if that cannot be read, it is nobody's, so that only the owner sees it."""
    try:
        return Principal.model_validate({"kind": kind, "id": identifier})
    except ValueError:
        return Principal(kind="chat", id=as_text(identifier))
