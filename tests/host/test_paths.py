"""Where things are kept follows from options and environment, in the documented order."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from agentd.errors import ConfigError
from agentd.host import paths
from agentd.host.paths import config_file, daemon_sockets, socket_candidates, state_dir


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The package as pip installs it: no checkout around it."""
    return tmp_path / "site-packages" / "agentd"


def test_the_state_directory_is_looked_for_in_the_documented_order(tmp_path: Path, installed: Path) -> None:
    environ = {
        "AGENTD_STATE_DIR": "/named",
        "STATE_DIRECTORY": "/var/lib/agentd:/var/lib/other",
        "XDG_STATE_HOME": "/xdg",
        "HOME": "/home/ann",
    }
    assert state_dir(environ, Path("/option"), package=installed) == Path("/option")
    assert state_dir(environ, package=installed) == Path("/named")
    del environ["AGENTD_STATE_DIR"]
    assert state_dir(environ, package=installed) == Path("/var/lib/agentd")
    del environ["STATE_DIRECTORY"]
    assert state_dir(environ, package=installed) == Path("/xdg/agentd")
    del environ["XDG_STATE_HOME"]
    assert state_dir(environ, package=installed) == Path("/home/ann/.local/state/agentd")


def test_a_checkout_keeps_its_state_in_var(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").touch()
    assert state_dir({"XDG_STATE_HOME": "/xdg"}, package=tmp_path / "agentd") == tmp_path / "var"
    assert state_dir({"STATE_DIRECTORY": "/systemd"}, package=tmp_path / "agentd") == Path("/systemd")
    assert state_dir({}) == Path(__file__).resolve().parents[2] / "var"


def test_empty_variables_and_relative_xdg_directories_count_as_not_set(installed: Path) -> None:
    environ = {"AGENTD_STATE_DIR": "", "STATE_DIRECTORY": "", "XDG_STATE_HOME": "relative", "HOME": "/home/ann"}
    assert state_dir(environ, package=installed) == Path("/home/ann/.local/state/agentd")


def test_relative_names_begin_at_the_working_directory_and_a_tilde_at_home(installed: Path) -> None:
    assert state_dir({}, Path("here"), package=installed) == Path.cwd() / "here"
    assert state_dir({}, Path("~/there"), package=installed) == Path.home() / "there"


def test_a_user_that_does_not_exist_is_told_as_such() -> None:
    with pytest.raises(ConfigError, match=r"nobody-has-this-name.* user "):
        state_dir({}, Path("~nobody-has-this-name/x"))


def test_clients_look_for_the_socket_in_the_documented_order() -> None:
    environ = {"AGENTD_SOCKET": "/named.sock", "RUNTIME_DIRECTORY": "/run/agentd:/run/other"}
    assert socket_candidates(environ, Path("/state")) == [
        Path("/named.sock"),
        Path("/run/agentd/agentd.sock"),
        Path("/state/agentd.sock"),
    ]
    assert socket_candidates({}, Path("/state")) == [Path("/state/agentd.sock")]


def test_a_daemon_serves_the_first_of_them_and_always_that_of_the_state_directory() -> None:
    state = Path("/state")
    in_state = (state / "agentd.sock", 0o600)
    assert daemon_sockets({}, state) == [in_state]
    assert daemon_sockets({"RUNTIME_DIRECTORY": "/run/agentd"}, state) == [
        (Path("/run/agentd/agentd.sock"), 0o660),
        in_state,
    ]
    assert daemon_sockets({"AGENTD_SOCKET": "/n.sock", "RUNTIME_DIRECTORY": "/run/agentd"}, state) == [
        (Path("/n.sock"), 0o600),
        in_state,
    ]
    assert daemon_sockets({"AGENTD_SOCKET": "/state/agentd.sock"}, state) == [in_state]


def test_the_configuration_file_is_looked_for_in_the_documented_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system, named = tmp_path / "etc.toml", tmp_path / "named.toml"
    user = tmp_path / "xdg" / "agentd" / "config.toml"
    monkeypatch.setattr(paths, "SYSTEM_CONFIG", system)
    environ = {"XDG_CONFIG_HOME": str(tmp_path / "xdg")}
    assert config_file(environ) is None
    system.touch()
    assert config_file(environ) == system
    user.parent.mkdir(parents=True)
    user.touch()
    assert config_file(environ) == user
    named.touch()
    assert config_file({**environ, "AGENTD_CONFIG": str(named)}) == named
    assert config_file({**environ, "AGENTD_CONFIG": str(named)}, Path("/dev/null")) == Path("/dev/null")


def test_a_configuration_file_that_was_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--config names .*nowhere.toml.*No such file"):
        config_file({}, tmp_path / "nowhere.toml")
    with pytest.raises(ConfigError, match=r"AGENTD_CONFIG names .*nowhere.toml"):
        config_file({"AGENTD_CONFIG": str(tmp_path / "nowhere.toml")})
    with pytest.raises(ConfigError, match="is a directory"):
        config_file({}, tmp_path)


def test_importing_it_brings_in_nothing_heavy() -> None:
    code = "import sys, agentd.host.paths; print(*({'pydantic', 'asyncio', 'sqlite3', 'tomllib'} & set(sys.modules)))"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60, env=dict(os.environ)
    )
    assert result.stdout == "\n"
