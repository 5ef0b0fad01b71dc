"""``python -m lab.stack up|down|status``."""

import sys

from lab.stack.commands import main

sys.exit(main())
