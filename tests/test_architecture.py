"""Which module may import which, and what every source file must have; each failure names the file and the rule."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("agentd", "channels", "workers")

LAYERS: tuple[frozenset[str], ...] = (
    frozenset({"agentd.__main__"}),
    frozenset({"agentd.cli"}),
    frozenset({"agentd.daemon"}),
    frozenset({"workers", "channels"}),
    frozenset({"agentd.serving", "agentd.status"}),
    frozenset({"agentd.turns", "agentd.tools", "agentd.models", "agentd.retrieval"}),
    frozenset({"agentd.storage", "agentd.pending", "agentd.bus"}),
    frozenset({"agentd.ports", "agentd.delivery", "agentd.evidence", "agentd.config", "agentd.host", "agentd.rights"}),
    frozenset({"agentd.events", "agentd.errors", "agentd.ids", "agentd.clock"}),
    frozenset({"agentd.records"}),
    frozenset({"agentd.text"}),
)
"""Rooms from top to bottom. A room may import every lower one, and of its own layer only what `BESIDE` lists.

A package that is listed by its name is one room: its modules import each other as they like.
"""

BESIDE: Mapping[str, frozenset[str]] = {
    "agentd.serving": frozenset({"agentd.status"}),
    "agentd.models": frozenset({"agentd.tools", "agentd.turns"}),
    "agentd.turns": frozenset({"agentd.tools"}),
    "agentd.config": frozenset({"agentd.host"}),
}

ONLY: Mapping[str, frozenset[str]] = {
    "channels": frozenset(
        {
            "agentd.events",
            "agentd.records",
            "agentd.errors",
            "agentd.ports",
            "agentd.serving",
            "agentd.text",
            "agentd.delivery",
            "agentd.host",
        }
    ),
    "agentd.cli": frozenset(
        {
            "agentd.daemon",
            "agentd.serving",
            "agentd.status",
            "agentd.models",
            "agentd.config",
            "agentd.delivery",
            "agentd.host",
            "agentd.events",
            "agentd.records",
            "agentd.errors",
            "agentd.ids",
            "agentd.text",
        }
    ),
}
"""Rooms that may import less than all lower ones."""

TESTING = "agentd.testing"
"""The fakes: they may import everything below the daemon, and no product code imports them."""
BELOW_DAEMON = LAYERS[LAYERS.index(frozenset({"agentd.daemon"})) + 1 :]
COMPOSITION_ROOT = "agentd.daemon"
"""The one room that names channels and workers, and it does so by import strings."""
IMPORT_STRING = re.compile(r"(channels|workers)(\.\w+)+(:\w+)?")
MOST_GIVEN = 6
"""Things that an object takes when it is made, besides self. Records of pure data may have more members."""


@dataclass(frozen=True, kw_only=True)
class Source:
    path: str
    module: str
    tree: ast.Module


@cache
def parsed(text: str, path: str) -> ast.Module:
    """Most tests here look at the same files; nobody changes the tree."""
    return ast.parse(text, path)


def sources(root: Path) -> list[Source]:
    """Every source file of the three packages below `root`."""
    found = []
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            inside = path.relative_to(root)
            module = ".".join(inside.with_suffix("").parts).removesuffix(".__init__")
            found.append(Source(path=str(inside), module=module, tree=parsed(path.read_text(), str(path))))
    return found


def imports(source: Source, root: Path) -> Iterator[tuple[int, str]]:
    """Line and module of every import of the three packages, at the top, lazy, or for type checking only."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] in PACKAGES:
                    yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom) and node.level:
            yield node.lineno, "." * node.level + (node.module or "")
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in PACKAGES:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                path = root / Path(*inner.split("."))
                yield node.lineno, inner if path.is_dir() or path.with_suffix(".py").exists() else str(node.module)


def room(module: str) -> str | None:
    """The room that a module belongs to: the longest listed name that it is or lies in."""
    named = {name for layer in LAYERS for name in layer} | {TESTING}
    parts = module.split(".")
    return next((name for n in range(len(parts), 0, -1) if (name := ".".join(parts[:n])) in named), None)


def layer(name: str) -> int:
    return next(n for n, rooms in enumerate(LAYERS) if name in rooms)


