"""What an error says that comes from a limit of this process: which limit it is, and what to do."""

from __future__ import annotations

import errno
import resource

_NO_MAP = ("failed to map", "cannot allocate memory", "cannot map", "cannot create shared object")


def limit_met(error: BaseException) -> str:
    """One sentence for a person; "" if the error has another reason."""
    told = str(error).lower()
    number = error.errno if isinstance(error, OSError) else None
    if isinstance(error, MemoryError) or number == errno.ENOMEM or any(words in told for words in _NO_MAP):
        return f"there is not enough memory; {_memory()}."
    if "can't start new thread" in told:
        return f"no thread can be started; raise the limit of processes (`ulimit -u`), or {_memory()}."
    if number in (errno.EMFILE, errno.ENFILE):
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        return f"too many files are open: this process may have {most}; raise the limit (`ulimit -n`)."
    return ""


def _memory() -> str:
    most = resource.getrlimit(resource.RLIMIT_AS)[0]
    if most == resource.RLIM_INFINITY:
        return "free some memory"
    return f"raise the limit of memory (`ulimit -v`), which is {most // 10**6} MB"
