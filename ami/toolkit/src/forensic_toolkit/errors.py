"""Failures that end a command; their message becomes the ``reason`` of the status line."""

from __future__ import annotations


class ToolkitError(Exception):
    """The command cannot deliver a result. The message says what failed, where, why and what to do next."""


class ManifestError(ToolkitError):
    """The manifest, or an object it names, cannot be used."""


class EvidenceError(ToolkitError):
    """The evidence is not what it should be: wrong digest, changed during analysis, not attached."""


class SymbolError(ToolkitError):
    """No usable symbol table can be built from the given kernel files."""
