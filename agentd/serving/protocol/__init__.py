"""Messages between agentd and its clients, version 1.

One message is one JSON object; over the unix socket one line each (UTF-8, ended by a line feed, at most
`MAX_FRAME_BYTES`), over a WebSocket one text frame each. Unknown fields are ignored, an unknown `type` is answered with
an `error` and the connection goes on. A client's request carries an `id` of its own choosing; what answers it carries
the same value as `re`. Events of a session carry `(epoch, n)`, with which a client resumes.

base      limits, and what every message has
requests  what a client asks
replies   what the daemon says
codec     messages as lines of JSON
live      events as clients get them
"""

from __future__ import annotations

from agentd.serving.protocol.base import (
    MAX_FRAME_BYTES,
    MAX_ID,
    MAX_LISTED_BYTES,
    MAX_PASSAGES,
    MAX_REASON,
    MAX_SMALL_BYTES,
    MAX_TEXT_BYTES,
    VERSION,
    Cursor,
    Id,
    Message,
)
from agentd.serving.protocol.codec import decode_client, decode_server, encode, explained, is_mostly_structure, longest
from agentd.serving.protocol.live import answer_message, live_message
from agentd.serving.protocol.replies import (
    Accepted,
    Answer,
    Chunk,
    Closing,
    Failure,
    Found,
    IngestState,
    Line,
    Question,
    Reading,
    ServerMessage,
    SessionOpened,
    State,
    Stopped,
    Told,
    Truncated,
    Welcome,
)
from agentd.serving.protocol.requests import (
    Ack,
    ClientMessage,
    Command,
    CommandReply,
    Delivery,
    Get,
    HandOver,
    Hello,
    Ingest,
    Open,
    Post,
    Stop,
)

__all__ = (
    "MAX_FRAME_BYTES",
    "MAX_ID",
    "MAX_LISTED_BYTES",
    "MAX_PASSAGES",
    "MAX_REASON",
    "MAX_SMALL_BYTES",
    "MAX_TEXT_BYTES",
    "VERSION",
    "Accepted",
    "Ack",
    "Answer",
    "Chunk",
    "ClientMessage",
    "Closing",
    "Command",
    "CommandReply",
    "Cursor",
    "Delivery",
    "Failure",
    "Found",
    "Get",
    "HandOver",
    "Hello",
    "Id",
    "Ingest",
    "IngestState",
    "Line",
    "Message",
    "Open",
    "Post",
    "Question",
    "Reading",
    "ServerMessage",
    "SessionOpened",
    "State",
    "Stop",
    "Stopped",
    "Told",
    "Truncated",
    "Welcome",
    "answer_message",
    "decode_client",
    "decode_server",
    "encode",
    "explained",
    "is_mostly_structure",
    "live_message",
    "longest",
)
