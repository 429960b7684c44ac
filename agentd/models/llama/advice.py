"""How the makers of a model advise to sample from it: its file says so, or else the model card of its family."""

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
"""Name in the metadata of a GGUF file (llama.cpp, src/llama-arch.cpp) -> our name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Advice:
    """The defaults count if neither the settings nor the makers say anything: llama.cpp's own, a little calmer."""

    temperature: float = 0.7
    top_k: int = 40
    top_p: float = 0.95
    min_p: float = 0.05
    repeat_penalty: float = 1.0


NO_ADVICE = Advice()
"""For a model whose makers are unknown."""

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
"""A part of `general.name` -> the settings on the family's model card or in its generation_config.json."""


def advice_of(name: str, metadata: Mapping[str, object]) -> Advice:
    """The advice of the family, which `general.name` shows; what the metadata of the file say comes first."""
    known = name.lower().replace("_", "-")
    family = next((advice for piece, advice in _FAMILIES if piece in known), NO_ADVICE)
    own = {
        ours: metadata[SAMPLING + theirs]
        for theirs, ours in _KEYS.items()
        if isinstance(metadata.get(SAMPLING + theirs), int | float)
    }
    if "top_k" in own:
        own["top_k"] = int(float(str(own["top_k"])))
    return Advice(**{**asdict(family), **own})


def settled(sampling: Sampling, advice: Advice) -> Advice:
    """The settings; the advice fills in what they leave open."""
    found = {name: getattr(sampling, name) for name in asdict(advice)}
    return replace(advice, **{name: value for name, value in found.items() if value is not None})
