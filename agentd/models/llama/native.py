"""The low-level binding of llama.cpp, its log, and the reason why the last call failed."""

from __future__ import annotations

import ctypes
import logging
import os
import re
from collections import deque
from typing import Any

import llama_cpp.llama_cpp as _llama_cpp

from agentd.errors import ModelError
from agentd.models.llama.ways import Way

log = logging.getLogger(__name__)

native: Any = _llama_cpp

_LEVELS = {1: logging.DEBUG, 2: logging.DEBUG, 3: logging.WARNING, 4: logging.ERROR}
"""Of `enum ggml_log_level` (ggml.h). What llama.cpp writes at every start only helps to find a fault."""
_HARMLESS = re.compile(
    r"control-looking token|special_e\w+_id is not in special_eog_ids|from EOG list|missing newline token"
)
"""Warnings about small faults of a model file, which llama.cpp mends itself while it loads the file."""
_FLASH_AUTO, _FLASH_OFF = -1, 0
"""Of `enum llama_flash_attn_type`."""
_NO_DEVICES = (ctypes.c_void_p * 1)()
"""A list that ends with its first entry."""
_last_words: deque[str] = deque(maxlen=8)
"""The newest errors of llama.cpp; its calls only say that they failed."""


def _on_log(level: int, text: bytes, _: Any) -> None:
    ours = _LEVELS.get(level)
    if ours is None or not (ours == logging.ERROR or log.isEnabledFor(ours)):
        return
    for line in filter(None, map(str.strip, text.decode("utf-8", "replace").splitlines())):
        harmless = ours == logging.WARNING and _HARMLESS.search(line)
        log.log(logging.DEBUG if harmless else ours, "llama.cpp: %s", line)
        if ours == logging.ERROR:
            _last_words.append(line)


_log_callback = native.llama_log_callback(_on_log)


def begin() -> None:
    """Call this before a model is loaded; it may be repeated. `ModelError` if llama.cpp cannot run here."""
    native.llama_log_set(_log_callback, None)
    native.llama_backend_init()
    _load_kernels()


def _load_kernels() -> None:
    """Load the kernels for this processor, if several were compiled (llama.cmake); otherwise they are loaded already.

    libllama loads them, not a libggml that is opened by its path, because that may be a second copy with its own
    registry. llama.cpp itself would look for them beside the running program, which is Python.
    """
    library = native._lib
    if library.ggml_backend_reg_count() == 0:
        library.ggml_backend_load_all_from_path(os.fsencode(native._base_path))
    if library.ggml_backend_reg_count() == 0:
        raise ModelError(
            f"llama.cpp in {native._base_path} has no code that this processor can run; docs/dependencies.md says how"
            " to compile it for this machine."
        )


def model_parameters(way: Way, gpu_layers: int) -> Any:
    """The parameters with which a model is loaded that will compute in this way."""
    parameters = native.llama_model_default_params()
    parameters.n_gpu_layers = gpu_layers if way.gpu else 0
    parameters.use_extra_bufts = way.repack
    if not way.gpu:
        parameters.devices = ctypes.cast(_NO_DEVICES, ctypes.c_void_p)
    return parameters


def use_way(settings: Any, way: Way) -> None:
    """Change the settings of a context so that it computes in this way."""
    settings.flash_attn_type = _FLASH_AUTO if way.flash else _FLASH_OFF
    settings.offload_kqv = settings.op_offload = way.gpu


def finds_gpu() -> bool:
    """Whether a model can use a GPU: llama.cpp was built for one, and the machine has it."""
    begin()
    return bool(native.llama_supports_gpu_offload())


def reason() -> str:
    """The first error of llama.cpp since the last call of this; later errors only repeat that something failed."""
    found = _last_words[0] if _last_words else "it gives no reason"
    _last_words.clear()
    return found.removesuffix(".")
