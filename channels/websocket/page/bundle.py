"""ES modules as one script: each becomes a function that runs once, after those that it imports.

It knows the forms that our modules and those in `vendor` use, and refuses any other:
`import { a, b } from "./x.js";`, `import a from "./x.js";`, `export` before a declaration, and one `export { a as b };`
at the end.
"""

from __future__ import annotations

import re
from pathlib import Path

_IMPORT = re.compile(
    r'^import (?:\{ (?P<names>[\w, ]+) \}|(?P<default>\w+)) from "(?P<path>\.\.?/[\w./-]+)";\n', re.MULTILINE
)
_DECLARED = re.compile(r"^export (?P<kind>(?:async )?function\*?|class|const) (?P<name>\w+)", re.MULTILINE)
_LIST = re.compile(r"\bexport ?\{(?P<pairs>[^{}]+)\};?\s*\Z")
_MAP = re.compile(r"^//# sourceMappingURL=.*\s*\Z", re.MULTILINE)
_LEFT = re.compile(r"^(?:import|export)\b.*", re.MULTILINE)


def joined(entry: Path) -> str:
    """The script that a module and all that it imports make; `ValueError` for a form that is not known here."""
    modules: dict[Path, str] = {}
    _add(entry.resolve(), modules, ())
    return "".join(modules.values())


def _add(path: Path, modules: dict[Path, str], importers: tuple[Path, ...]) -> None:
    """Put a module behind those that it imports."""
    if path in importers:
        raise ValueError(f"{path.name} imports itself, by way of {importers[-1].name}")
    text = _MAP.sub("", path.read_text())
    for found in _IMPORT.finditer(text):
        imported = (path.parent / found["path"]).resolve()
        if imported not in modules:
            _add(imported, modules, (*importers, path))
    modules[path] = _as_function(path, text, {there: f"$module{n}" for n, there in enumerate([*modules, path])})


def _as_function(path: Path, text: str, names: dict[Path, str]) -> str:
    def bound(found: re.Match[str]) -> str:
        there = names[(path.parent / found["path"]).resolve()]
        what = f"{{ {found['names']} }}" if found["names"] else f"{{ default: {found['default']} }}"
        return f"const {what} = {there};\n"

    text, exported = _IMPORT.sub(bound, text), []
    if (listed := _LIST.search(text)) is not None:
        for pair in listed["pairs"].split(","):
            name, _, outside = (part.strip() for part in pair.partition(" as "))
            exported.append(f"{outside or name}: {name}")
        text = text[: listed.start()]
    exported += [found["name"] for found in _DECLARED.finditer(text)]
    text = _DECLARED.sub(r"\g<kind> \g<name>", text)
    if (left := _LEFT.search(text)) is not None:
        raise ValueError(f"{path.name}: this form is not known to the bundle: {left[0][:80]}")
    return f"// {path.name}\nconst {names[path]} = (() => {{\n{text}\nreturn {{ {', '.join(exported)} }};\n}})();\n"
