"""The format of a file in the pending directory: one sealed header line, then the event as `events.encode` wrote it.

The header is a JSON object, so that agentd can start without decoding any body: `v` the version, `len` and `sha256` of
the body, `kind` (`ports.work.Content`), `id` of the event, `turn`, `session`, `address`, `principal`, and `key` of a
question or `answers` of an answer. Readers ignore members that they do not know, in the header and in the event. A
later agentd may add members that an earlier one can do without. For any other change it raises `VERSION`, and it goes
on reading the earlier versions.

Version 1 had no kinds, and a list `index` instead of the members from `kind` on.

A sealed line is a JSON object whose last member `sum` holds the first 16 hex digits of the SHA-256 of everything before
it. This form never changes, whatever the version.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, get_args

from pydantic import ValidationError

from agentd.errors import NewerVersion
from agentd.events import InboundEvent, Kind, OutboundEvent, decode, encode, fault_of
from agentd.ids import is_id
from agentd.ports.work import Content, PendingTurn
from agentd.records import Address, Principal
from agentd.text.structure import outside_of_strings

VERSION = 2

LONGEST_HEADER = 1024 * 1024
LONGEST_SALVAGED, MOST_STRUCTURE = 16 * 1024 * 1024, 256 * 1024
"""A damaged body is read if it is no longer, and if no more of it is outside of strings: it may be anything."""

_KINDS: dict[str, Kind] = {kind: kind for kind in get_args(Kind)}

_parse = json.JSONDecoder().raw_decode

_SEAL = b',"sum":"'
_SEAL_BYTES = len(_SEAL) + 16 + len(b'"}')


class Damaged(Exception):
    """A file does not contain what was written to it; the message says what is wrong."""


def digest(data: bytes) -> str:
    """SHA-256 in hex digits."""
    return hashlib.sha256(data, usedforsecurity=False).hexdigest()


def seal(fields: dict[str, Any]) -> bytes:
    """One line of JSON with its own checksum, without a line break."""
    opened = json.dumps(fields, separators=(",", ":")).encode()[:-1]
    return opened + _seal_of(opened)


def _seal_of(opened: bytes) -> bytes:
    return b'%b%b"}' % (_SEAL, digest(opened)[:16].encode())


def unseal(line: bytes) -> dict[str, Any] | None:
    """The object that `seal` wrote; None if the line is anything else."""
    if not line.endswith(b'"}') or line[-_SEAL_BYTES : len(_SEAL) - _SEAL_BYTES] != _SEAL:
        return None
    opened = line[:-_SEAL_BYTES]
    if _seal_of(opened) != line[-_SEAL_BYTES:]:
        return None
    return _any_json(line)


@dataclass(frozen=True, kw_only=True, slots=True)
class Header:
    """What is known about an event without its body; `answers` is None for a question and () for a notice."""

    kind: Content
    event_id: str
    turn_id: str
    session_id: str
    dedupe_key: str
    address: Address
    principal: Principal | None
    """None in a file of an agentd that did not write it yet."""
    answers: tuple[str, ...] | None
    size: int

    @property
    def name(self) -> str:
        """The name of its file in the pending directory: the turn's id, or the notice's own."""
        return self.turn_id if self.answers else self.event_id

    def turn(self) -> PendingTurn:
        """The turn, as it is before anything has happened to the event."""
        return PendingTurn(
            id=self.name,
            kind=self.kind,
            session_id=self.session_id,
            dedupe_key=self.dedupe_key,
            address=self.address,
            principal=self.principal,
            outbound_id="" if self.answers is None else self.event_id,
        )


def header_of(event: InboundEvent | OutboundEvent, size: int = 0) -> Header:
    """The header of this event's file."""
    return Header(
        kind=event.kind if isinstance(event, InboundEvent) else "answer" if event.answers else "notice",
        event_id=event.id,
        turn_id=event.turn_id,
        session_id=event.session_id,
        dedupe_key=event.dedupe_key if isinstance(event, InboundEvent) else "",
        address=event.address,
        principal=event.principal,
        answers=event.answers if isinstance(event, OutboundEvent) else None,
        size=size,
    )


