"""``python -m forensics_verify BUNDLE``."""

import sys

from forensics_verify.cli import main

sys.exit(main())
