"""The numbers that blocks of weights stand for, compared with the reference of the GGUF project."""

from __future__ import annotations

import gguf
import numpy as np
import pytest

from agentd.models.llama import header
from agentd.models.llama.blocks import FORMS, random_weights


@pytest.mark.parametrize("name", FORMS)
def test_a_form_is_read_as_the_reference_reads_it(name: str) -> None:
    data, numbers = random_weights(FORMS[name], 32, 512, 0.1, np.random.default_rng(1))
    kind = gguf.GGMLQuantizationType[name]
    assert (kind.value, gguf.GGML_QUANT_SIZES[kind]) == (FORMS[name].number, (FORMS[name].weights, FORMS[name].size))
    expected = gguf.dequantize(np.frombuffer(data, np.uint8).reshape(32, -1), kind)
    np.testing.assert_allclose(numbers, expected.reshape(32, 512), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", FORMS)
def test_random_weights_lie_around_zero_as_wide_as_they_were_asked_for(name: str) -> None:
    _, numbers = random_weights(FORMS[name], 64, 512, 0.1, np.random.default_rng(2))
    assert abs(float(numbers.mean())) < 0.02
    assert 0.07 < float(numbers.std()) < 0.15


def test_a_file_calls_every_form_by_the_same_name() -> None:
    assert {name: form.number for name, form in FORMS.items()}.items() <= {
        name: number for number, name in header.TYPES.items()
    }.items()
