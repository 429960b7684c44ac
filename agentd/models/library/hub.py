"""Asks a hub, or another web server, about a model file before it is downloaded; explains every fault in plain words.

The hub is huggingface.co or the one that `HF_ENDPOINT` names; `HF_HUB_OFFLINE` and `HF_TOKEN` count as they do in
huggingface_hub: https://huggingface.co/docs/huggingface_hub/package_reference/environment_variables
The replies are untrusted: they have a limit on their size, and only what has the right form is used or shown.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn, TypeVar
from urllib.parse import quote

from huggingface_hub import constants, get_token

from agentd.errors import ModelError, NotFound, UsageError
from agentd.host.http import Ask, CutOff, Outbound, OutboundError, Reply, Unreached, silence
from agentd.host.secrets import cleaned, note
from agentd.host.urls import shown
from agentd.models.library.sources import HubFile, WebFile
from agentd.text.plain import plain

silence("huggingface_hub")

Result = TypeVar("Result")

SECONDS = 20.0
"""How long a request to a hub may take."""
MOST_BYTES = 4 * 1024 * 1024
"""Of a hub's reply: that is enough for some thousand files of a repository."""
MOST_SIZE = 1 << 44
"""Bytes of a file; no disk is larger."""
LONGEST = 120
"""Characters that are shown of a name from a hub."""
_REPO = re.compile(r"(?!.*(?:--|\.\.))(?:\w[\w.-]{0,94}/)\w(?:[\w.-]{0,94}\w)?", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{7,64}")
_SHA256, _BLOB = re.compile(r"[0-9a-f]{64}"), re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Offer:
    """A file that can be downloaded: its `size` in bytes, and `sha256`, `blob` (git's hash of a small file) or neither.

    `key` names an unfinished download; another file has another key. `headers` may hold a token.
    """

    url: str
    size: int
    sha256: str = ""
    blob: str = ""
    revision: str = ""
    licence: str = ""
    key: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def address(self) -> str:
        """The address without secrets, for messages."""
        return shown(self.url)

    @property
    def of_hub(self) -> bool:
        """Only a hub gives a revision."""
        return bool(self.revision)


def hub_offer(source: HubFile, *, endpoint: str | None = None) -> Offer:
    """Ask the hub for the commit, the size and the hash of a file. `NotFound`; `ModelError` for any other fault."""
    endpoint = (endpoint or constants.ENDPOINT).rstrip("/")
    if _REPO.fullmatch(source.repo) is None or source.repo.endswith(".git"):
        raise NotFound(f"{plain(source.repo)} is not the name of a repository, as in OWNER/REPOSITORY.")
    _refuse_offline()
    headers = {"authorization": f"Bearer {token}"} if (token := _token()) else {}
    revision = quote(source.revision, safe="")
    ask = Ask(url=f"{endpoint}/api/models/{source.repo}/revision/{revision}?blobs=true", headers=headers)
    info = with_outbound(lambda outbound: _info(outbound, ask, shown(endpoint)))
    return _offer(source, info, endpoint, headers)


def web_offer(source: WebFile) -> Offer:
    """Ask any web server for the size of a file; it gives no hash."""
    _refuse_offline()
    headers = with_outbound(lambda outbound: _head(outbound, source))
    size = _number(headers.get("x-linked-size") or headers.get("content-length", ""))
    if size is None:
        raise ModelError(f"{source.text} does not say how large it is; download it yourself and give its path.")
    tag = headers.get("x-linked-etag") or headers.get("etag", "")
    return Offer(url=source.url, size=size, key=_key(f"{source.text} {tag} {size}"))


def with_outbound(work: Callable[[Outbound], Awaitable[Result]]) -> Result:
    """Do `work` with a new client in a new event loop. The client may follow redirects to other servers."""

    async def whole() -> Result:
        outbound = Outbound(elsewhere=True)
        try:
            return await work(outbound)
        finally:
            await outbound.close()

    return asyncio.run(whole())


def refuse(reply: Reply, address: str, *, hub: bool) -> NoReturn:
    """Raise what a refusing status means: `NotFound` or `ModelError`. `hub` is False for any other web server."""
    code, status = reply.headers.get("x-error-code", ""), reply.status
    if hub and code == "GatedRepo":
        terms = "gives this model only to users who accepted its terms; accept them there, and set HF_TOKEN."
        raise ModelError(f"{address} {terms}")
    if hub and code == "RevisionNotFound":
        raise NotFound(f"{address} has no such revision of this model.")
    if hub and status == 401 and code != "RepoNotFound" and _token():
        raise ModelError(f"{address} refused the token (401); set HF_TOKEN to a valid one, or unset it.")
    if status == 404 or code in ("RepoNotFound", "EntryNotFound") or (hub and status == 401):
        what = "model; check the name (a private one needs HF_TOKEN)" if hub else "file; check the URL"
        raise NotFound(f"{address} has no such {what}.")
    raise ModelError(f"{address} refused ({status}); try again later.")


def unreached(error: OutboundError, address: str, *, hub: bool, kept: bool = False) -> ModelError:
    """The error in words; `kept` says that a part of the file was downloaded already."""
    said = "what was downloaded is kept: " if kept else ""
    where = "HF_ENDPOINT" if hub else "the URL"
    match error:
        case Unreached():
            then = f"{said}check the network{' and HF_ENDPOINT' if hub else ''}, then try again."
        case CutOff():
            then = f"{said}try again later."
        case _:
            then = f"check {where}."
    return ModelError(f"{address} {error}; {then}")


async def _info(outbound: Outbound, ask: Ask, address: str) -> dict[str, Any]:
    try:
        reply, body = await outbound.read(ask, most=MOST_BYTES, within=SECONDS)
    except OutboundError as error:
        raise unreached(error, address, hub=True) from None
    if reply.status != 200:
        refuse(reply, address, hub=True)
    try:
        info = json.loads(body)
    except (ValueError, RecursionError):
        info = None
    if not isinstance(info, dict):
        raise ModelError(f"{address} does not answer like a hub; check HF_ENDPOINT.")
    return info


async def _head(outbound: Outbound, source: WebFile) -> Mapping[str, str]:
    try:
        reply, _ = await outbound.read(Ask(url=source.url, method="HEAD"), most=0, within=SECONDS)
    except OutboundError as error:
        raise unreached(error, source.text, hub=False) from None
    if reply.status != 200:
        refuse(reply, source.text, hub=False)
    return reply.headers


def _offer(source: HubFile, info: Mapping[str, Any], endpoint: str, headers: Mapping[str, str]) -> Offer:
    files = _files(info.get("siblings"))
    commit = _matching(_COMMIT, info.get("sha"))
    if (file := files.get(source.file)) is None:
        raise NotFound(f"{source.repo} has no file {plain(source.file)}; it has {_models(files)}.")
    size = _number(file.get("size"))
    if size is None or not commit:
        raise ModelError(f"{shown(endpoint)} does not say how large {source.text} is; try again later.")
    lfs = file.get("lfs")
    sha256 = _matching(_SHA256, lfs.get("sha256")) if isinstance(lfs, dict) else ""
    url = f"{endpoint}/{source.repo}/resolve/{commit}/{quote(source.file)}"
    return Offer(
        url=url,
        size=size,
        sha256=sha256,
        blob="" if sha256 else _matching(_BLOB, file.get("blobId")),
        revision=commit,
        licence=source.licence or _licence(info.get("tags")),
        key=sha256 or _key(url),
        headers=headers,
    )


def _files(siblings: object) -> dict[str, Mapping[str, Any]]:
    listed = siblings if isinstance(siblings, list) else []
    named = [(file.get("rfilename"), file) for file in listed if isinstance(file, dict)]
    return {name: file for name, file in named if isinstance(name, str)}


def _models(files: Mapping[str, object]) -> str:
    """The models among these names, for a message."""
    models = [name for name in files if name.endswith(".gguf")][:20]
    return ", ".join(_short(name) for name in models) or "no .gguf files"


def _licence(tags: object) -> str:
    named = [tag for tag in tags if isinstance(tag, str)] if isinstance(tags, list) else []
    return next((_short(tag.removeprefix("license:")) for tag in named if tag.startswith("license:")), "")


def _short(text: str) -> str:
    text = " ".join(plain(text).split())
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def _number(value: object) -> int | None:
    """The size of a file; None if no file can have it."""
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,15}", value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 < value <= MOST_SIZE else None


def _matching(form: re.Pattern[str], value: object) -> str:
    return value if isinstance(value, str) and form.fullmatch(value) else ""


def _refuse_offline() -> None:
    if constants.HF_HUB_OFFLINE:
        raise ModelError("HF_HUB_OFFLINE is set, so nothing is downloaded; unset it, or give the path of a .gguf file.")


def _token() -> str:
    try:
        token = cleaned(get_token() or "")
    except ValueError as error:
        raise UsageError(f"HF_TOKEN {error}.") from None
    note(token)
    return token


def _key(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
