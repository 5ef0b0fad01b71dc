"""``python -m forensic_toolkit``."""

import sys

from forensic_toolkit.cli import main

sys.exit(main())
