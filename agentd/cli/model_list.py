"""`agentd model list`: the models on this machine, those that can be had, and what suits the machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from agentd.cli.model_names import by_name
from agentd.config import Settings
from agentd.errors import ModelError
from agentd.models.catalogue import entries, recommended
from agentd.models.llama import files, machine
from agentd.models.shelf import Shelf


def listed(shelf: Shelf, settings: Settings) -> dict[str, Any]:
    """Machine and models as JSON values; sizes and memory are bytes, None where they are not known."""
    context, available, threads = settings.model.context, machine.available_memory(), machine.free_threads()
    best = recommended(available=available, threads=threads, context=context)
    here, chosen = by_name(shelf, settings), shelf.answering(settings.model.path)
    licences = {model.name: model.record.licence for model in shelf.models() if model.record}
    rows = [
        {
            "name": name,
            "path": str(path),
            "here": path.is_file(),
            "chosen": path == chosen,
            "size": path.stat().st_size if path.is_file() else None,
            "memory": _memory(path, context),
            "licence": licences.get(name, ""),
            "why": next((entry.why for entry in entries() if entry.name == name), ""),
        }
        for name, path in here.items()
    ] + [
        {
            "name": entry.name,
            "path": None,
            "here": False,
            "chosen": False,
            "size": entry.size,
            "memory": entry.memory(context),
            "licence": entry.licence,
            "why": entry.why,
        }
        for entry in entries()
        if entry.name not in here
    ]
    return {
        "machine": {"available_memory": available, "free_threads": threads, "context": context},
        "models": rows,
        "chosen": str(chosen) if chosen else None,
        "recommended": best.name,
    }


def _memory(path: Path, context: int) -> int | None:
    try:
        return files.memory_of(files.inspect(path), context=context)
    except ModelError:
        return None


def list_lines(rows: dict[str, Any]) -> list[str]:
    """A table, and what to do next."""
    available, best = rows["machine"]["available_memory"], rows["recommended"]
    cells = [("", "NAME", "SIZE", "MEMORY", "LICENCE", "")]
    for row in rows["models"]:
        memory = row["memory"]
        notes = ["chosen" if row["chosen"] else "here"] if row["path"] else []
        if memory is None:
            notes.append("cannot be used; `agentd model info` says why")
        elif available is not None and memory > available:
            notes.append("more than is free here")
        if row["name"] == best:
            notes.append("recommended here")
        size, needed = (files.readable(of) if of is not None else "?" for of in (row["size"], memory))
        cells.append(("*" if row["chosen"] else "", row["name"], size, needed, row["licence"], ", ".join(notes)))
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(map(str.ljust, line, widths)).rstrip() for line in cells]
    free = f"{files.readable(available)} of memory" if available is not None else "an unknown amount of memory"
    threads = rows["machine"]["free_threads"]
    cores = "1 core" if threads == 1 else f"{threads} cores"
    lines.append(
        f"\nMemory is for a context of {rows['machine']['context']} tokens, or a model's own where that is smaller;"
        f" {free} and {cores} are free."
    )
    if rows["chosen"] is None:
        lines.append(f"No model is chosen. `agentd model pull {best} --use` gets the recommended one.")
    else:
        lines.append(f"The chosen model is {rows['chosen']}.")
    return lines
