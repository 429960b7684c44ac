"""The child that reads files answers each request, and says why where it cannot."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from agentd.retrieval.reading import LENGTH


def framed(request: dict[str, Any]) -> bytes:
    data = json.dumps(request).encode()
    return LENGTH.pack(len(data)) + data


def answers(data: bytes) -> list[Any]:
    """The messages, each followed by its text if it has one."""
    found: list[Any] = []
    while data:
        (size,) = LENGTH.unpack(data[: LENGTH.size])
        message = json.loads(data[LENGTH.size : LENGTH.size + size])
        data = data[LENGTH.size + size :]
        found.append(message)
        if "text" in message:
            found.append(data[: message["text"]].decode())
            data = data[message["text"] :]
    return found


def test_a_file_is_read_and_cut_and_what_is_known_is_only_named(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("# Seals\n\nSeals sleep.")
    ask = {"path": str(tmp_path / "a.md"), "root": "", "limit": 1000, "known": ""}
    command = [sys.executable, "-P", "-m", "agentd.retrieval.reading"]

    def run(*requests: dict[str, Any]) -> list[Any]:
        asked = b"".join(map(framed, requests))
        return answers(subprocess.run(command, input=asked, stdout=subprocess.PIPE, check=True).stdout)

    first, told, text, missing = run(ask, {**ask, "path": str(tmp_path / "b.md")})
    assert (first["same"], told["title"], text) == (False, "Seals", "# Seals\n\nSeals sleep.")
    assert [text[start:end] for _, start, end in told["chunks"]] == ["Seals sleep."]
    assert missing == {"unreadable": "cannot be read: No such file or directory", "gone": False}
    assert run({**ask, "known": told["content_hash"]}) == [{"bytes": first["bytes"], "same": True}]
