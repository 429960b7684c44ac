"""What every message has, and how much one may hold."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

VERSION = 1
MAX_FRAME_BYTES = 8 * 1024 * 1024
MAX_SMALL_BYTES = 256 * 1024
"""Only a question may be longer than this, and of the daemon's messages those that carry texts or lists."""
MAX_STRINGS, MAX_STRUCTURE_BYTES = 32_768, 128 * 1024
"""What a longer message of a client may have: strings, and bytes outside of them."""
MAX_LISTED_BYTES = 2 * 1024 * 1024
"""What a message of the daemon may have outside of strings."""
MAX_ID = 200
"""Characters of an id that a client chooses, and of anything that names a session."""
MAX_IDS, MAX_PATHS = 1000, 1000
"""Answers or events, and documents, that one message names."""
MAX_REASON = 300
"""Characters of what is said about a message that is none."""
MAX_TEXT_BYTES = 1024 * 1024
"""The longest question: 1 MiB of UTF-8. More than that is a document: `agentd ingest`."""
MAX_UPLOAD_BYTES = 5 * 1024 * 1024
"""The longest document that is uploaded in one message."""
MAX_DAYS = 3650
"""The longest life of a token that has an end."""
MAX_PASSAGES = 100
"""Passages of the documents that one question may be answered from."""

MAX_PASSAGE = 20_000
"""Characters of a document that are shown at once."""
MAX_CALL = 4000
"""Characters of the arguments of a tool's call that are shown, and of its result."""

Id = Annotated[str, Field(max_length=MAX_ID)]
MOST = 2**53
"""The greatest number that every client can tell from the next one."""
Number = Annotated[int, Field(ge=0, le=MOST)]
Place = Number
"""Where something begins or ends in a document, in characters."""


class Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class Cursor(Message):
    """The last event that a client saw; `n` grows within one `epoch`, a start of the daemon."""

    epoch: Id
    n: int
