"""Native tests seen from outside: pytest in a process of its own runs modules that go wrong in every way."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAD = "import ctypes, os, sys, time\nimport pytest\n"
NATIVE = HEAD + "pytestmark = pytest.mark.native\n"
ONCE = """
@pytest.fixture(scope="module")
def made():
    return os.getpid()

@pytest.mark.parametrize("number", range(3))
def test_one(made, number):
    assert made == os.getpid() != int(os.environ["MAIN"])
"""
BEGIN = """
from agentd.models.llama.native import begin

def test_begin():
    begin()
"""
MODULES: Mapping[str, str] = {
    "plain": HEAD + "def test_in_the_main_process(): os.environ['MAIN'] = str(os.getpid())\n",
    "crashes": NATIVE
    + """
def test_before(): pass

def test_crash():
    os.write(2, b"last output")
    ctypes.memset(1, 0, 1)

def test_after(): pass
""",
    "ends": NATIVE
    + """
def test_aborts(): os.abort()

def test_leaves(): os._exit(3)

@pytest.mark.timeout(1)
def test_hangs(): time.sleep(100)

def test_goes_on(): pass
""",
    "fails": NATIVE
    + """
@pytest.fixture
def broken():
    yield
    raise ValueError("in teardown")

def test_fails():
    print("some output")
    found = [1, 2]
    assert found == [1, 3]

def test_skips(): pytest.skip("for a reason")

@pytest.mark.xfail(strict=True)
def test_is_expected(): assert False

async def test_waits(): assert False

def test_teardown(broken): pass
""",
    "once": NATIVE + ONCE,
    "once_more": NATIVE + ONCE,
    "native": NATIVE + BEGIN,
    "not_native": HEAD + BEGIN,
}


def _file(place: Path, name: str) -> Path:
    """`name` may lie in a folder."""
    return (place / f"{name}.py").with_name(f"test_{name.rpartition('/')[2]}.py")


def run(place: Path, modules: Mapping[str, str], *options: str) -> str:
    """What pytest prints of modules with these names and texts."""
    for name, text in modules.items():
        _file(place, name).write_text(text)
    (place / "pytest.ini").write_text("[pytest]\ntimeout = 60\nasyncio_mode = auto\n")
    plugins = ("-p", "tests.apart", "-p", "no:cacheprovider", "-p", "no:hypothesispytest")
    files = [str(_file(place, name)) for name in modules]
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-rA", *plugins, *options, *files],
        cwd=place,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=100,
    )
    return ran.stdout + ran.stderr


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> str:
    return run(tmp_path_factory.mktemp("modules"), MODULES)


def test_a_crash_is_one_failed_test_and_the_others_run(said: str) -> None:
    assert "is lost: killed by SIGSEGV." in said
    assert "last output" in said and re.search(r"test_crashes.py\W+line \d+ in test_crash", said), said
    assert "FAILED test_crashes.py::test_crash" in said
    assert "PASSED test_crashes.py::test_before" in said and "PASSED test_crashes.py::test_after" in said


@pytest.mark.parametrize(
    ("test", "reason"),
    [
        ("aborts", "killed by SIGABRT"),
        ("leaves", "exit code 3"),
        ("hangs", "end within 1 s"),
    ],
)
def test_each_end_of_the_process_is_named(said: str, test: str, reason: str) -> None:
    assert re.search(rf"FAILED test_ends\.py::test_{test} - .*{reason}\.", said)
    assert "PASSED test_ends.py::test_goes_on" in said


def test_what_fails_is_told_as_pytest_tells_it(said: str) -> None:
    assert "At index 1 diff: 2 != 3" in said and "some output" in said and "in teardown" in said
    for told in (
        "FAILED test_fails.py::test_fails",
        "FAILED test_fails.py::test_waits",
        "XFAIL test_fails.py::test_is_expected",
    ):
        assert told in said
    assert "PASSED test_fails.py::test_teardown" in said and "ERROR test_fails.py::test_teardown" in said
    assert "SKIPPED [1] test_fails.py" in said


def test_a_module_has_one_process_and_its_fixtures_are_made_once(said: str) -> None:
    assert said.count("PASSED test_once.py::") == said.count("PASSED test_once_more.py::") == 3


def test_llama_cpp_does_not_begin_in_the_process_of_pytest(said: str) -> None:
    assert "PASSED test_native.py::test_begin" in said and "FAILED test_not_native.py::test_begin" in said
    assert "begin this module with pytestmark = pytest.mark.native" in said


def test_nothing_else_went_wrong(said: str) -> None:
    assert re.search(r"\b7 failed, \d+ passed, 1 skipped, 1 xfailed, 1 error in", said), said


def test_the_first_failure_ends_all_if_that_is_asked_for(tmp_path: Path) -> None:
    said = run(tmp_path, {"first": NATIVE + "def test_a(): assert False\ndef test_b(): pass\n"}, "-x")
    assert "1 failed" in said and "passed" not in said


def test_what_a_package_of_native_tests_had_set_up_is_torn_down_before_the_next_package(tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").touch()
    test = "def test_a(): pass\n"
    said = run(tmp_path, {"one/before": test, "one/native": NATIVE + test, "other/after": test})
    assert "3 passed" in said, said
