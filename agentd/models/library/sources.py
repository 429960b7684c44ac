"""Where a model can come from, read from what a user types: a catalogue name, a file on a hub, a URL or a path."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from agentd.errors import UsageError
from agentd.host.secrets import masked
from agentd.models.library.catalogue import Listed

SUFFIX = ".gguf"
HUBS = ("huggingface.co", "hf.co")
_PATHS = ("/", "./", "../", "~")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,149}")
_PART = re.compile(r"-\d{5}-of-\d{5}\.gguf$")
_HUB_FILE = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)/(?P<file>[^@]+\.gguf)(?:@(?P<revision>[\w./-]+))?")
_HUB_PATH = re.compile(r"/(?P<repo>[\w.-]+/[\w.-]+)/(?:resolve|blob|raw)/(?P<revision>[^/]+)/(?P<file>.+\.gguf)")


@dataclass(frozen=True, kw_only=True, slots=True)
class HubFile:
    """A file in a repository of a hub; `licence` is "" if only the hub knows it."""

    name: str
    repo: str
    file: str
    revision: str = "main"
    licence: str = ""

    @property
    def text(self) -> str:
        return f"{self.repo}/{self.file}"


@dataclass(frozen=True, kw_only=True, slots=True)
class WebFile:
    """A file on any web server. The query of its URL may hold a key, so it is sent but neither shown nor recorded."""

    name: str
    url: str

    @property
    def text(self) -> str:
        return urlunsplit(urlsplit(self.url)._replace(query="", fragment=""))


@dataclass(frozen=True, kw_only=True, slots=True)
class LocalFile:
    name: str
    path: Path

    @property
    def text(self) -> str:
        return str(self.path)


Source = HubFile | WebFile | LocalFile


def read_source(text: str, catalogue: Sequence[Listed]) -> Source:
    """`UsageError` says what the text can be, and which name was probably meant.

    A path begins with `/`, `./`, `../` or `~`, or is the name of a .gguf file in the working directory.
    """
    for listed in catalogue:
        if text == listed.name:
            return HubFile(name=listed.name, repo=listed.repo, file=listed.file, licence=listed.licence)
    source = _read(text)
    if source is None:
        close = difflib.get_close_matches(text, [listed.name for listed in catalogue], n=1)
        hint = f"did you mean {close[0]}?" if close else "`agentd model list` shows the names."
        raise UsageError(
            f"{masked(text)!r} is not a model: give a name from the catalogue, OWNER/REPOSITORY/FILE.gguf of a hub"
            f" (with @REVISION if you like), a URL or a path of a .gguf file; {hint}"
        )
    if _PART.search(source.text):
        raise UsageError(f"{source.text} is one of several parts of a model; choose a model that is one file.")
    return source


def is_hub_file(text: str) -> bool:
    """Whether the text names a file on a hub: OWNER/REPOSITORY/FILE.gguf."""
    return not text.startswith(_PATHS) and _HUB_FILE.fullmatch(text) is not None


def check_name(name: str) -> str:
    """The name under which a model is kept; `UsageError` if it cannot be the name of a file."""
    if _NAME.fullmatch(name) is None or name.endswith(SUFFIX):
        raise UsageError(f"{name!r} cannot be a model's name; use letters, digits and . _ + -, without .gguf.")
    return name


def _read(text: str) -> Source | None:
    if text.startswith(("http://", "https://")):
        return _web(text)
    path = Path(text).expanduser()
    if text.startswith(_PATHS) or (text.endswith(SUFFIX) and "/" not in text):
        return LocalFile(name=_name_of(path.name), path=path.absolute())
    if match := _HUB_FILE.fullmatch(text):
        return HubFile(
            name=_name_of(match["file"]), repo=match["repo"], file=match["file"], revision=match["revision"] or "main"
        )
    return None


def _web(text: str) -> Source | None:
    try:
        parts = urlsplit(text)
    except ValueError:
        return None
    if "@" in parts.netloc:
        raise UsageError(
            "every user of this machine can read the name and the password of a URL in the process list; download"
            " the file yourself and give its path."
        )
    if parts.hostname in HUBS and (match := _HUB_PATH.fullmatch(unquote(parts.path))):
        return HubFile(name=_name_of(match["file"]), repo=match["repo"], file=match["file"], revision=match["revision"])
    if not parts.path.endswith(SUFFIX):
        return None
    return WebFile(name=_name_of(unquote(parts.path)), url=text)


def _name_of(file: str) -> str:
    """The name of a file without its suffix, and without characters that the name of a model cannot have."""
    stem = file.rsplit("/", 1)[-1].removesuffix(SUFFIX)
    return check_name(re.sub(r"[^A-Za-z0-9._+-]+", "-", stem).lstrip("._+-")[:150])
