"""The kernel's BTF."""

from __future__ import annotations

import pytest

from forensic_toolkit.errors import SymbolError
from forensic_toolkit.symbols import btf
from tests.toolkit import btf_blob


def test_unknown_kinds_are_refused() -> None:
    blob = btf_blob.BtfBlob()
    blob.add(30, "new", 0)
    with pytest.raises(SymbolError, match="kind 30"):
        btf.parse(blob.bytes())


def test_a_type_that_refers_to_itself_ends() -> None:
    blob = btf_blob.BtfBlob()
    blob.add(8, "loop", 1)
    with pytest.raises(SymbolError, match="itself"):
        btf.parse(blob.bytes()).resolve(1)
