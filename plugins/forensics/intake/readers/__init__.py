"""Event -> findings with verdicts, one parser per source."""

from forensics.intake.readers.dispatch import read_event

__all__ = ["read_event"]
