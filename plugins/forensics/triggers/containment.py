"""Alias of an earlier release's module; remove with the next one."""

from forensics.containment.triggers import ContainmentWatchTrigger

__all__ = ["ContainmentWatchTrigger"]
