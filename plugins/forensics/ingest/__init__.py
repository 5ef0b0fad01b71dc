"""Event -> findings with verdicts, one parser per source."""

from forensics.ingest.dispatch import read_event

__all__ = ["read_event"]
