"""``python -m lab.stack up|down|status``."""

import sys

from lab.stack.stack import main

sys.exit(main())
