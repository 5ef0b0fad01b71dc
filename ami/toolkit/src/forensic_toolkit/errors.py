"""Failures that end a command; their text becomes the ``reason`` of the status line."""

from __future__ import annotations


class ToolkitError(Exception):
    """The command cannot deliver a result. The message says what, where, why and what to do next."""


class ManifestError(ToolkitError):
    """The manifest or something it points at cannot be used."""


class EvidenceError(ToolkitError):
    """The evidence is not what it should be: wrong digest, changed during analysis, not attached."""


class SymbolError(ToolkitError):
    """No symbol table can be built from what the kernel said about itself."""
