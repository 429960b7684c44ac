"""How a model's makers advise to sample from it: by what its file says, else by what the card of its family says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

from agentd.models.llama.files import SAMPLING
from agentd.ports.generation import Sampling

_KEYS = {
    "temp": "temperature",
    "top_k": "top_k",
    "top_p": "top_p",
    "min_p": "min_p",
    "penalty_repeat": "repeat_penalty",
}
"""What the metadata of a GGUF file calls them (llama.cpp, src/llama-arch.cpp) and what we do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Advice:
    """What counts if neither the settings nor the model's makers say anything: llama.cpp's own defaults, calmer."""

    temperature: float = 0.7
    top_k: int = 40
    top_p: float = 0.95
    min_p: float = 0.05
    repeat_penalty: float = 1.0


NO_ADVICE = Advice()
"""Of makers who are not known."""

_FAMILIES = (
    ("smollm2", Advice(temperature=0.2, top_k=0, top_p=0.9, min_p=0.0)),
    ("smollm3", Advice(temperature=0.6, top_k=0, top_p=0.95, min_p=0.0)),
    ("qwen3", Advice(temperature=0.7, top_k=20, top_p=0.8, min_p=0.0)),
    ("qwen2.5", Advice(temperature=0.7, top_k=20, top_p=0.8, min_p=0.0, repeat_penalty=1.1)),
    ("gemma", Advice(temperature=1.0, top_k=64, top_p=0.95, min_p=0.0)),
    ("granite", Advice(temperature=0.0)),
    ("llama-3", Advice(temperature=0.6, top_k=0, top_p=0.9, min_p=0.0)),
    ("llama 3", Advice(temperature=0.6, top_k=0, top_p=0.9, min_p=0.0)),
    ("phi-4", Advice(temperature=0.8, top_k=0, top_p=0.95, min_p=0.0)),
    ("lfm2", Advice(temperature=0.3, min_p=0.15, repeat_penalty=1.05)),
)
"""A piece of `general.name` -> the settings on the family's model card or in its generation_config.json."""


def advice_of(name: str, metadata: Mapping[str, object]) -> Advice:
    """The family's advice by `general.name`, with what the file's own metadata say in its place."""
    known = name.lower().replace("_", "-")
    family = next((advice for piece, advice in _FAMILIES if piece in known), NO_ADVICE)
    told = {
        ours: metadata[SAMPLING + theirs]
        for theirs, ours in _KEYS.items()
        if isinstance(metadata.get(SAMPLING + theirs), int | float)
    }
    if "top_k" in told:
        told["top_k"] = int(float(str(told["top_k"])))
    return Advice(**{**asdict(family), **told})


def settled(sampling: Sampling, advice: Advice) -> Advice:
    """The settings, with the advice in the place of what they leave open."""
    found = {name: getattr(sampling, name) for name in asdict(advice)}
    return replace(advice, **{name: value for name, value in found.items() if value is not None})
