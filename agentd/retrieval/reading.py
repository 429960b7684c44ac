"""The child that reads files, asked on its standard input by `agentd.retrieval.apart`.

Requests and answers are JSON with the length before it. The bytes of an upload follow its request, the text of a
document follows its answer.
"""

from __future__ import annotations

import json
import struct
import sys
from typing import Any, BinaryIO

from agentd.retrieval.chunks import split
from agentd.retrieval.readers import Source, Unreadable, read, read_bytes

LENGTH = struct.Struct(">Q")


def main() -> None:
    asked, told = sys.stdin.buffer, sys.stdout.buffer
    while size := asked.read(LENGTH.size):
        request = json.loads(asked.read(LENGTH.unpack(size)[0]))
        data = asked.read(request.get("size", 0))
        try:
            _answer(told, request, data)
        except Unreadable as error:
            send(told, {"unreadable": str(error), "gone": error.gone})


def send(told: BinaryIO, message: dict[str, Any], text: bytes = b"") -> None:
    data = json.dumps(message).encode()
    told.write(LENGTH.pack(len(data)) + data + text)
    told.flush()


def _answer(told: BinaryIO, request: dict[str, Any], data: bytes) -> None:
    """Answer first with the length of the file, which decides how long the rest may take."""
    if "name" in request:
        source = read_bytes(request["name"], data, request["limit"])
    else:
        source = read(request["path"], request["limit"], root=request["root"])
    same = source.content_hash == request["known"]
    send(told, {"bytes": source.bytes, "same": same})
    if not same:
        _tell(told, source)


def _tell(told: BinaryIO, source: Source) -> None:
    outline = split(source.text, markdown=source.markdown)
    headings = {heading: n for n, heading in enumerate(dict.fromkeys(chunk.heading for chunk in outline.chunks))}
    text = source.text.encode()
    message = {
        "source": source.source,
        "title": outline.title or source.name,
        "content_hash": source.content_hash,
        "bytes": source.bytes,
        "modified": source.modified.isoformat(),
        "headings": list(headings),
        "chunks": [(headings[chunk.heading], chunk.start, chunk.end) for chunk in outline.chunks],
        "text": len(text),
    }
    send(told, message, text)


if __name__ == "__main__":
    main()
