"""MITRE ATT&CK Enterprise v19.1: id, name and tactics of every technique, pinned (``attack_techniques.tsv``).

All of them, because a user's rule packs may name any. v19 split Defense Evasion into Stealth (TA0005) and Defense Impairment
(TA0112) and gave new ids to what was below T1562 and to cleared logs (T1070.001, T1070.002): T1685, T1686, T1688 to T1690 (the
toolkit's ``technique_ids`` leads from old to new).

Where the rows are from: the official file is ``enterprise-attack-19.1.json`` of mitre-attack/attack-stix-data (SHA-256
bdf1ce86a4e604214c5076d37ae4dcb322678afc528df8492e6fdc1b554f5da3 in the package mitreattack-python 6.3.1). That file itself could
not be had: the copies of attack-stix-data and mitre/cti that were in reach end at v18.1. The 697 rows are the ids, names and
relations of MITRE's own attack-flow (center-for-threat-informed-defense, commit 295d20d2, "Update to ATT&CK v19.1"); for those that
the shipped rules of Linux name, the index of Red Canary's Atomic Red Team (commit 9f85cf3e) was a second witness and agreed.
ATT&CK is a trade mark of The MITRE Corporation, whose terms of use apply to names and ids.
"""

from __future__ import annotations

from importlib import resources
from typing import NamedTuple

VERSION = "19.1"


class Technique(NamedTuple):
    """Name of a technique (of a sub-technique its own, without its parent's) and the ids of its tactics."""

    name: str
    tactics: tuple[str, ...]


TACTICS = {
    "TA0001": "Initial Access",
    "TA0002": "Execution",
    "TA0003": "Persistence",
    "TA0004": "Privilege Escalation",
    "TA0005": "Stealth",
    "TA0006": "Credential Access",
    "TA0007": "Discovery",
    "TA0008": "Lateral Movement",
    "TA0009": "Collection",
    "TA0010": "Exfiltration",
    "TA0011": "Command and Control",
    "TA0040": "Impact",
    "TA0042": "Resource Development",
    "TA0043": "Reconnaissance",
    "TA0112": "Defense Impairment",
}


def _read() -> dict[str, Technique]:
    lines = resources.files("forensics").joinpath("attack_techniques.tsv").read_text("utf-8").splitlines()
    return {
        found: Technique(name, tuple(tactics.split(",")))
        for found, name, tactics in (line.split("\t") for line in lines)
    }


TECHNIQUES = _read()


def technique_text(technique: str) -> str:
    """The id with the name where it is in the table ("T1014 Rootkit"); an id of a user's own rule stays as it is."""
    known = TECHNIQUES.get(technique)
    return f"{technique} {known.name}" if known else technique
