"""`agentd model info`: what is known about a model, and how the settings and this machine would run it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agentd.cli.model_names import path_of
from agentd.config import Settings
from agentd.errors import ModelError
from agentd.models.gpu import gpu_found
from agentd.models.library.catalogue import catalogue
from agentd.models.library.shelf import Shelf
from agentd.models.llama import checks, files, machine, pace, probe, standing, verdict
from agentd.models.llama.checks import Checks
from agentd.models.llama.ways import BY_NAME, Way, allowed
from agentd.text.plain import ENDLESS, plain_line


def known(shelf: Shelf, model: str, settings: Settings) -> dict[str, Any]:
    """What is known about a model that is here or in the catalogue, and how it would run.

    If the file is not a model, `problem` says why; `ModelError` if there is no file.
    """
    facts: dict[str, Any] = {"name": model}
    layers = settings.model.gpu_layers
    gpu = gpu_found() if layers is None else layers > 0
    listed = next((listed for listed in catalogue() if listed.name == model), None)
    if listed is not None:
        facts |= {
            "catalogue": f"{listed.repo}/{listed.file}",
            "why": listed.why,
            "facts from": ", ".join(listed.sources),
        }
    path = None if listed is not None and shelf.get(model) is None else path_of(shelf, settings, model)
    if path is None:
        assert listed is not None
        used = _used(settings, listed.context)
        return facts | {
            "here": f"no; `agentd model pull {model}` gets it",
            "size": files.readable(listed.size),
            "memory": _needed(listed.memory(used), used),
            "licence": listed.licence,
            "context": listed.context,
            **_detected(settings, listed.context, gpu),
        }
    facts["path"] = str(path)
    try:
        gguf = files.inspect(path)
    except ModelError as error:
        if not path.exists():
            raise
        facts["problem"] = str(error)
    else:
        used = files.used_context(gguf, context=settings.model.context)
        facts |= {
            "size": files.readable(gguf.size),
            "memory": _needed(files.memory_of(gguf, context=used), used),
            "architecture": gguf.architecture,
            "context": gguf.context or "unknown",
            "chat template": "yes" if gguf.chat_template else "none; a common one is used",
            **_computed(shelf, gguf, allowed(gpu=bool(gpu))),
            **_habits(shelf, path, settings.model.tools),
            **_detected(settings, gguf.context, gpu),
            **_pace(shelf, settings, path),
        }
    record = next((found.record for found in shelf.models() if found.path == path), None)
    if record is not None:
        facts |= {"from": record.source, "revision": record.revision, "sha256": record.sha256}
        facts |= {"licence": record.licence or "unknown", "pulled": record.pulled.isoformat(timespec="seconds")}
    return facts


def _habits(shelf: Shelf, path: Path, tools: str) -> dict[str, str]:
    """What the trial found out about the model, and what follows from it."""
    found = probe.known(Checks(shelf.directory / checks.NAME), path)
    unknown = "not known yet; a trial runs when the model is loaded and nobody asks, or with `agentd model check`"
    told = {"on": "offered, as model.tools says", "off": "not offered, as model.tools says"}.get(tools, unknown)
    if found is not None and (tools == "auto" or not found.knows):
        advice = "" if not found.knows else f'; model.tools = "{"off" if found.tools else "on"}" overrides that'
        told = f"{'offered' if found.tools else 'not offered'}: {found.calling}{advice}"
    return {"tools": told, "citations": unknown if found is None else found.citing}


def _computed(shelf: Shelf, gguf: files.Gguf, ways: Sequence[Way]) -> dict[str, str]:
    """How llama.cpp runs it here, or why it does not."""
    kept = Checks(shelf.directory / checks.NAME)
    known, found = standing.read(kept, gguf.path), verdict.kept(kept, gguf.types, ways)
    told = "not tested yet; a test runs when the model is first loaded, or with `agentd model check`"
    if known.way in BY_NAME:
        told = f"{known.way}: {verdict.switched_off(BY_NAME[known.way], ways[0], known.why)}"
    elif found is not None:
        told = (
            "no way works here"
            if found.way is None
            else ": ".join(filter(None, (found.way.name, found.switched_off(ways))))
        )
    facts = {"weights": ", ".join(gguf.types), "llama.cpp": told}
    return facts | {"set aside": known.aside} if known.aside else facts


def _needed(memory: int, context: int) -> str:
    return f"{files.readable(memory)} with a context of {context} tokens"


def _used(settings: Settings, own: int) -> int:
    """The context that a model gets; it was trained for `trained` tokens, 0 if that is not known."""
    return min(settings.model.context, own or settings.model.context)


def _detected(settings: Settings, own: int, gpu: bool | None) -> dict[str, Any]:
    """How the settings and this machine would run it."""
    model, used, available = settings.model, _used(settings, own), machine.available_memory()
    limit = "" if used == model.context else f", the model's own limit (model.context is {model.context})"
    layers: object = model.gpu_layers
    if layers is None:
        layers = {True: "all: there is a GPU", False: "0: llama.cpp finds no GPU", None: "unknown"}[gpu]
    return {
        "context used": f"{used} tokens{limit}",
        "threads": model.threads or f"{machine.free_threads()}, from the number of cores",
        "gpu layers": layers,
        "conversations": f"{model.sequences} at once,"
        f" {files.readable(model.spill_bytes)} for those that no longer fit the cache",
        "free memory": files.readable(available) if available is not None else "unknown",
    }


def _pace(shelf: Shelf, settings: Settings, path: Path) -> dict[str, Any]:
    """How fast it is here, and how long a prompt may be if the first text is to come in time."""
    model = settings.model
    found = pace.known(Checks(shelf.directory / checks.NAME), path, model.threads or machine.free_threads())
    if found is None:
        return {"speed": "not measured yet; that happens when the model is loaded"}
    return {
        "speed": f"reads {found.read:,.0f} tokens/s, writes {found.write:,.1f} tokens/s",
        "first text": f"wanted within {model.first_text:g} s, enough to read {found.read * model.first_text:,.0f}"
        " tokens (model.first_text)",
    }


def info_lines(facts: dict[str, Any]) -> list[str]:
    """One line for each fact, except the problem, which becomes the command's error."""
    shown = {name: value for name, value in facts.items() if name != "problem"}
    width = max(map(len, shown))
    return [f"{name:<{width}}  {plain_line(str(value), ENDLESS)}" for name, value in shown.items()]