def refusal(module: str, imported: str) -> str | None:
    """Why `module` may not import `imported`; None if it may."""
    here, there = room(module), room(imported)
    if imported.startswith("."):
        return "imports are absolute, so that they can be read as arrows"
    if here is None or imported == "agentd":
        return None  # the first is told by `unplaced`; agentd itself is only its version
    if there is None:
        return "it is in no layer; add it to LAYERS in tests/test_architecture.py"
    if there == TESTING:
        return None if here == TESTING else "no product code imports the fakes"
    if here == TESTING:
        return None if any(there in rooms for rooms in BELOW_DAEMON) else "the fakes stand below the daemon"
    if here == there:
        return _between_plugins(module, imported) if here in ("channels", "workers") else None
    if here in ONLY and there not in ONLY[here]:
        return f"{here} imports only {', '.join(sorted(ONLY[here]))}"
    if there in ("channels", "workers"):
        return f"only {COMPOSITION_ROOT} names channels and workers, by import strings"
    if layer(there) < layer(here):
        return "the arrow points up"
    if layer(there) == layer(here) and there not in BESIDE.get(here, frozenset()):
        return "they are in one layer, and BESIDE in tests/test_architecture.py does not list this arrow"
    return None


def _between_plugins(module: str, imported: str) -> str | None:
    if module.split(".")[:2] == imported.split(".")[:2]:
        return None
    return f"{module.split('.')[0]} do not import each other"


def forbidden_imports(root: Path) -> list[str]:
    return [
        f"{source.path}:{line}: may not import {imported}: {reason}"
        for source in sources(root)
        for line, imported in imports(source, root)
        if (reason := refusal(source.module, imported)) is not None
    ]


def unplaced(root: Path) -> list[str]:
    return [
        f"{source.path}: is in no layer; add {source.module} to LAYERS in tests/test_architecture.py"
        for source in sources(root)
        if source.module != "agentd" and room(source.module) is None
    ]


def stray_import_strings(root: Path) -> list[str]:
    return [
        f"{source.path}:{node.lineno}: names {node.value}; only {COMPOSITION_ROOT} names channels and workers"
        for source in sources(root)
        if source.module.startswith("agentd") and room(source.module) != COMPOSITION_ROOT
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and IMPORT_STRING.fullmatch(node.value)
    ]


def without_docstring(root: Path) -> list[str]:
    return [
        f"{source.path}: has no docstring that says what a caller relies on"
        for source in sources(root)
        if not ast.get_docstring(source.tree)
    ]


def nameless_tasks(root: Path) -> list[str]:
    wrong = []
    for source in sources(root):
        for node in ast.walk(source.tree):
            if not isinstance(node, ast.Call):
                continue
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called == "ensure_future":
                wrong.append(f"{source.path}:{node.lineno}: ensure_future makes a task without a name; use create_task")
            elif called == "create_task" and "name" not in {keyword.arg for keyword in node.keywords}:
                wrong.append(f"{source.path}:{node.lineno}: create_task without name=")
    return wrong


Named = tuple[str, str]
"""A class, by its module and its name."""


class Classes:
    """The classes of the three packages, and which of them are more than data.

    A record of pure data is a dataclass whose members are data. So is what compares by value, and what derives only
    from classes of others, such as exceptions, enumerations and models of pydantic.
    """

    def __init__(self, found: list[Source]) -> None:
        self.all: dict[Named, ast.ClassDef] = {
            (source.module, node.name): node
            for source in found
            for node in source.tree.body
            if isinstance(node, ast.ClassDef)
        }
        self._imported: dict[Named, Named] = {
            (source.module, alias.asname or alias.name): (str(node.module), alias.name)
            for source in found
            for node in ast.walk(source.tree)
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }
        self._objects: dict[Named, bool] = {}

    def is_object(self, named: Named) -> bool:
        if named not in self._objects:
            self._objects[named] = False  # for a class that names itself
            self._objects[named] = self._is_object(named[0], self.all[named])
        return self._objects[named]

    def _is_object(self, module: str, node: ast.ClassDef) -> bool:
        if _is_dataclass(node):
            return any(self._names_object(module, member.annotation) for member in members(node))
        if any(isinstance(method, ast.FunctionDef) and method.name == "__eq__" for method in node.body):
            return False
        bases = [ast.unparse(base) for base in node.bases]
        is_own = not bases or any(base.startswith(("Protocol", "Generic")) for base in bases)
        return is_own or any(self._names_object(module, base) for base in node.bases)

    def _names_object(self, module: str, annotation: ast.expr) -> bool:
        parts = [(module, part.id) for part in ast.walk(annotation) if isinstance(part, ast.Name)]
        named = [part if part in self.all else self._imported.get(part, part) for part in parts]
        return any(self.is_object(name) for name in named if name in self.all)


