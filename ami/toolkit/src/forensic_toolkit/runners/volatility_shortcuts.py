"""What makes Volatility 3 quicker and changes no row: each replaces a part of it by one with the same results.

The figures are those of a profile of the quick set's first plugin on an image of 256 MiB (Volatility 2.28, Debian's 6.1 kernel):
20 s of processor time, 9.7 of them for objects of all 62,000 symbols because 14 are looked up by address, 4.4 to identify
Volatility's own 114 tables, 3.2 of these to read the system's certificates once for each local file.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import urllib.request
from pathlib import Path
from typing import Any

# The version of dwarf2json whose tables have the same content as this toolkit's.
_AS_DWARF2JSON = (0, 9, 0)


def apply(symbols: Path) -> None:
    """Apply all of them; ``symbols`` is the folder with the tables of what is examined. To be called once, before anything is read."""
    lighten()
    accept_own_tables()
    index_addresses()
    files_only()
    identify_only(symbols)


def lighten() -> None:
    """Make two lookups faster that every access to an object performs; their results stay the same.

    They search a dataclass and, twice, a chain of mappings; together they take a third of the time of
    a plugin such as malfind.
    """
    from volatility3.framework.interfaces import objects

    names = frozenset(field.name for field in dataclasses.fields(objects.ObjectInformation))

    def contains(_self: Any, key: object) -> bool:
        return key in names

    def get_attribute(self: Any, name: str) -> Any:
        if name == "_dict":
            raise AttributeError(name)
        try:
            return self._dict[name]
        except KeyError:
            raise AttributeError(f"Object has no attribute: {type(self).__name__}.{name}") from None

    objects.ObjectInformation.__contains__ = contains
    objects.ReadOnlyMapping.__getattr__ = get_attribute


def accept_own_tables() -> None:
    """Let plugins that check dwarf2json's version treat this toolkit's tables as those of ``_AS_DWARF2JSON``.

    Some require a minimum version, others behave differently for old ones, so the check itself is replaced.
    """
    from volatility3.framework import symbols

    asked = symbols.SymbolSpace.verify_table_versions

    def verify(self: Any, producer: str, validator: Any, tables: list[str] | None = None) -> bool:
        names = self._dict.keys() if tables is None else tables
        own = any(getattr(self._dict[name].producer, "name", None) == "forensic-toolkit" for name in names)
        return bool(validator(_AS_DWARF2JSON, None) if own else asked(self, producer, validator, tables))

    symbols.SymbolSpace.verify_table_versions = verify


def index_addresses() -> None:
    """Sort the symbols of a table by the addresses that its file gives, without an object and a type for each."""
    from volatility3.framework.symbols import intermed

    table = intermed.IntermediateSymbolTable
    asked = table.get_symbols_by_location

    def by_location(self: Any, offset: int, size: int = 0) -> Any:
        if not self._sort_symbols:
            mask = self._delegate.config.get("symbol_mask", 0)
            raw = self._delegate._json_object["symbols"]
            found = ((symbol["address"], name) for name, symbol in raw.items())
            self._sort_symbols = sorted((address & mask if mask else address, name) for address, name in found)
        return asked(self, offset, size)

    table.get_symbols_by_location = by_location


def files_only() -> None:
    """Open files, and what Volatility itself opens, by one opener without HTTP: every other one reads the certificates first."""
    from volatility3 import framework
    from volatility3.framework.layers import resources

    @functools.cache
    def opener() -> urllib.request.OpenerDirector:
        made = urllib.request.OpenerDirector()
        own = framework.class_subclasses(resources.VolatilityHandler)
        for handler in (urllib.request.UnknownHandler, urllib.request.FileHandler, *own):
            made.add_handler(handler())
        return made

    urllib.request.build_opener = lambda *_handlers: opener()


def identify_only(symbols: Path) -> None:
    """Look for the kernel's table in this folder alone: none of Volatility's own tables is one of a kernel."""
    from volatility3.framework.automagic import symbol_cache

    package: Any = importlib.import_module("volatility3.symbols")
    asked = symbol_cache.SqliteCache.update

    def update(self: Any, progress_callback: Any = None) -> None:
        everywhere = package.__path__
        package.__path__ = [str(symbols)]
        try:
            asked(self, progress_callback)
        finally:
            package.__path__ = everywhere

    symbol_cache.SqliteCache.update = update
