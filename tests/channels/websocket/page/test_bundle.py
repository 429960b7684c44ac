"""Modules become one script, each of them once, after those that it imports."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from channels.websocket.page.bundle import joined


def script(folder: Path, **modules: str) -> str:
    """The script that these modules make; the one called `main` is its entry."""
    for name, text in modules.items():
        (folder / f"{name}.js").write_text(text)
    return joined(folder / "main.js")


def test_each_module_stands_once_behind_those_that_it_imports(tmp_path: Path) -> None:
    text = script(
        tmp_path,
        main='import { a } from "./a.js";\nimport { b } from "./b.js";\na(b);\n',
        a='import { b } from "./b.js";\nexport function a() { return b; }\nexport async function later() {}\n',
        b="export const b = 1;\nexport class C {}\nconst own = 2;\n",
    )
    assert re.findall(r"^// (\w+)\.js$", text, re.MULTILINE) == ["b", "a", "main"]
    assert "return { b, C };" in text and "return { a, later };" in text
    assert text.count("const { b } = $module0;") == 2 and "const { a } = $module1;" in text
    assert not re.search(r"^(import|export)", text, re.MULTILINE)


def test_what_others_wrote_exports_a_list(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "theirs.js").write_text("const a=1,z=2;export{a as alpha,z as default};\n//# sourceMappingURL=x.map\n")
    (tmp_path / "own" / "main.js").write_text(
        'import zeta from "../theirs.js";\nimport { alpha } from "../theirs.js";\n'
    )
    text = joined(tmp_path / "own" / "main.js")
    assert "return { alpha: a, default: z };" in text and "sourceMappingURL" not in text
    assert "const { default: zeta } = $module0;\nconst { alpha } = $module0;" in text


@pytest.mark.parametrize(
    "line", ['import * as a from "./a.js";', 'export * from "./a.js";', 'import "./a.js";', "export default 1;"]
)
def test_a_form_that_is_not_known_is_named(tmp_path: Path, line: str) -> None:
    with pytest.raises(ValueError, match=r"main\.js"):
        script(tmp_path, main=f"{line}\n", a="export const a = 1;\n")


def test_modules_that_import_each_other_are_refused(tmp_path: Path) -> None:
    both = {"main": 'import { a } from "./a.js";\nexport const m = 1;\n'}
    with pytest.raises(ValueError, match="imports itself"):
        script(tmp_path, **both, a='import { m } from "./main.js";\nexport const a = 1;\n')
