"""``python -m lab.seed --endpoint URL --state DIR``."""

import sys

from lab.seed.seed import main

sys.exit(main())
