"""Fetches the files of others that the web page and its tests use, from npm: `make vendor`.

Each package is pinned by the checksum that npm's registry has of it, each file of it by its own.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = "channels/websocket/page/vendor"
TESTS = "tests/channels/websocket/page/vendor"


@dataclass(frozen=True, kw_only=True)
class Package:
    """`integrity` is the SHA-512 of the package, in base64; `files` are its files, where they go, and their SHA-256.

    What goes to a name in .gz is compressed there, so that no search in the repository finds its endless lines.
    """

    name: str
    version: str
    licence: str
    integrity: str
    files: tuple[tuple[str, str, str], ...]


PACKAGES = (
    Package(
        name="marked",
        version="18.2.1",
        licence="MIT",
        integrity="ii4bxCTCqqwpT86XZWgJNs+ZnAIZksmLGYMViWA7PDIXYIeNo1x6cDdX3JOip9NM/cI6p8z57FxliACboTruMA==",
        files=(
            (
                "lib/marked.esm.js",
                f"{PAGE}/marked.js",
                "5371fea86fd0656b4fc7bea7c94c663109d82789b69433eeee78d42895aa44de",
            ),
            ("LICENSE", f"{PAGE}/marked.LICENSE", "8e3a3f82f59a60958f56ca08f445647c32a4733dc7ca6c2c46f6eb898471ab9c"),
        ),
    ),
    Package(
        name="dompurify",
        version="3.5.0",
        licence="Apache-2.0 (or MPL-2.0)",
        integrity="LYC0ZkE8P1V42JsRYTwMdme/2ET8SpOc5AA2eOFjP/IadvRd2fwiT4TVz5vkfy0XUx12aS2UaRkTnfVPNOv9vw==",
        files=(
            (
                "dist/purify.es.mjs",
                f"{PAGE}/dompurify.js",
                "5e8c53cd086a012531fc754ee6a7ad7a02e8a06fc4dadd805b912e128c3f6c58",
            ),
            (
                "LICENSE",
                f"{PAGE}/dompurify.LICENSE",
                "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30",
            ),
        ),
    ),
    Package(
        name="axe-core",
        version="4.14.1",
        licence="MPL-2.0",
        integrity="FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ==",
        files=(
            ("axe.min.js", f"{TESTS}/axe.js.gz", "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c"),
            ("LICENSE", f"{TESTS}/axe.LICENSE", "af175b9d96ee93c21a036152e1b905b0b95304d4ae8c2c921c7609100ba8df7e"),
            (
                "LICENSE-3RD-PARTY.txt",
                f"{TESTS}/axe.LICENSE-3RD-PARTY",
                "4f8563870d0fca38bbc3e00b6f670cb7fa9f380ba9f26a7f7d1184a6b18b1653",
            ),
        ),
    ),
)


def main() -> int:
    """Fetch all of them; 1 if one is not what it should be."""
    with tempfile.TemporaryDirectory() as folder:
        for package in PACKAGES:
            try:
                _unpack(package, _packed(package, Path(folder)))
            except ValueError as error:
                print(error, file=sys.stderr)
                return 1
            print(f"{package.name} {package.version} ({package.licence})")
    return 0


def _packed(package: Package, folder: Path) -> Path:
    command = ["npm", "pack", "--silent", "--pack-destination", str(folder), f"{package.name}@{package.version}"]
    name = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    return folder / name


def _unpack(package: Package, packed: Path) -> None:
    digest = base64.b64encode(hashlib.sha512(packed.read_bytes()).digest()).decode()
    if digest != package.integrity:
        raise ValueError(f"{package.name} {package.version} has the checksum {digest}; nothing of it was written.")
    with tarfile.open(packed) as tar:
        for inside, path, expected in package.files:
            member = tar.extractfile(f"package/{inside}")
            assert member is not None
            data = member.read()
            if (found := hashlib.sha256(data).hexdigest()) != expected:
                raise ValueError(f"{inside} of {package.name} {package.version} has the checksum {found}.")
            target = ROOT / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(gzip.compress(data, mtime=0) if target.suffix == ".gz" else data)


def content(path: Path) -> bytes:
    """What was fetched, of a file that is here."""
    data = path.read_bytes()
    return gzip.decompress(data) if path.suffix == ".gz" else data


if __name__ == "__main__":
    sys.exit(main())
