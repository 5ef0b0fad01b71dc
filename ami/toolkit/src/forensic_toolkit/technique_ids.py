"""ATT&CK ids as v19 has them: rules written for an older version still name what v19 replaced.

The pairs are those by which Atomic Red Team moved its tests to v19 ("Attack v19 migration", commit 113f30c9). The parent T1562 and
the four that have no test there (T1562.006, T1562.007, T1562.011, T1562.013) follow public tables that quote the official file's
"revoked-by" relations; the official file itself could not be had. Names and tactics of v19.1 are in the product's
``forensics.attack_techniques``.
"""

from __future__ import annotations

import re

_TECHNIQUE = re.compile(r"T\d{4}(\.\d{3})?")
REPLACED = {
    "T1070.001": "T1685.005",
    "T1070.002": "T1685.006",
    "T1562": "T1685",
    "T1562.001": "T1685",
    "T1562.002": "T1685.001",
    "T1562.003": "T1690",
    "T1562.004": "T1686",
    "T1562.006": "T1685",
    "T1562.007": "T1686.001",
    "T1562.008": "T1685.002",
    "T1562.009": "T1688",
    "T1562.010": "T1689",
    "T1562.011": "T1685.003",
    "T1562.012": "T1685.004",
    "T1562.013": "T1686.002",
    "T1574.002": "T1574.001",
}


def technique_id(text: str) -> str | None:
    """The id of ATT&CK v19 that a rule's text names, whatever its case; None when it names no technique."""
    wanted = text.upper()
    return REPLACED.get(wanted, wanted) if _TECHNIQUE.fullmatch(wanted) else None
