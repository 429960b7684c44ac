"""Where agentd keeps its state, socket and configuration; computed from the environment, creates nothing.

Every function takes the environment as a mapping. A variable that is set to "" counts as not set, and so does a
relative `XDG_*` directory (https://specifications.freedesktop.org/basedir-spec/).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from agentd.errors import ConfigError, UsageError

SOCKET_NAME = "agentd.sock"
PACKAGE = Path(__file__).resolve().parents[1]
SYSTEM_CONFIG = Path("/etc/agentd/config.toml")

OWNER_ONLY = 0o600
OWNER_AND_GROUP = 0o660


def state_dir(environ: Mapping[str, str], option: Path | None = None, *, package: Path = PACKAGE) -> Path:
    """The absolute path of the state directory, which need not exist yet.

    `option` (--state-dir), `AGENTD_STATE_DIR`, `STATE_DIRECTORY` (systemd; the first of a colon-separated list),
    `var/` of the checkout that holds `package`, `$XDG_STATE_HOME/agentd`, `~/.local/state/agentd`.
    """
    if option is not None:
        return absolute(option)
    if named := environ.get("AGENTD_STATE_DIR"):
        return absolute(Path(named))
    if given := _first(environ.get("STATE_DIRECTORY")):
        return absolute(given)
    if (package.parent / "pyproject.toml").is_file():
        return package.parent / "var"
    return _xdg(environ, "XDG_STATE_HOME", ".local/state") / "agentd"


def socket_candidates(environ: Mapping[str, str], state_dir: Path) -> list[Path]:
    """Where a client looks for a daemon, in this order; the last one lies in the state directory."""
    return [path for path, _ in _sockets(environ, state_dir)]


def daemon_sockets(environ: Mapping[str, str], state_dir: Path) -> list[tuple[Path, int]]:
    """The sockets that a daemon serves, each with its mode; the first is the one to show to people.

    That of the state directory is always among them, so that a client that knows only the state directory finds the
    daemon that holds its lock. The one in systemd's runtime directory is open to the directory's group.
    """
    found = _sockets(environ, state_dir)
    return found if len(found) == 1 else [found[0], found[-1]]


def config_file(environ: Mapping[str, str], option: Path | None = None) -> Path | None:
    """The configuration file to read: `option` (--config), `AGENTD_CONFIG`, `$XDG_CONFIG_HOME/agentd/config.toml`,
    `/etc/agentd/config.toml`; None if there is none. `ConfigError` if one that was named does not exist.
    """
    if option is not None:
        return _named(option, "--config")
    if variable := environ.get("AGENTD_CONFIG"):
        return _named(Path(variable), "AGENTD_CONFIG")
    return next(filter(_is_file, _usual_configs(environ)), None)


def _usual_configs(environ: Mapping[str, str]) -> list[Path]:
    try:
        return [_xdg(environ, "XDG_CONFIG_HOME", ".config") / "agentd" / "config.toml", SYSTEM_CONFIG]
    except ConfigError:  # a service without a home directory still has the system's file
        return [SYSTEM_CONFIG]


def _sockets(environ: Mapping[str, str], state_dir: Path) -> list[tuple[Path, int]]:
    sockets: dict[Path, int] = {}
    if named := environ.get("AGENTD_SOCKET"):
        sockets[absolute(Path(named))] = OWNER_ONLY
    if runtime := _first(environ.get("RUNTIME_DIRECTORY")):
        sockets.setdefault(absolute(runtime) / SOCKET_NAME, OWNER_AND_GROUP)
    sockets.setdefault(absolute(state_dir) / SOCKET_NAME, OWNER_ONLY)
    return list(sockets.items())


def _named(path: Path, origin: str) -> Path:
    path = absolute(path)
    try:
        path.stat()
    except OSError as error:
        raise ConfigError(f"{origin} names {path}, which cannot be read: {error.strerror}.") from None
    if path.is_dir():
        raise ConfigError(f"{origin} names {path}, which is a directory; name the file in it.")
    return path


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a directory that we may not look into belongs to somebody else
        return False


def _first(directories: str | None) -> Path | None:
    return next((Path(name) for name in (directories or "").split(":") if name), None)


def _xdg(environ: Mapping[str, str], variable: str, below_home: str) -> Path:
    directory = Path(environ.get(variable, ""))
    return directory if directory.is_absolute() else _home(environ) / below_home


def _home(environ: Mapping[str, str]) -> Path:
    if home := environ.get("HOME"):
        return Path(home)
    try:
        return Path.home()
    except RuntimeError:
        raise ConfigError("this user has no home directory; set AGENTD_STATE_DIR, or give --state-dir.") from None


def absolute(path: Path) -> Path:
    """The path from the root; `UsageError` for a relative one if the working directory is gone."""
    try:
        return path.expanduser().absolute()
    except RuntimeError:
        raise ConfigError(f"{path}: this user does not exist; give the whole path.") from None
    except FileNotFoundError:
        raise UsageError(
            f"{path} is relative to the working directory, which was deleted; give the whole path."
        ) from None
