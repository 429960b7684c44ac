"""Keeps every reply as a line of JSON, so that an interrupted run can continue and people can read the replies."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, Literal, Self

Part = Literal["questions", "first_text_8", "first_text_4", "sums", "hello", "follow_ups"]
Who = Literal["agentd", "peer"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """One reply as it came; it is judged later.

    `cited` are the names of the documents that it cites, `found` those of the passages that were found. `first_text`
    and `seconds` count from the question; both are 0 if the machine did other work meanwhile. `by` is the model that
    answered, if the one that was asked could not.
    """

    part: Part
    model: str
    who: Who
    kind: str
    id: str
    question: str
    text: str
    outcome: str = "answer"
    by: str = ""
    cited: tuple[str, ...] = ()
    found: tuple[str, ...] = ()
    prompt_tokens: int = 0
    first_text: float = 0.0
    seconds: float = 0.0

    @property
    def key(self) -> tuple[str, ...]:
        return (self.part, self.model, self.who, self.kind, self.id)

    @property
    def timed(self) -> bool:
        return self.seconds > 0


class OtherRun(Exception):
    """The file belongs to a run with other questions or settings; the message says what to do."""


class Journal:
    """The replies of a run; `path` None keeps them in memory alone."""

    def __init__(self, path: Path | None, settings: dict[str, Any]) -> None:
        self._replies: dict[tuple[str, ...], Reply] = {}
        self._file: IO[str] | None = None
        if path is not None:
            self._open(path, settings)

    def _open(self, path: Path, settings: dict[str, Any]) -> None:
        """Read the file; if the last line was cut off, its question is asked again. Raises `OtherRun`."""
        lines = path.read_text("utf-8").splitlines(keepends=True) if path.exists() else []
        whole = [line for line in lines if line.endswith("\n")]
        if whole:
            began = json.loads(whole[0])
            if began != settings:
                differ = sorted(key for key in {*began, *settings} if began.get(key) != settings.get(key))
                raise OtherRun(f"{path} belongs to another run ({', '.join(differ)}); name another file with --resume.")
        for line in whole[1:]:
            fields = json.loads(line)
            self._keep(Reply(**{**fields, "cited": tuple(fields["cited"]), "found": tuple(fields["found"])}))
        if len(whole) < len(lines):
            os.truncate(path, len("".join(whole).encode()))
        self._file = path.open("a", encoding="utf-8")
        if not whole:
            self._write(settings)

    def add(self, reply: Reply) -> None:
        self._keep(reply)
        if self._file is not None:
            self._write(asdict(reply))

    def get(self, key: tuple[str, ...]) -> Reply | None:
        return self._replies.get(key)

    def __iter__(self) -> Iterator[Reply]:
        return iter(list(self._replies.values()))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def _keep(self, reply: Reply) -> None:
        self._replies[reply.key] = reply

    def _write(self, record: dict[str, Any]) -> None:
        assert self._file is not None
        self._file.write(json.dumps(record, ensure_ascii=False) + "\n")
        self._file.flush()
