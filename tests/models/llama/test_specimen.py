from __future__ import annotations

from pathlib import Path

import numpy as np

from agentd.models.llama import files
from agentd.models.llama.blocks import FORMS
from agentd.models.llama.specimen import NAMES, Specimen


def test_it_is_a_whole_file_of_the_form_that_was_asked_for(tmp_path: Path) -> None:
    for form in FORMS:
        (tmp_path / "specimen.gguf").write_bytes(Specimen(form).file())
        gguf = files.inspect(tmp_path / "specimen.gguf")
        assert (gguf.architecture, gguf.types) == ("llama", (form,))
        assert gguf.size < 10_000_000


def test_it_is_the_same_each_time() -> None:
    assert Specimen("Q4_K").file() == Specimen("Q4_K").file()


def test_what_follows_a_token_depends_on_all_before_it_and_on_none_after_it() -> None:
    one, other = Specimen("F32").logits([5, 6, 7, 8]), Specimen("F32").logits([9, 6, 7, 4])
    assert one.shape == (4, len(NAMES))
    assert not np.allclose(one[2], other[2], atol=0.05)
    np.testing.assert_allclose(one[:3], Specimen("F32").logits([5, 6, 7]), atol=1e-4)
