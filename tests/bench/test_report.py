"""What every benchmark prints and writes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.report import Panel, Row, compare, draw, number, shown, table, write_json


def test_a_ratio_above_one_means_that_ours_is_better_whatever_the_unit() -> None:
    more = compare("rate", "1/s", [100, 120, 90], "peer", [50, 60, 40], better="more")
    less = compare("wait", "ms", [10, 12, 9], "peer", [20, 30, 10], better="less")
    assert (more.value, more.peer_value, more.ratio) == (100, 50, 2.0)
    assert (less.value, less.peer_value, less.ratio) == (10, 20, 2.0)


def test_the_table_has_what_is_compared_first() -> None:
    lines = table(
        [shown("alone", "s", [1]), Row(name="judged", value=1234.5, unit="s", peer="p", peer_value=2, ratio=3)]
    )
    _, judged, alone = lines.splitlines()
    assert judged.split() == ["judged", "1,234", "s", "p", "2", "3.00"]
    assert alone.split() == ["alone", "1", "s"]


def test_numbers_keep_three_digits_and_no_exponent() -> None:
    assert [number(value) for value in (0.01234, 1.5, 99.95, 123456.7)] == ["0.0123", "1.5", "100", "123,457"]


def test_the_json_has_exactly_the_agreed_members(tmp_path: Path) -> None:
    write_json([shown("alone", "s", [2.0])], tmp_path / "rows.json")
    (row,) = json.loads((tmp_path / "rows.json").read_text())
    assert row == {"name": "alone", "value": 2.0, "unit": "s", "peer": "", "peer_value": 0.0, "ratio": 0.0}


def test_a_picture_that_cannot_be_drawn_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> object:
        raise ImportError(name)

    monkeypatch.setattr("importlib.import_module", missing)
    panel = Panel(title="t", unit="u", groups=["a"], series={"x": [1.0]})
    assert not draw([panel], tmp_path / "p.svg", title="t") and not (tmp_path / "p.svg").exists()
