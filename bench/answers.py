"""Asks a daemon questions with known answers, as a client does, with each model and beside a peer.

`python -m bench.answers [--quick] [--json FILE] [--data DIR|FILE] [--model NAME...] [--part NAME...] [--questions N]
[--side NAME] [--busy] [--resume FILE]`. The peer is the same model with the same eight passages and the plain prompt
that most systems use, through the high-level `Llama` with as many threads. Without --data the questions are those about
agentd's own documentation; DIR or FILE holds others in SQuAD form. `agentd.testing.real_models` says how models are
fetched.
--resume keeps every reply in a file and continues from it, so that the rows of several runs are in one table; each
model, part and side can run alone. With --busy, replies are kept without their seconds; a later run without it asks
again for those. `bench.answers_rows` says what the rows are.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

from agentd.host import limits
from agentd.models.llama.machine import free_threads
from agentd.testing.real_models import MODELS, FetchFailed, fetch
from bench import answers_data, answers_rows
from bench.answers_daemon import DaemonFailed
from bench.answers_data import Collection, DataError
from bench.answers_journal import Journal, OtherRun, Part, Who
from bench.answers_peer import INSTRUCTION, PASSAGES, PeerFailed
from bench.answers_run import EXTRACTIVE, FULL, QUICK, Plan, Progress, Run, Setting
from bench.report import PICTURES, Row, draw, table, write_json

PARTS: tuple[Part, ...] = get_args(Part)
SIDES: tuple[Who, ...] = get_args(Who)


def settings(plan: Plan, collection: Collection, threads: int) -> dict[str, Any]:
    """Everything but the code that a reply depends on: replies of two runs belong together only if these agree."""
    asked = json.dumps(asdict(collection), sort_keys=True)
    return {
        "data": hashlib.sha256(asked.encode()).hexdigest(),
        "tokens": plan.tokens,
        "threads": threads,
        "passages": PASSAGES,
        "peer": INSTRUCTION,
        "models": {name: MODELS[name].sha256 for name in plan.questions if name != EXTRACTIVE},
    }


def run(plan: Plan, setting: Setting, journal: Journal) -> None:
    """Ask every question that is not in the journal yet."""
    progress = Progress(lambda line: print(line, flush=True))
    asyncio.run(Run(plan, setting, journal, progress).everything())


def tell(journal: Journal, known: answers_rows.Known, picture: Path | None) -> list[Row]:
    """Print the table for everything in the journal, and draw it."""
    found = answers_rows.rows(journal, known)
    print(table(found))
    print("\n".join(answers_rows.paired(journal, known)))
    if picture is not None and found:
        drawn = draw(answers_rows.panels(found), picture, title="answers from documents")
        print(f"\npicture: {picture}" if drawn else "\nno picture: install matplotlib (pip install --group bench)")
    return found


def _options(arguments: Sequence[str] | None, plan_of: dict[bool, Plan]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.answers", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a few questions for the smaller models, within a minute")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows to this file")
    parser.add_argument(
        "--data", type=Path, metavar="PATH", help="questions in SQuAD form: a file, or a folder of them"
    )
    parser.add_argument(
        "--model", action="append", metavar="NAME", help=f"only this one of {', '.join(FULL.questions)}"
    )
    parser.add_argument(
        "--questions",
        type=int,
        metavar="N",
        help="this many for each language model, the first of the fixed order",
    )
    parser.add_argument("--part", action="append", choices=PARTS, help="only this part")
    parser.add_argument(
        "--resume", type=Path, metavar="FILE", help="keep the replies in this file, and continue from it"
    )
    parser.add_argument("--side", action="append", choices=SIDES, help="ask only this side")
    parser.add_argument("--busy", action="store_true", help="the machine does other work: do not measure seconds")
    parser.add_argument("--threads", type=int, help="threads of the peer's model (default: as many as ours)")
    parser.add_argument(
        "--picture", type=Path, metavar="FILE", help="draw here (default: docs/benchmarks/answers.svg, not if --quick)"
    )
    options = parser.parse_args(arguments)
    options.model = options.model or list(plan_of[options.quick].questions)
    if unknown := [name for name in options.model if name not in FULL.questions]:
        parser.error(f"there is no model {unknown[0]}; there are {', '.join(FULL.questions)}")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments, {True: QUICK, False: FULL})
    plan = (QUICK if options.quick else FULL).with_questions(options.questions)
    os.environ.update(limits.THREADS_WAIT)  # the peers' threads wait as ours do
    picture = options.picture or (None if options.quick else PICTURES / "answers.svg")
    try:
        collection = answers_data.read(options.data or answers_data.OWN)
        follow_ups = answers_data.follow_ups()
        threads = options.threads or free_threads()
        models = {name: None if name == EXTRACTIVE else fetch(name) for name in options.model}
        with (
            Journal(options.resume, settings(plan, collection, threads)) as journal,
            tempfile.TemporaryDirectory() as place,
        ):
            setting = Setting(
                collection=collection,
                follow_ups=follow_ups,
                models=models,
                parts=[part for part in PARTS if part in (options.part or PARTS)],
                place=Path(place),
                threads=threads,
                sides=options.side or SIDES,
                timed=not options.busy,
            )
            run(plan, setting, journal)
            found = tell(journal, answers_rows.Known.of(collection, follow_ups), picture)
    except (DataError, OtherRun, FetchFailed, DaemonFailed, PeerFailed) as error:
        print(error, file=sys.stderr)
        return 1
    if options.json is not None:
        write_json(found, options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
