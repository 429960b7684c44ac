"""A server like the Hugging Face hub that serves the files of a test, and can break every promise that it makes.

Files are on a second server, as the real hub's are: the hub redirects to it, with a signature in the address.

async with Hub({"owner/models/small.gguf": data}) as hub:
    hub.cut_after = [1000, 2000]         # the next two downloads break off
    ...                                  # a client uses hub.url as its HF_ENDPOINT
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from agentd.testing.http import HttpServer, Reply, Request

BLOCK = 64 * 1024
_API = re.compile(r"/api/models/([^/]+/[^/]+)(?:/revision/([^/]+))?")
_FILE = re.compile(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)")


class Hub(HttpServer):
    """`files` is OWNER/REPOSITORY/FILE -> content; the revision of a repository is a hash of its content."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        super().__init__(self._reply)
        self.files = dict(files)
        self.cut_after: list[int] = []
        """Until the list is empty, each download breaks off after that many bytes."""
        self.stall_after: list[int] = []
        """Until the list is empty, each download stops after that many bytes, with its connection open."""
        self.promised_size: int | None = None
        self.promised_sha256: str | None = None
        self.surplus = b""
        """Bytes sent after each file, which its length includes."""
        self.sent_length: int | None = None
        """The length that the head of a download announces."""
        self.ranges = True
        """Whether clients can ask for a part of a file."""
        self.lfs = True
        """Whether files count as large ones, which have a sha256."""
        self.status = 200
        """The status of every reply; anything but 200 is a refusal."""
        self.headers: dict[str, str] = {}
        """Of refusals."""
        self.page: bytes | None = None
        """What the hub sends instead of JSON."""
        self.page_headers: dict[str, str] = {"content-type": "text/html"}
        self.info: dict[str, Any] = {}
        """Member -> what the hub says about a repository instead of the truth."""
        self.redirects = 1
        """How many redirects come before a file; with 0 the hub serves files itself."""
        self.location: str | None = None
        """The target of the redirects instead of the second server."""
        self.requests: list[Request] = []
        self.asked_elsewhere: list[Request] = []
        """The requests that came to the second server."""
        self.sent = 0
        """How many bytes of files were sent."""
        self.storage = HttpServer(self._stored)

    async def __aenter__(self) -> Self:
        await self.storage.__aenter__()
        return await super().__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await super().__aexit__(kind, error, trace)
        await self.storage.close()

    @property
    def downloads(self) -> list[Request]:
        """The requests for files."""
        return [request for request in self.requests if request.method == "GET" and "/resolve/" in request.path]

    def revision(self, repo: str) -> str:
        """The commit of a repository's `main`."""
        held = b"".join(data for name, data in sorted(self.files.items()) if name.startswith(f"{repo}/"))
        return hashlib.sha1(held, usedforsecurity=False).hexdigest()

    async def _reply(self, request: Request, reply: Reply) -> None:
        self.requests.append(request)
        if self.status != 200:
            await reply.send_json(self.status, {"error": "refused"}, self.headers)
        elif match := _API.fullmatch(request.path):
            await self._info(match[1], match[2] or "main", reply)
        elif match := _FILE.fullmatch(request.path):
            await self._file(f"{match[1]}/{match[3]}", match[1], request, reply)
        else:
            await reply.send_json(404, {"error": "no such path"})

    async def _stored(self, request: Request, reply: Reply) -> None:
        self.asked_elsewhere.append(request)
        step, name = request.path.removeprefix("/").split("/", 1)
        if int(step) < self.redirects:
            await self._send_on(name, int(step) + 1, reply)
        else:
            await self._whole(name, "/".join(name.split("/")[:2]), request, reply)

    async def _send_on(self, name: str, step: int, reply: Reply) -> None:
        location = self.location or f"{self.storage.url}/{step}/{quote(name)}?X-Signature=signed"
        headers = {"location": location, "set-cookie": "session=hub"}
        await reply.send(302, b"", headers)

    async def _info(self, repo: str, revision: str, reply: Reply) -> None:
        names = [name for name in self.files if name.startswith(f"{repo}/")]
        if self.page is not None:
            await reply.send(200, self.page, self.page_headers)
        elif not names:
            await reply.send_json(404, {"error": "no such repository"}, {"x-error-code": "RepoNotFound"})
        elif revision not in ("main", self.revision(repo)):
            await reply.send_json(404, {"error": "no such revision"}, {"x-error-code": "RevisionNotFound"})
        else:
            siblings = [self._sibling(name, name.removeprefix(f"{repo}/")) for name in names]
            info = {"id": repo, "sha": self.revision(repo), "siblings": siblings, "tags": ["gguf", "license:mit"]}
            await reply.send_json(200, {**info, **self.info})

    def _sibling(self, name: str, file: str) -> dict[str, Any]:
        data = self.files[name]
        size = len(data) if self.promised_size is None else self.promised_size
        blob = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
        sibling: dict[str, Any] = {"rfilename": file, "size": size, "blobId": blob}
        if self.lfs:
            sha256 = self.promised_sha256 or hashlib.sha256(data).hexdigest()
            sibling["lfs"] = {"sha256": sha256, "size": size, "pointerSize": 134}
        return sibling

    async def _file(self, name: str, repo: str, request: Request, reply: Reply) -> None:
        if name not in self.files:
            await reply.send_json(404, {"error": "no such file"}, {"x-error-code": "EntryNotFound"})
        elif self.redirects:
            await self._send_on(name, 1, reply)
        else:
            await self._whole(name, repo, request, reply)

    async def _whole(self, name: str, repo: str, request: Request, reply: Reply) -> None:
        data = self.files[name]
        total = len(data)
        begin = int(request.headers.get("range", "bytes=0-").removeprefix("bytes=").rstrip("-")) if self.ranges else 0
        body = data[begin:] + self.surplus
        headers = {
            "content-length": str(self.sent_length or len(body)),
            "etag": f'"{hashlib.sha256(data).hexdigest()}"',
            "x-repo-commit": self.revision(repo),
            "accept-ranges": "bytes",
        }
        if begin:
            headers["content-range"] = f"bytes {begin}-{total - 1}/{total}"
        await reply.head(206 if begin else 200, headers)
        if request.method == "GET":
            await self._send(body, reply)

    async def _send(self, body: bytes, reply: Reply) -> None:
        cut = self.cut_after.pop(0) if self.cut_after else None
        stall = self.stall_after.pop(0) if self.stall_after and cut is None else None
        limit = next((limit for limit in (cut, stall) if limit is not None), len(body))
        for at in range(0, min(limit, len(body)), BLOCK):
            block = body[at : min(at + BLOCK, limit)]
            await reply.write(block)
            self.sent += len(block)
        if stall is not None:
            await asyncio.Event().wait()
