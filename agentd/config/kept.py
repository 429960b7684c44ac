"""Where a secret is kept if it does not stand in the settings themselves: `{ file = PATH }` or `{ credential = NAME }`.

A credential is a file that systemd hands to a service alone, in the directory `$CREDENTIALS_DIRECTORY`:
https://systemd.io/CREDENTIALS/
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from agentd.host.secrets import cleaned, note

MOST_BYTES = 64 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """One of both is set; the file is an absolute path."""

    file: Path | None = None
    credential: str = ""


def kept(value: object) -> Kept | None:
    """What a table says of the place, None if it is not such a table; `ValueError` if what it says cannot be."""
    if not isinstance(value, dict) or not value or not set(value) <= {"file", "credential"}:
        return None
    if len(value) > 1:
        raise ValueError("must name a file or a credential, not both")
    [(form, where)] = value.items()
    if not isinstance(where, str) or not where:
        raise ValueError(f"its {form} must be a text in quotes")
    if form == "credential":
        if "/" in where or where in (".", ".."):
            raise ValueError("its credential must be a name, as in LoadCredential=NAME:PATH of the service")
        return Kept(credential=where)
    path = Path(os.path.expanduser(where))
    if not path.is_absolute():
        raise ValueError("its file must be an absolute path")
    return Kept(file=path)


def secret(value: object) -> SecretStr | Kept | None:
    """A secret as a setting gives it, cleaned; `ValueError` tells what is wrong with it, and never the secret."""
    match value:
        case None:
            return None
        case Kept():
            return value
        case SecretStr():
            return _noted(value.get_secret_value())
        case str():
            return _noted(value)
    if (where := kept(value)) is None:
        raise ValueError(
            'must be a text in quotes, or say where the secret is kept: { file = "/a/path" } or { credential = "NAME" }'
        )
    return where


def read(where: Kept, credentials: str | None, key: str = "") -> SecretStr:
    """What is kept there for a key of this name; `ValueError` tells why it cannot be had.

    `credentials` is systemd's directory, None outside of a service.
    """
    if where.file is not None:
        path, named = where.file, f"its file {where.file}"
    elif credentials:
        path, named = Path(credentials) / where.credential, f"its credential {where.credential}"
    else:
        raise ValueError(
            f"its credential {where.credential} is given to the service alone: run agentd under systemd, with"
            f" LoadCredential={where.credential}:/a/path in the unit"
        )
    try:
        found = _noted(_text(path), key)
    except OSError as error:
        raise ValueError(f"{named} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ValueError(f"{named} {error}") from None
    if found is None:
        raise ValueError(f"{named} is empty")
    return found


def _noted(text: str, key: str = "") -> SecretStr | None:
    text = cleaned(text, key)
    note(text)
    return SecretStr(text) if text else None


def _text(path: Path) -> str:
    """Nothing waits here: what is not a file, like a pipe, is refused."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("is not a file")
        data = file.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise ValueError("is too large for a key")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8 text") from None
