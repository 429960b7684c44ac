"""Whatever happens to a file's bytes, it is read as it was written or not at all."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from agentd.errors import NewerVersion
from agentd.events import InboundEvent, OutboundEvent, encode
from agentd.pending.file import (
    LONGEST_HEADER,
    LONGEST_SALVAGED,
    MOST_STRUCTURE,
    VERSION,
    Damaged,
    decode_file,
    decode_header,
    digest,
    encode_file,
    header_of,
    read_header,
    salvage,
    seal,
    unseal,
)
from tests.builders import address, inbound, outbound
from tests.pending_files import sealed, version_1

EVENTS = [
    inbound("allow it", kind="decision", agent="clerk"),
    inbound("what? é\n\u2028"),
    outbound(text="that"),
    outbound(answers=()),
    outbound(inbound(), answers=("a", "b")),
]


@pytest.mark.parametrize("event", EVENTS)
def test_an_event_comes_back_as_it_was(event: InboundEvent | OutboundEvent) -> None:
    data = encode_file(event)
    assert decode_file(data, "x") == event
    assert decode_header(data, "x") == header_of(event, len(data))


def test_the_first_line_is_json_that_a_person_can_read() -> None:
    event = inbound()
    line, body = encode_file(event).split(b"\n", 1)
    header = json.loads(line)
    assert (header["v"], header["len"], header["sha256"]) == (VERSION, len(body), digest(body))
    assert (header["kind"], header["id"], header["turn"]) == ("message", event.id, event.turn_id)
    assert header["address"] == event.address.model_dump() and "answers" not in header
    assert body == encode(event)


def test_every_flipped_bit_is_found() -> None:
    data = encode_file(inbound("hello"))
    for place in range(len(data)):
        for bit in range(8):
            flipped = data[:place] + bytes([data[place] ^ (1 << bit)]) + data[place + 1 :]
            with pytest.raises(Damaged):
                decode_file(flipped, "x")


def test_every_cut_and_every_addition_is_found() -> None:
    data = encode_file(inbound("hello"))
    for length in range(len(data)):
        for torn in (data[:length], data[:length] + bytes(len(data) - length)):
            with pytest.raises(Damaged):
                decode_file(torn, "x")
    with pytest.raises(Damaged, match="bytes"):
        decode_file(data + b"x", "x")


@pytest.mark.parametrize(
    "data", [b"", b"\n", b"{}", b"[" * 100_000, b"1" * 10_000 + b"\n", b"null\n", b'{"v":"2"}\n', b"\xff\n", b"hello"]
)
def test_what_is_not_ours_is_damaged(data: bytes) -> None:
    with pytest.raises(Damaged):
        decode_header(data, "x")


@pytest.mark.parametrize("event", EVENTS)
def test_a_file_of_version_1_is_read(event: InboundEvent | OutboundEvent) -> None:
    data = version_1(event)
    assert decode_file(data, "x") == event
    found, whole = decode_header(data, "x"), header_of(event, len(data))
    assert replace(found, kind=whole.kind, principal=whole.principal) == whole


@pytest.mark.parametrize("event", EVENTS)
def test_what_a_later_agentd_added_is_passed_over(event: InboundEvent | OutboundEvent) -> None:
    body = json.loads(encode(event))
    grown = {
        **body,
        "mood": "good",
        "address": {**body["address"], "floor": 3},
        "principal": {**body["principal"], "x": 1},
    }
    address = {**event.address.model_dump(), "floor": 3}
    data = sealed(event, json.dumps(grown).encode(), priority=5, address=address, principal=grown["principal"])
    assert decode_file(data, "x") == event
    assert decode_header(data, "x") == header_of(event, len(data))


@pytest.mark.parametrize("event", EVENTS)
def test_a_header_need_not_say_whose_it_is_but_may_not_say_it_wrong(event: InboundEvent | OutboundEvent) -> None:
    data = sealed(event, principal=None)
    assert decode_file(data, "x") == event
    assert decode_header(data, "x").turn() == replace(header_of(event).turn(), principal=None)
    with pytest.raises(Damaged):
        decode_file(sealed(event, principal={"kind": "user", "id": "0815"}), "x")


@pytest.mark.parametrize("member", ["text", "address", "session_id", "principal"])
def test_a_body_that_does_not_fit_is_damaged_and_its_header_still_says_whom_to_tell(member: str) -> None:
    event = inbound()
    body = {name: value for name, value in json.loads(encode(event)).items() if name != member}
    data = sealed(event, json.dumps(body).encode())
    with pytest.raises(Damaged, match=member):
        decode_file(data, "x")
    assert salvage((data,), event.id) == header_of(event).turn()


@pytest.mark.parametrize("event", [inbound(), outbound()])
def test_of_a_kind_that_nobody_knows_it_is_known_whom_to_tell(event: InboundEvent | OutboundEvent) -> None:
    data = sealed(event, kind="whisper")
    with pytest.raises(Damaged, match="whisper"):
        decode_header(data, "x")
    found = salvage((data,), header_of(event).name)
    assert found is not None
    assert (found.address, found.outbound_id) == (event.address, header_of(event).turn().outbound_id)


@pytest.mark.parametrize("index", [[], {}, None, [1, 2, 3, 4, 5, 6, 7], ["outbound", "../x", "", "", "", [""] * 4, []]])
def test_a_sealed_line_with_other_contents_is_damaged(index: object) -> None:
    line = seal({"v": 1, "len": 0, "sha256": digest(b""), "index": index})
    with pytest.raises(Damaged):
        decode_header(line + b"\n", "x")


def test_a_newer_version_is_told_from_damage_and_names_the_file() -> None:
    with pytest.raises(NewerVersion, match=r"/pending/x\.event"):
        decode_header(seal({"v": 3, "what": "ever"}) + b"\nbody", "/pending/x.event")
    for line in (b'{"v": 99}', seal({"v": 0}), seal({"v": "2"}), seal({"v": True}), seal({})):
        with pytest.raises(Damaged):
            decode_header(line + b"\nbody", "/pending/x.event")


def test_a_line_is_unsealed_only_as_a_whole() -> None:
    line = seal({"a": 1})
    assert unseal(line) == {"a": 1, "sum": json.loads(line)["sum"]}
    assert unseal(line + b" ") is None
    assert unseal(line[1:]) is None
    assert unseal(b"") is None


def test_equal_addresses_are_one_object() -> None:
    lanes: dict[tuple[str, ...], object] = {}
    first, second = (
        read_header((encode_file(inbound(address=address(chat="7"))),), "x", lanes)  # type: ignore[arg-type]
        for _ in range(2)
    )
    assert first.address is second.address


def in_pieces(data: bytes, size: int) -> list[bytes]:
    return [data[n : n + size] for n in range(0, len(data), size)]


@pytest.mark.parametrize("size", [1, 7, 4096])
def test_a_header_is_the_same_however_the_file_is_read(size: int) -> None:
    event = inbound("x" * 300)
    data = encode_file(event)
    assert read_header(in_pieces(data, size), "x") == header_of(event, len(data))
    for bad in (data[:-1], data + b"x", data[:20], data.partition(b"\n")[0]):
        with pytest.raises(Damaged):
            read_header(in_pieces(bad, size), "x")
    assert salvage(in_pieces(b"torn" + data, size), event.id) == header_of(event).turn()


def test_a_header_without_an_end_is_not_read_to_its_end() -> None:
    blocks = iter([b"x" * LONGEST_HEADER] * 9)
    with pytest.raises(Damaged):
        read_header(blocks, "x")
    assert len(list(blocks)) == 7


@pytest.mark.parametrize("member", [b'"' + b"x" * LONGEST_SALVAGED + b'"', b"[" + b"0," * MOST_STRUCTURE + b"0]"])
def test_what_is_more_than_an_event_is_not_salvaged_from_a_body(member: bytes) -> None:
    event = inbound()
    body = encode(event)
    assert salvage((b"torn\n" + body,), event.id) == header_of(event).turn()
    assert salvage((b"torn\n" + body[:-1] + b',"more":' + member + b"}",), event.id) is None
