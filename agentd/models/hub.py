"""What a hub, or another web server, says of a model file before it is downloaded; every fault in plain words.

The hub is huggingface.co or the one that `HF_ENDPOINT` names; `HF_HUB_OFFLINE` and `HF_TOKEN` count as they do in
huggingface_hub: https://huggingface.co/docs/huggingface_hub/package_reference/environment_variables
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx2
from huggingface_hub import HfApi, constants, get_token, hf_hub_url
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.file_download import get_hf_file_metadata

from agentd.errors import ModelError, NotFound, StateError
from agentd.models.sources import HubFile, WebFile

# What it warns of is in our errors, or was mended by a repetition.
logging.getLogger("huggingface_hub").setLevel(logging.ERROR)

SECONDS = 20.0
"""How long a question to a hub may take."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Offer:
    """A file as it is offered: `size` in bytes, and its `sha256`, or `blob` (git's hash) for a small file, or neither.

    `key` names an unfinished download; it is another one when the file is another one. `headers` may hold a token.
    """

    url: str
    size: int
    sha256: str = ""
    blob: str = ""
    revision: str = ""
    licence: str = ""
    key: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


def hub_offer(source: HubFile, *, endpoint: str | None = None) -> Offer:
    """Ask the hub for the commit, the size and the hash of a file. `NotFound`, or `ModelError` for any other fault."""
    endpoint = endpoint or constants.ENDPOINT
    with explained(endpoint, hub=True):
        info = HfApi(endpoint=endpoint).model_info(
            source.repo, revision=source.revision, files_metadata=True, timeout=SECONDS
        )
        files = {sibling.rfilename: sibling for sibling in info.siblings or ()}
    if (file := files.get(source.file)) is None:
        models = [name for name in files if name.endswith(".gguf")]
        raise NotFound(f"{source.repo} has no file {source.file}; it has {', '.join(models[:20]) or 'no .gguf files'}.")
    if file.size is None or not info.sha:
        raise ModelError(f"{endpoint} does not say how large {source.text} is; try again later.")
    sha256 = file.lfs.sha256 if file.lfs else ""
    url = hf_hub_url(source.repo, source.file, revision=info.sha, endpoint=endpoint)
    return Offer(
        url=url,
        size=file.size,
        sha256=sha256,
        blob="" if sha256 else file.blob_id or "",
        revision=info.sha,
        licence=source.licence or _licence(info.tags or ()),
        key=sha256 or _key(url),
        headers={"authorization": f"Bearer {token}"} if (token := get_token()) else {},
    )


def web_offer(source: WebFile) -> Offer:
    """Ask any web server for the size of a file; it promises no hash."""
    with explained(source.url):
        metadata = get_hf_file_metadata(source.url, token=False, timeout=SECONDS)
    if metadata.size is None:
        raise ModelError(f"{source.url} does not say how large it is; download it yourself and give its path.")
    return Offer(url=source.url, size=metadata.size, key=_key(f"{source.url} {metadata.etag} {metadata.size}"))


@contextmanager
def explained(place: str, *, hub: bool = False, kept: Callable[[], bool] = lambda: False) -> Iterator[None]:
    """Errors of the library and of the network become ours.

    `hub` says that the place is a hub and no other web server, `kept` whether a part of the file is here by then.
    """
    try:
        yield
    except OfflineModeIsEnabled:
        raise ModelError(
            "HF_HUB_OFFLINE is set, so nothing is downloaded; unset it, or give the path of a .gguf file."
        ) from None
    except GatedRepoError:
        terms = "gives this model only to those who agreed to its terms; agree there, and set HF_TOKEN."
        raise ModelError(f"{place} {terms}") from None
    except RevisionNotFoundError:
        raise NotFound(f"{place} has no such revision of this model.") from None
    except (RepositoryNotFoundError, EntryNotFoundError):
        what = "model; check the name (a private one needs HF_TOKEN)" if hub else "file; check the URL"
        raise NotFound(f"{place} has no such {what}.") from None
    except HFValidationError as error:
        raise NotFound(f"that is no name of a repository: {error}") from None
    except HfHubHTTPError as error:
        if error.response.status_code == 404 and not hub:
            raise NotFound(f"{place} has no such file; check the URL.") from None
        raise ModelError(f"{place} refused ({error.response.status_code}); try again later.") from None
    except httpx2.TimeoutException:
        raise ModelError(f"{place} does not answer; {_kept(kept)}try again later.") from None
    except (httpx2.HTTPError, httpx2.InvalidURL, ConnectionError) as error:
        what = "the network and HF_ENDPOINT" if hub else "the network"
        said = f"; {_kept(kept)}" if kept() else ": "
        raise ModelError(f"{place} cannot be reached ({error}){said}check {what}, then try again.") from None
    except OSError as error:
        if error.errno is None:
            raise ModelError(f"{place} sent less than it promised; {_kept(kept)}try again.") from None
        raise StateError(f"the model cannot be stored: {error.strerror}.") from None
    except (ValueError, KeyError, TypeError) as error:
        server, check = ("hub", "HF_ENDPOINT") if hub else ("web server", "the URL")
        what = f"does not answer as a {server} does ({type(error).__name__}); check {check}."
        raise ModelError(f"{place} {what}") from None


def _kept(kept: Callable[[], bool]) -> str:
    return "what was downloaded is kept: " if kept() else ""


def _licence(tags: tuple[str, ...] | list[str]) -> str:
    return next((tag.removeprefix("license:") for tag in tags if tag.startswith("license:")), "")


def _key(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
