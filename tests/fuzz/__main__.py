"""`python -m tests.fuzz [--seconds N] [--corpus DIR] [--seed N] [TARGET]`: feed one target for some time.

Without a target it lists them. With atheris (`pip install --group fuzz`) inputs are chosen by the code that they reach,
and those that reached something new are kept in DIR; without it they are random. Exits 1, with the input, if one breaks
what must hold.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
from pathlib import Path

from tests.fuzz import drive


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("target", nargs="?")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--corpus", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    if drive.guided():
        import atheris

        with atheris.instrument_imports(include=["agentd"]):
            from tests.fuzz.targets import TARGETS
    else:
        from tests.fuzz.targets import TARGETS
    if options.target not in TARGETS:
        print("\n".join(TARGETS))
        return 0 if options.target is None else 2
    target = TARGETS[options.target]
    corpus = options.corpus or Path(tempfile.mkdtemp())
    if drive.guided():
        drive.by_coverage(target.inputs, target.check, options.seconds, corpus, first=options.seed)
    print(f"inputs {drive.for_seconds(target.inputs, target.check, options.seconds, first=options.seed)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
