"""What the reader of a page has to know instead of the page."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(eq=False)  # not frozen: Python sets the traceback on exceptions
class Problem(Exception):
    """Something the reader of a page has to know instead of the page."""

    status: int
    title: str
    what: str
    why: str
    next_action: str