def encode_file(event: InboundEvent | OutboundEvent) -> bytes:
    """The bytes of the file; ValueError if a text is not Unicode (a lone surrogate)."""
    body = encode(event)
    header = header_of(event)
    fields = {
        "v": VERSION,
        "len": len(body),
        "sha256": digest(body),
        "kind": header.kind,
        "id": header.event_id,
        "turn": header.turn_id,
        "session": header.session_id,
        "address": header.address.model_dump(),
        "principal": event.principal.model_dump(),
    }
    own = {"key": header.dedupe_key} if header.answers is None else {"answers": header.answers}
    line = seal(fields | own)
    return b"%b\n%b" % (line, body)


def decode_header(data: bytes, path: str) -> Header:
    """See `read_header`."""
    return read_header((data,), path)


def read_header(blocks: Iterable[bytes], path: str, addresses: dict[tuple[str, ...], Address] | None = None) -> Header:
    """The header of a file whose checksums are right; else `Damaged`, or `NewerVersion` of a newer agentd.

    A newer version counts only under a seal that holds; otherwise a digit may have flipped, and the file is damaged.
    `addresses` lets files with equal addresses share one object. The file is never held as a whole.
    """
    rest = iter(blocks)
    line, begun = _first_line(rest)
    fields = unseal(line)
    if fields is None or begun is None:
        raise Damaged("its header is torn" if line or begun else "it is empty")
    _check_version(fields, path)
    found, checksum = _measure(begun, rest)
    try:
        if found != fields["len"]:
            raise Damaged(f"its header says {fields['len']} bytes, but it has {found}")
        if checksum != fields["sha256"]:
            raise Damaged("its content does not match its checksum")
        header = _header(fields, len(line) + 1 + found, {} if addresses is None else addresses)
        if fields["v"] != 1 and fields["kind"] != header.kind:
            raise Damaged(f"this agentd does not know its kind: {fields['kind']!r}")
        return header
    except (KeyError, TypeError, ValueError) as error:
        raise Damaged(f"its header is not one of ours ({error})") from None


def _first_line(blocks: Iterator[bytes]) -> tuple[bytes, bytes | None]:
    """The first line, and the begin of what follows it; None if the line does not end."""
    line = b""
    for block in blocks:
        more, end, begun = block.partition(b"\n")
        line += more
        if end:
            return line, begun
        if len(line) > LONGEST_HEADER:
            break
    return line, None


def _measure(begun: bytes, rest: Iterable[bytes]) -> tuple[int, str]:
    """How many bytes these are, and their `digest`."""
    size, hashed = 0, hashlib.sha256(usedforsecurity=False)
    for block in chain((begun,), rest):
        size += len(block)
        hashed.update(block)
    return size, hashed.hexdigest()


def decode_file(data: bytes, path: str) -> InboundEvent | OutboundEvent:
    """The event; `Damaged` if the bytes are not those that were written, or are something else."""
    header = decode_header(data, path)
    event = _event(data[data.index(b"\n") + 1 :])
    whole = header_of(event, header.size)
    # Version 1 has no kind in its header; the body of a question says it.
    if replace(whole, kind=header.kind, principal=header.principal and whole.principal) != header:
        raise Damaged("its header and its event belong to different messages")
    return event


def salvage(blocks: Iterable[bytes], name: str) -> PendingTurn | None:
    """What a damaged file still says about its event: in its header, otherwise in its body if that is whole."""
    rest = iter(blocks)
    line, begun = _first_line(rest)
    readings: tuple[Callable[[], Header], ...] = (
        lambda: _header(unseal(line) or {}, 0, {}),
        lambda: header_of(_event(_likely_body(begun or b"", rest))),
    )
    for read in readings:
        with suppress(KeyError, TypeError, ValueError, Damaged):
            if (header := read()).name == name:
                return header.turn()
    return None


