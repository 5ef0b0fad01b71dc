"""Tapes: what a command on a host sent and said, recorded once, and played again without the work and with its time.

In AWS the tools run on machines of their own. On this machine they share the cores with Airflow, so that a measurement of
ten cases shows the tools and not the product. A command that is played from a tape takes its recorded time and no core.
"""

from lab.hosts.tapes.player import play
from lab.hosts.tapes.recorder import Recorder
from lab.hosts.tapes.shelf import MODES, Shelf, ShelfError

__all__ = ["MODES", "Recorder", "Shelf", "ShelfError", "play"]
