"""A fixed script of every move of the pending directory, and the leftovers of a process that ended badly."""

from __future__ import annotations

from pathlib import Path

from tests.builders import inbound, outbound
from tests.prove.told import Told


async def every_move(told: Told, *, first: int) -> None:
    """The same moves on the same ids each time; `first` tells two runs on one directory apart."""
    ids = [f"{first:08x}{n:08x}-00000000" for n in range(20)]
    asked = [inbound(f"question {n}", id=ids[n], message_id=f"{n}", dedupe_key=f"{first}-{n}") for n in range(5)]
    for event in asked:
        await told.accept(event)
    await told.started(ids[0])
    answer = outbound(asked[0], "one, " + "two, " * 1000, id=ids[10])
    await told.answer(answer)
    await told.sending(ids[0], ["one, ", "two"])
    await told.part(ids[0], 0)
    await told.defer(ids[0], 1)
    await told.sending(ids[0], [])
    await told.bury(ids[1], outbound(asked[1], "it was put aside", id=ids[11], answers=()))
    await told.bury(ids[0])
    await told.retry(ids[0], ids[10])
    await told.part(ids[0], 1)
    await told.ack(ids[0])
    await told.retry(ids[1], ids[1])
    await told.answer(outbound(asked[1], "together", id=ids[12], answers=(ids[1], ids[2])))
    await told.ack(ids[1])
    await told.bury(ids[3])
    await told.drop(ids[3], ids[3])
    await told.bury(ids[4])
    await told.sending(ids[11], ["it was put aside"])


def leave_something(state: Path) -> None:
    """What a process may leave that died, and what somebody may put there who does not know better."""
    pending = state / "pending"
    name = "00000003000000aa-00000000"
    (pending / f"{name}.event").write_bytes(b'{"v":1,"len":5')
    (pending / f"{name}.log").write_bytes(b"torn")
    (pending / "00000003000000ab-00000000.event").write_bytes(b"")
    (pending / "00000003000000ac-00000000.log").write_bytes(b"\n")
    (pending / "00000003000000ad-00000000.3.tmp").write_bytes(b"unfinished")
    (pending / "letter.txt").write_bytes(b"not one of ours")
    dead = next((state / "dead").glob("*.event"))
    (pending / dead.name).write_bytes(dead.read_bytes())
