"""`python -m agentd` is the command `agentd`."""

import sys

from agentd.cli import main

sys.exit(main())
