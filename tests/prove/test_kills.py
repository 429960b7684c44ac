"""A handful of kills of the whole daemon under load, and what counts as lost, repeated or out of order."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

from tests.prove.kills import House
from tests.prover import prove


def test_a_few_kills_of_the_daemon_under_load_lose_nothing() -> None:
    shown = prove("kill", KILLS="4")
    for count in ("kills 4", "lost 0", "buried 0", "out of order 0", "answered by two turns 0"):
        assert count in shown


def arrival(number: int, *, part: int = 0, parts: int = 1, text: str = "", **changes: Any) -> dict[str, Any]:
    line = {
        "chat": "chat-0",
        "message": f"chat-0-{number}",
        "turn": f"t{number}",
        "out": f"o{number}",
        "part": part,
        "parts": parts,
        "text": text or f"You said: {number}",
        "repeat": False,
    }
    return {**line, **changes}


def judged(folder: Path, *arrivals: dict[str, Any]) -> tuple[list[str], Counter[str]]:
    """What is found wrong when two messages were confirmed and this arrived."""
    totals: Counter[str] = Counter()
    house = House(folder / "house", random.Random(1), totals)
    for name in ("pending", "dead", "corrupt"):
        (folder / "house" / "state" / name).mkdir(parents=True)
    (folder / "house" / "inferences").touch()
    (folder / "house" / "arrived").write_text("".join(f"\n{json.dumps(line)}\n" for line in arrivals) + '{"cut')
    chat = house.feeder.chats["chat-0"]
    chat.written += ["0", "1"]
    chat.confirmed.update({0: {"t0"}, 1: {"t1"}})
    return house.judge(), totals


def test_each_message_answered_once_in_order_is_what_is_wanted(tmp_path: Path) -> None:
    assert judged(tmp_path, arrival(0), arrival(1))[0] == []


def test_a_repeat_with_a_label_is_counted(tmp_path: Path) -> None:
    wrong, totals = judged(tmp_path, arrival(0), arrival(0, repeat=True), arrival(1))
    assert wrong == [] and totals["repeats"] == 1


def test_what_is_wrong_is_found(tmp_path: Path) -> None:
    parts = [arrival(0, part=0, parts=2, text="You "), arrival(0, part=1, parts=2, text="said: 0")]
    cases: dict[str, list[dict[str, Any]]] = {
        "not answered": [arrival(0)],
        "came after": [arrival(1), arrival(0)],
        "not called a repeat": [arrival(0), arrival(0), arrival(1)],
        "the answer to something else": [arrival(0, text="You said: 1"), arrival(1)],
        "and answered by": [arrival(0), arrival(0, out="o9", repeat=True), arrival(1)],
        "number 0 was confirmed and not answered": [parts[0], arrival(1)],
        "(0, 0) came after (0, 1)": [parts[1], parts[0], arrival(1)],
    }
    for n, (words, arrivals) in enumerate(cases.items()):
        wrong, _ = judged(tmp_path / str(n), *arrivals)
        assert len(wrong) == 1 and words in wrong[0], (words, wrong)
    assert judged(tmp_path / "parts", *parts, arrival(1))[0] == []
