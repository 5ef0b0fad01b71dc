"""What the pages have inside Airflow's UI and a stored report has not: one small script, allowed by its digest alone."""

from __future__ import annotations

import base64
import hashlib
from functools import lru_cache
from importlib import resources

from markupsafe import Markup

from forensics.report.page import STORED_POLICY


@lru_cache(maxsize=1)
def script() -> Markup:
    """The script as it stands between its tags. It is the program's own text, never data."""
    return Markup(resources.files("forensics.web").joinpath("frame.js").read_text("utf-8"))  # noqa: S704


@lru_cache(maxsize=1)
def policy() -> str:
    """The pages' Content-Security-Policy: as a stored report's, with that script by its SHA-256 and the board's own form."""
    digest = base64.b64encode(hashlib.sha256(script().encode()).digest()).decode()
    return f"{STORED_POLICY}; script-src 'sha256-{digest}'; connect-src 'self'; form-action 'self'"
