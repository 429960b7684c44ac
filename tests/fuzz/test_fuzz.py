"""A hundred fixed inputs of every target of the fuzzer; `make prove` feeds each for a minute."""

from __future__ import annotations

import pytest

from tests.fuzz import drive
from tests.fuzz.targets import TARGETS


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", list(TARGETS))
def test_what_must_hold_does_for_a_hundred_inputs(name: str) -> None:
    target = TARGETS[name]
    assert drive.examples(target.inputs, target.check, 100) >= 50