def _likely_body(begun: bytes, rest: Iterable[bytes]) -> bytes:
    """The rest of a file; `Damaged` if it needs more memory than an event of agentd would."""
    blocks, size = list[bytes](), 0
    for block in chain((begun,), rest):
        blocks.append(block)
        size += len(block)
        if size > LONGEST_SALVAGED:
            raise Damaged("it is longer than an event")
    body = b"".join(blocks)
    if outside_of_strings(body) > MOST_STRUCTURE:
        raise Damaged("it has less text than an event")
    return body


def _event(body: bytes) -> InboundEvent | OutboundEvent:
    try:
        event = decode(body)
    except ValidationError as error:
        raise Damaged(f"it does not contain an event of agentd ({fault_of(error)})") from None
    if not isinstance(event, InboundEvent | OutboundEvent):
        raise Damaged(f"it contains an event of type {event.type}")
    return event


def _any_json(line: bytes) -> dict[str, Any] | None:
    try:
        fields, _ = _parse(line.decode())
    except (ValueError, RecursionError):
        return None
    return fields if isinstance(fields, dict) else None


def _check_version(fields: dict[str, Any], path: str) -> None:
    version = fields.get("v")
    if isinstance(version, int) and version > VERSION:
        raise NewerVersion(
            f"{path} has version {version}, and this agentd reads up to {VERSION}: run the newer agentd that wrote it "
            "(at least until nothing is pending). Nothing was touched."
        )
    if version not in (1, VERSION):
        raise Damaged(f"its version is {version!r}")


def _header(fields: dict[str, Any], size: int, addresses: dict[tuple[str, ...], Address]) -> Header:
    """KeyError, TypeError or ValueError if it is not a header; an unknown kind is read as a message."""
    if "index" in fields:
        fields = _of_version_1(*fields["index"])
    event_id, answers = fields["id"], fields.get("answers")
    if not is_id(event_id):
        raise ValueError("the id of the event is not one of agentd's")
    if answers is not None and not isinstance(answers, list):
        raise TypeError("the turns that it answers are not a list")
    return Header(
        kind=_KINDS.get(fields["kind"], "message") if answers is None else "answer" if answers else "notice",
        event_id=event_id,
        turn_id=_text(fields["turn"]),
        session_id=_text(fields["session"]),
        dedupe_key=_text(fields.get("key", "")),
        address=_address(fields["address"], addresses),
        principal=_principal(fields.get("principal")),
        answers=None if answers is None else tuple(map(_text, answers)),
        size=size,
    )


def _of_version_1(
    kind: str, event_id: str, turn_id: str, session_id: str, key: str, address: list[str], answers: list[str]
) -> dict[str, Any]:
    if kind not in ("inbound", "outbound"):
        raise ValueError("it is of a kind that does not exist")
    channel, account, chat, thread = address
    return {
        "kind": "message",
        "id": event_id,
        "turn": turn_id,
        "session": session_id,
        "key": key,
        "address": {"channel": channel, "account": account, "chat": chat, "thread": thread},
        **({"answers": answers} if kind == "outbound" else {}),
    }


def _principal(fields: dict[str, Any] | None) -> Principal | None:
    return None if fields is None else Principal(kind=fields["kind"], id=fields.get("id", ""))


def _address(fields: dict[str, str], addresses: dict[tuple[str, ...], Address]) -> Address:
    key = (fields["channel"], fields.get("account", ""), fields["chat"], fields.get("thread", ""))
    address = addresses.get(key)
    if address is None:
        channel, account, chat, thread = map(_text, key)
        address = addresses[key] = Address(channel=channel, account=account, chat=chat, thread=thread)
    return address


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"a text is {type(value).__name__}")
    if not value.isascii():
        value.encode()  # Half a character is not text.
    return value
