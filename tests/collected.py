"""agentd that writes to the file COLLECTED, as it ends, how many objects a full collection walks and leaves out."""

from __future__ import annotations

import gc
import json
import os
import sys
from pathlib import Path

from agentd.cli import main

if __name__ == "__main__":
    code = main()
    counts = {"walked": len(gc.get_objects()), "left_out": gc.get_freeze_count()}
    Path(os.environ["COLLECTED"]).write_text(json.dumps(counts))
    sys.exit(code)