def _is_dataclass(node: ast.ClassDef) -> bool:
    return any("dataclass" in ast.unparse(decorator) for decorator in node.decorator_list)


def members(node: ast.ClassDef) -> list[ast.AnnAssign]:
    """What a dataclass is given when it is made."""
    found = [member for member in node.body if isinstance(member, ast.AnnAssign)]
    return [member for member in found if member.value is None or "init=False" not in ast.unparse(member.value)]


def wide_constructors(root: Path) -> dict[str, int]:
    """Classes that take more than `MOST_GIVEN` things when they are made, and how many."""
    classes = Classes(sources(root))
    given = {f"{named[0]}.{named[1]}": _given(classes, named) for named in classes.all}
    return {name: count for name, count in given.items() if count > MOST_GIVEN}


def _given(classes: Classes, named: Named) -> int:
    """How many things a class takes besides self; 0 for a record of pure data."""
    node = classes.all[named]
    if _is_dataclass(node):
        return len(members(node)) if classes.is_object(named) else 0
    made = [method.args for method in node.body if isinstance(method, ast.FunctionDef) and method.name == "__init__"]
    return max((len([*of.posonlyargs, *of.args, *of.kwonlyargs]) - 1 for of in made), default=0)


def without_tests(root: Path) -> list[str]:
    """A room has a folder of tests, a module that is a room by itself a file."""
    named = sorted(name for layer in LAYERS for name in layer if name.rpartition(".")[2] != "__main__")
    return [
        f"{name}: has no tests; write {there}"
        for name in named
        if _source_of(root, name).exists() and not _has_tests(root / (there := _tests_of(root, name)))
    ]


def _has_tests(path: Path) -> bool:
    return path.is_file() or any(path.rglob("test_*.py"))


def _source_of(root: Path, name: str) -> Path:
    path = root / Path(*name.split("."))
    return path if path.is_dir() else path.with_suffix(".py")


def _tests_of(root: Path, name: str) -> Path:
    inside = Path("tests", *name.removeprefix("agentd.").split("."))
    return inside if _source_of(root, name).is_dir() else inside.with_name(f"test_{inside.name}.py")


def _report(wrong: list[str]) -> str:
    return "\n" + "\n".join(wrong)


def test_every_import_is_an_arrow_that_is_allowed() -> None:
    assert not (wrong := forbidden_imports(ROOT)), _report(wrong)


def test_every_module_has_its_layer() -> None:
    assert not (wrong := unplaced(ROOT)), _report(wrong)


def test_only_the_daemon_names_channels_and_workers() -> None:
    assert not (wrong := stray_import_strings(ROOT)), _report(wrong)


def test_every_module_says_in_a_docstring_what_it_is() -> None:
    assert not (wrong := without_docstring(ROOT)), _report(wrong)


def test_every_task_has_a_name() -> None:
    assert not (wrong := nameless_tasks(ROOT)), _report(wrong)


def test_what_is_more_than_data_takes_at_most_six_things() -> None:
    wrong = [f"{name}: takes {given} things; give it less" for name, given in wide_constructors(ROOT).items()]
    assert not wrong, _report(wrong)


def test_every_room_has_tests() -> None:
    assert not (wrong := without_tests(ROOT)), _report(wrong)


def test_the_lists_name_each_room_once_and_only_in_its_own_layer() -> None:
    named = [name for rooms in LAYERS for name in rooms]
    assert len(named) == len(set(named))
    for name, beside in BESIDE.items():
        assert all(layer(other) == layer(name) and other != name for other in beside), name
    for name, allowed in ONLY.items():
        assert all(layer(other) > layer(name) for other in allowed), name


