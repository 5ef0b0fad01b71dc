"""Alias of an earlier release's module; remove with the next one."""

from forensics.investigation.image_triggers import ImageBuiltTrigger

__all__ = ["ImageBuiltTrigger"]
