"""The end of every benchmark: rows of one form, printed as a table, written as JSON and drawn as a picture."""

from __future__ import annotations

import importlib
import json
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any, Literal

PICTURES = Path(__file__).resolve().parent.parent / "docs" / "benchmarks"


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One comparison; `ratio` > 1 means that agentd is better, whatever the unit. Without a peer it is 0.

    A value from a sample has the size `n` and 95 % intervals.
    """

    name: str
    value: float
    unit: str
    peer: str = ""
    peer_value: float = 0.0
    ratio: float = 0.0
    n: int = 0
    interval: tuple[float, float] = (0.0, 0.0)
    peer_interval: tuple[float, float] = (0.0, 0.0)


def compare(
    name: str, unit: str, ours: Sequence[float], peer: str, theirs: Sequence[float], *, better: Literal["more", "less"]
) -> Row:
    """A row with the medians of interleaved rounds and their ratio."""
    value, peer_value = statistics.median(ours), statistics.median(theirs)
    over, under = (value, peer_value) if better == "more" else (peer_value, value)
    return Row(name=name, value=value, unit=unit, peer=peer, peer_value=peer_value, ratio=over / under)


def limited(name: str, value: float, unit: str, limit: float) -> Row:
    """A row with a value that should stay below a limit."""
    return Row(name=name, value=value, unit=unit, peer="limit", peer_value=limit, ratio=limit / max(value, 0.001))


def shown(name: str, unit: str, values: Sequence[float]) -> Row:
    """A row with a median that is only shown, and compared with nothing."""
    return Row(name=name, value=statistics.median(values), unit=unit)


def table(rows: Sequence[Row]) -> str:
    """The rows as aligned text; first the comparisons, then the values that are only shown."""
    cells: list[tuple[str, ...]] = [("", "ours", "", "95 %", "peer", "", "95 %", "ratio", "n")]
    for row in sorted(rows, key=lambda row: not row.peer):
        ours = (row.name, number(row.value), row.unit, _interval(row.n, row.interval))
        peer = (row.peer, number(row.peer_value), _interval(row.n, row.peer_interval), f"{row.ratio:.2f}")
        cells.append((*ours, *(peer if row.peer else ("", "", "", "")), str(row.n) if row.n else ""))
    if not any(row.n for row in rows):
        cells = [tuple(cell for n, cell in enumerate(line) if n not in (3, 6, 8)) for line in cells]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    numeric = (1, 5, 7, 8) if len(widths) > 6 else (1, 4, 5)
    lines = [
        "  ".join(
            cell.rjust(width) if n in numeric else cell.ljust(width)
            for n, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in cells
    ]
    return "\n".join(line.rstrip() for line in lines)


def _interval(n: int, ends: tuple[float, float]) -> str:
    return f"{number(ends[0])} - {number(ends[1])}" if n else ""


def number(value: float) -> str:
    """Three significant digits, without an exponent."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def write_json(rows: Sequence[Row], path: Path) -> None:
    """Write the agreed members, and for a sample its size and intervals."""
    path.write_text(json.dumps([_members(row) for row in rows], indent=2) + "\n")


def _members(row: Row) -> dict[str, object]:
    sampled = ("n", "interval", "peer_interval")
    return {name: value for name, value in asdict(row).items() if row.n or name not in sampled}


@dataclass(frozen=True, kw_only=True, slots=True)
class Panel:
    """Groups of bars: `series` maps a name to one value for each of `groups`."""

    title: str
    unit: str
    groups: Sequence[str]
    series: Mapping[str, Sequence[float]]
    logarithmic: bool = False


COLUMNS = 4
"""How many panels are side by side; more go below."""


def draw(panels: Sequence[Panel], path: Path, *, title: str) -> bool:
    """Draw panels as SVG, without a bar for NaN; False if matplotlib, which the `bench` group installs, is missing."""
    try:
        plt: Any = importlib.import_module("matplotlib.pyplot")
    except ImportError:
        return False
    plt.switch_backend("svg")
    with plt.rc_context({"svg.fonttype": "none", "svg.hashsalt": "agentd", "font.size": 9}):
        lines = math.ceil(len(panels) / COLUMNS)
        columns = math.ceil(len(panels) / lines)
        figure, axes = plt.subplots(
            lines, columns, figsize=(4.6 * columns, 3.6 * lines), squeeze=False, layout="constrained"
        )
        figure.suptitle(title)
        for axis, panel in zip_longest(axes.flat, panels):
            if panel is None:
                axis.set_axis_off()
            else:
                _bars(axis, panel)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata={"Date": None})
        plt.close(figure)
    return True


def _bars(axis: Any, panel: Panel) -> None:
    width = 0.8 / len(panel.series)
    for n, (name, values) in enumerate(panel.series.items()):
        places = [group + (n - (len(panel.series) - 1) / 2) * width for group in range(len(panel.groups))]
        bars = axis.bar(places, values, width, label=name)
        axis.bar_label(bars, ["" if math.isnan(value) else number(value) for value in values], fontsize=7, padding=1)
    axis.set_xticks(range(len(panel.groups)), panel.groups)
    axis.set_title(panel.title, fontsize=10)
    axis.set_ylabel(panel.unit)
    axis.margins(y=0.15)
    if panel.logarithmic:
        axis.set_yscale("log")
    axis.spines[["top", "right"]].set_visible(False)
    # The legend is below, where it cannot hide a bar.
    axis.legend(fontsize=8, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=2)
