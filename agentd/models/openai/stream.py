"""Turns the lines of a reply into events, as the standard for event streams says and as servers really send them.

https://html.spec.whatwg.org/multipage/server-sent-events.html, section 9.2.6. Lines outside of events are kept up to a
limit, because servers answer a streamed request with plain JSON or HTML too.
"""

from __future__ import annotations

from agentd.models.openai.lenient import read_json

DONE = "[DONE]"
_FIELDS = ("data", "event", "id", "retry")


class Events:
    """Feed it the lines of a body in order; each call returns the JSON values that are complete now, `ValueError` if
    one is damaged or has more than `most` characters.

    `done` says that the server ended the stream as it should, `single` that the body was not a stream but one JSON
    text; `odd` is the first data that is not JSON.
    """

    def __init__(self, *, most: int) -> None:
        self.done = self.single = False
        self.odd = ""
        self._most = most
        self._room = self._room_for_other = most
        self._data: list[str] = []
        self._other: list[str] = []
        self._first, self._any = True, False

    @property
    def found(self) -> bool:
        """Something other than comments has arrived."""
        return self._any or bool(self._other)

    def feed(self, line: bytes) -> list[object]:
        text = line.decode("utf-8", "replace")
        if self._first:
            text, self._first = text.removeprefix("\ufeff"), False
        if not text:
            return self._dispatch()
        name, colon, value = text.partition(":")
        if name in _FIELDS:
            if name == "data":
                return self._add(value.removeprefix(" "))
        elif name or not colon:
            self._keep(text)
        return []

    def finish(self) -> list[object]:
        """The rest at the end of the body: an event without its empty line, or a body that is not a stream."""
        found = self._dispatch()
        if self._other:
            found += (single := self._values("\n".join(self._other)))
            self.single = bool(single) and not self._any
        return found

    def _keep(self, text: str) -> None:
        self._room_for_other -= len(text) + 1
        if self._room_for_other >= 0:
            self._other.append(text)

    def _add(self, line: str) -> list[object]:
        """One more line of an event; if the line before it is an event of its own, this server leaves the empty lines
        out.
        """
        found = self._dispatch() if len(self._data) == 1 and _stands_alone(self._data[0]) else []
        self._room -= len(line) + 1
        if self._room < 0:
            raise ValueError(f"it sends an event of more than {self._most:,} characters")
        self._data.append(line)
        return found

    def _dispatch(self) -> list[object]:
        data, self._data, self._room = self._data, [], self._most
        if not data:
            return []
        joined = "\n".join(data)
        if joined.strip() == DONE:
            self.done = True
            return []
        self._any = True
        return self._values(joined)

    def _values(self, text: str) -> list[object]:
        """Nothing if the text is empty or a comment; `ValueError` if it is damaged JSON."""
        text = text.strip()
        if not text or text.startswith(":"):
            return []
        try:
            return [read_json(text)]
        except ValueError:
            self.odd = self.odd or text[:200]
            if text[0] in "{[":
                raise
            return []


def _stands_alone(line: str) -> bool:
    """Whether a JSON text cannot go on behind this line."""
    text = line.strip()
    if not text.startswith(("{", "[")) or text == DONE:
        return True
    try:
        read_json(text)
    except ValueError:
        return False
    return True
