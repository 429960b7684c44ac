from __future__ import annotations

import ctypes
import faulthandler
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agentd.models.llama import isolate, selftest
from agentd.models.llama.blocks import FORMS
from agentd.models.llama.driver import Driver
from agentd.models.llama.native import native
from agentd.models.llama.sampler import Sampler
from agentd.models.llama.selftest import Trials, alike
from agentd.models.llama.specimen import Specimen
from agentd.models.llama.ways import PLAINEST, WAYS, allowed

pytestmark = pytest.mark.native


@pytest.mark.parametrize("way", WAYS, ids=[way.name for way in WAYS])
def test_every_way_computes_rightly_with_the_forms_of_common_files(tmp_path: Path, way: Any) -> None:
    assert Trials(tmp_path, ("F32", "Q4_K", "Q6_K", "Q4_1")).problem(way, selftest.several()) == ""


def test_every_form_is_computed_rightly_in_the_fastest_and_the_plainest_way(tmp_path: Path) -> None:
    trials = Trials(tmp_path, FORMS)
    assert [trials.problem(way, (1,)) for way in (allowed(gpu=False)[0], PLAINEST)] == ["", ""]


def test_a_form_that_it_does_not_know_is_passed_over(tmp_path: Path) -> None:
    assert Trials(tmp_path, ["IQ2_XXS"]).problem(PLAINEST, (1,)) == ""


def test_rounding_is_allowed_and_a_scale_a_sign_or_a_row_that_is_wrong_is_not() -> None:
    expected = Specimen("Q4_0").logits([270, 271, 272])
    noise = np.random.default_rng(0).standard_normal(expected.shape).astype(np.float32)
    assert alike(expected + 0.016 * noise, expected)
    assert not alike(expected * 1.1, expected)
    assert not alike(-expected, expected)
    row = expected.copy()
    row[:, 17] = row[:, 18]
    assert not alike(row, expected)
    assert not alike(expected * np.nan, expected)


def broken_logits(self: Driver, span: int, ahead: int = 0) -> Any:
    return np.zeros(self.vocabulary.size, "float32")


def crash(*arguments: object) -> int:
    faulthandler.disable()
    return int(ctypes.memset(1, 0, 1))


def nothing(*arguments: object) -> None:
    """Does not do what it should."""


BREAKS = {
    "wrong numbers": (Driver, "logits", broken_logits, "a batch of two sequences gives wrong numbers"),
    "a cut that cuts nothing": (Driver, "keep", lambda *_: True, "a sequence that was cut"),
    "a copy that copies nothing": (Driver, "copy", nothing, "a copied beginning"),
    "a copy of everything": (
        Driver,
        "copy",
        lambda self, source, target, _: native.llama_memory_seq_cp(self._memory, source, target, 0, -1),
        "a copied beginning",
    ),
    "a state that restores nothing": (Driver, "restore", lambda *_: True, "a sequence that was restored"),
    "other properties": (Driver, "facts", lambda _: (512, 3, 1), "(512, 3, 1)"),
    "a crash": (Driver, "restore", crash, "killed by SIGSEGV"),
    "a sampler with other arguments": (
        Sampler,
        "sample",
        lambda *_: 7,
        "the likeliest token",
    ),
    "a grammar that binds nothing": (Sampler, "constrain", nothing, "a grammar does not bind"),
}


@pytest.mark.parametrize(("owner", "name", "broken", "words"), BREAKS.values(), ids=BREAKS.keys())
def test_a_call_that_does_something_else_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: type, name: str, broken: object, words: str
) -> None:
    monkeypatch.setattr(owner, name, broken)
    assert words in Trials(tmp_path, ()).problem(PLAINEST, (1,))


def test_numbers_that_are_wrong_with_one_form_or_with_several_threads_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logits = Driver.logits

    def faulty(self: Driver, span: int, ahead: int = 0) -> Any:
        found = logits(self, span, ahead)
        return found[::-1] if self.facts()[2] > 1 else found

    monkeypatch.setattr(Driver, "logits", faulty)
    trials = Trials(tmp_path, ["Q8_0"])
    assert trials.problem(PLAINEST, (1,)) == ""
    assert "wrong numbers with Q8_0 " in trials.problem(PLAINEST, (1, 2))


def test_a_trial_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolate, "WAIT_SECONDS", 0.3)
    monkeypatch.setattr(Driver, "decode", lambda *_: time.sleep(60))
    assert Trials(tmp_path, ()).problem(PLAINEST, (1,)).endswith(" 0.3 s")