def _tree(root: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_a_forbidden_arrow_is_found_wherever_the_import_stands(tmp_path: Path) -> None:
    root = _tree(
        tmp_path,
        {
            "agentd/events.py": "from agentd.bus import EventBus\n",
            "agentd/bus/bus.py": "def lazy():\n    import agentd.pending\n",
            "agentd/pending/index.py": "import typing\nif typing.TYPE_CHECKING:\n    from workers.agent import A\n",
            "agentd/turns/turn.py": (
                "from agentd.testing import model\nfrom . import bus\nfrom agentd import nowhere_yet\n"
            ),
            "agentd/nowhere_yet.py": "",
            "agentd/daemon.py": "import agentd.cli\n",
            "agentd/cli/ask.py": "from agentd import daemon, storage, __version__\n",
            "agentd/storage/store.py": "",
            "agentd/testing/model.py": "from agentd import bus, daemon\n",
            "agentd/tools/calls.py": "from agentd.turns import turn\n",
            "workers/agent.py": "import agentd.turns\nimport channels.terminal\nfrom workers.delivery import D\n",
            "workers/delivery.py": "",
            "channels/terminal/__init__.py": "from agentd.ids import IdSource\nfrom channels.terminal import socket\n",
            "channels/terminal/socket.py": "from channels.telegram import run\n",
            "channels/telegram.py": "from agentd.errors import Retry\n",
        },
    )
    found = forbidden_imports(root)
    assert [" ".join(line.split(": ")[:2]) for line in found] == [
        "agentd/bus/bus.py:2 may not import agentd.pending",
        "agentd/cli/ask.py:1 may not import agentd.storage",
        "agentd/daemon.py:1 may not import agentd.cli",
        "agentd/events.py:1 may not import agentd.bus",
        "agentd/pending/index.py:3 may not import workers.agent",
        "agentd/testing/model.py:1 may not import agentd.daemon",
        "agentd/tools/calls.py:1 may not import agentd.turns.turn",
        "agentd/turns/turn.py:1 may not import agentd.testing.model",
        "agentd/turns/turn.py:2 may not import .",
        "agentd/turns/turn.py:3 may not import agentd.nowhere_yet",
        "channels/terminal/__init__.py:1 may not import agentd.ids",
        "channels/terminal/socket.py:1 may not import channels.telegram",
        "workers/agent.py:2 may not import channels.terminal",
        "workers/agent.py:3 may not import workers.delivery",
    ]
    assert [line.split(":")[0] for line in unplaced(root)] == ["agentd/nowhere_yet.py"]


def test_the_other_rules_find_what_breaks_them(tmp_path: Path) -> None:
    root = _tree(
        tmp_path,
        {
            "agentd/__init__.py": '"""The map."""\n__version__ = "1"\n',
            "agentd/bus/bus.py": '"""Bus."""\nCHANNELS = {"terminal": "channels.terminal.channel:build"}\n',
            "agentd/daemon.py": '"""Root; see channels.terminal."""\nWORKERS = ("workers.agent:AgentWorker",)\n',
            "agentd/cli/__init__.py": '"""Commands."""\ndef main(): ...\n',
            "agentd/models/llama/wire.py": "asyncio.create_task(f())\nloop.create_task(f(), name='x')\n",
            "workers/agent.py": '"""Worker."""\nensure_future(f())\n',
            "workers/wide.py": (
                '"""Two."""\nclass Wide:\n    def __init__(self, a, b, /, c, *, d, e, f, g): ...\n'
                "class Narrow:\n    def __init__(self, a, b, /, c, *, d, e, f): ...\n"
            ),
            "workers/held.py": (
                '"""Dataclasses."""\nfrom workers.wide import Narrow\n'
                "@dataclass(frozen=True)\nclass Data:\n    a: int\n    b: int\n    c: int\n"
                "    d: int\n    e: int\n    f: int\n    g: Callable[[], None]\n"
                "@dataclass\nclass Holds:\n    a: Data\n    b: int\n    c: int\n"
                "    d: int\n    e: int\n    f: int\n    g: Narrow | None\n"
                "@dataclass\nclass Inside:\n    holds: Holds\n    b: int = field(init=False)\n    c: int\n"
                "    d: int\n    e: int\n    f: int\n    g: int\n"
            ),
            "tests/bus/test_bus.py": "",
            "tests/workers/test_agent.py": "",
        },
    )
    assert [line.split(": ")[0] for line in stray_import_strings(root)] == ["agentd/bus/bus.py:2"]
    assert [line.split(": ")[0] for line in without_docstring(root)] == ["agentd/models/llama/wire.py"]
    assert [line.split(": ")[0] for line in nameless_tasks(root)] == [
        "agentd/models/llama/wire.py:1",
        "workers/agent.py:2",
    ]
    assert wide_constructors(root) == {"workers.held.Holds": 7, "workers.wide.Wide": 7}
    assert without_tests(root) == [
        "agentd.cli: has no tests; write tests/cli",
        "agentd.daemon: has no tests; write tests/test_daemon.py",
        "agentd.models: has no tests; write tests/models",
    ]
