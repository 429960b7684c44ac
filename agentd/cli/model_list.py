"""`agentd model list`: the models on this machine, those that can be pulled, and what suits the machine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from agentd.cli.model_names import by_name
from agentd.config import Settings
from agentd.errors import ModelError
from agentd.models.expected import Expected, Ran, of_model, of_size, ran_here
from agentd.models.library.catalogue import Listed, catalogue, recommended
from agentd.models.library.shelf import Shelf, size_of
from agentd.models.library.sources import SUFFIX
from agentd.models.llama import checks, files, machine
from agentd.models.llama.checks import Checks

LEAST_TOKENS = 300
"""A recommended model reads at least this many tokens in `model.first_text` seconds: the best two passages."""
LEAST_WRITE = 4.0
"""A recommended model writes at least this many tokens per second: about as fast as a person reads aloud."""


def listed(shelf: Shelf, settings: Settings) -> dict[str, Any]:
    """Machine and models as JSON values; sizes and memory are in bytes, None if unknown.

    The `pace` of a model is in tokens per second: measured here, or estimated from the model in the file `by`.
    """
    context, available, threads = settings.model.context, machine.available_memory(), machine.free_threads()
    here, chosen = by_name(shelf, settings), shelf.answering(settings.model.path)
    ran = ran_here(Checks(shelf.directory / checks.NAME))
    least_read = LEAST_TOKENS / settings.model.first_text
    best = recommended(
        available=available,
        threads=threads,
        context=context,
        quick=lambda one: _is_quick(_of_catalogue(one, shelf, ran), least_read),
    )
    licences = {model.name: model.record.licence for model in shelf.models() if model.record}
    rows = [
        {
            "name": name,
            "path": str(path),
            "here": path.is_file(),
            "chosen": path == chosen,
            "size": size_of(path) if path.is_file() else None,
            "memory": _memory(path, context),
            "pace": _pace(of_model(path, ran)),
            "licence": licences.get(name, ""),
            "why": next((one.why for one in catalogue() if one.name == name), ""),
        }
        for name, path in here.items()
    ] + [
        {
            "name": one.name,
            "path": None,
            "here": False,
            "chosen": False,
            "size": one.size,
            "memory": one.memory(context),
            "pace": _pace(of_size(one.size, ran)),
            "licence": one.licence,
            "why": one.why,
        }
        for one in catalogue()
        if one.name not in here
    ]
    return {
        "machine": {"available_memory": available, "free_threads": threads, "context": context},
        "models": rows,
        "chosen": str(chosen) if chosen else None,
        "recommended": best.name,
    }


def _of_catalogue(one: Listed, shelf: Shelf, ran: Sequence[Ran]) -> Expected | None:
    """A row of the catalogue; if the model was pulled, the sizes are those of the file."""
    pulled = shelf.get(one.name)
    return of_size(one.size, ran) if pulled is None else of_model(pulled.path, ran)


def _is_quick(expected: Expected | None, least_read: float) -> bool | None:
    """Whether a model is fast enough; None if its speed is not known (0 means unknown)."""
    if expected is None or not (expected.pace.read and expected.pace.write):
        return None
    return expected.pace.read >= least_read and expected.pace.write >= LEAST_WRITE


def _pace(expected: Expected | None) -> dict[str, Any] | None:
    if expected is None:
        return None
    return {"read": round(expected.pace.read, 1), "write": round(expected.pace.write, 1), "by": expected.by}


def _memory(path: Path, context: int) -> int | None:
    try:
        return files.memory_of(files.inspect(path), context=context)
    except ModelError:
        return None


def list_lines(rows: dict[str, Any]) -> list[str]:
    """A table, and what to do next."""
    cells = [
        ("", "NAME", "SIZE", "MEMORY", "READS", "WRITES", "LICENCE", ""),
        *(_cells(row, rows) for row in rows["models"]),
    ]
    columns = list(zip(*cells, strict=True))
    if all(row["pace"] is None for row in rows["models"]):
        columns = [column for column in columns if column[0] not in ("READS", "WRITES")]
    widths = [max(map(len, column)) for column in columns]
    lines = ["  ".join(map(str.ljust, line, widths)).rstrip() for line in zip(*columns, strict=True)]
    return [*lines, "", *_explanation(rows)]


def _cells(row: dict[str, Any], rows: dict[str, Any]) -> tuple[str, ...]:
    size, needed = (files.readable(of) if of is not None else "?" for of in (row["size"], row["memory"]))
    speeds = [_speed(row["pace"], which) for which in ("read", "write")]
    return (
        "*" if row["chosen"] else "",
        row["name"],
        size,
        needed,
        *speeds,
        row["licence"],
        ", ".join(_notes(row, rows)),
    )


def _speed(pace: dict[str, Any] | None, which: str) -> str:
    """Tokens per second; an estimate has a tilde before it."""
    if pace is None or not pace[which]:
        return "?"
    speed = pace[which]
    return ("~" if pace["by"] else "") + (f"{speed:,.0f}/s" if speed >= 10 else f"{speed:.1f}/s")


def _notes(row: dict[str, Any], rows: dict[str, Any]) -> Iterator[str]:
    memory, available = row["memory"], rows["machine"]["available_memory"]
    if row["path"]:
        yield "chosen" if row["chosen"] else "here" if row["here"] else "chosen earlier"
    if row["path"] and not row["here"]:
        yield f"its file is gone ({row['path']})"
    elif memory is None:
        yield "cannot be used; `agentd model info` says why"
    elif available is not None and memory > available:
        yield "more than is free here"
    if row["name"] == rows["recommended"]:
        yield "recommended here"


def _references(rows: dict[str, Any]) -> list[str]:
    """The models from which the speeds of others are estimated."""
    by = (row["pace"]["by"].removesuffix(SUFFIX) for row in rows["models"] if row["pace"] is not None)
    return sorted({name for name in by if name})


def _explanation(rows: dict[str, Any]) -> Iterator[str]:
    available, best = rows["machine"]["available_memory"], rows["recommended"]
    free = f"{files.readable(available)} of memory" if available is not None else "an unknown amount of memory"
    threads = rows["machine"]["free_threads"]
    cores = "1 core" if threads == 1 else f"{threads} cores"
    yield (
        f"Memory is for a context of {rows['machine']['context']} tokens, or a model's own if that is smaller;"
        f" {free} and {cores} are free."
    )
    if any(row["pace"] is not None for row in rows["models"]):
        told = "READS and WRITES are tokens per second on this machine"
        names = _references(rows)
        yield f"{told}; ~ is estimated by size from {' and '.join(names)}, which ran here." if names else f"{told}."
    else:
        yield "The speed here is known after a model has answered; until then the number of free cores decides."
    if rows["chosen"] is None:
        yield f"No model is chosen. `agentd model pull {best} --use` gets the recommended one."
    else:
        yield f"The chosen model is {rows['chosen']}."
