"""The offline store of Windows symbol tables."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from forensic_toolkit.errors import SymbolError
from forensic_toolkit.symbols import windows_symbols


def test_the_offline_store_unpacks_tables_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "windows/ntkrnlmp.pdb/3844DBB920174967BE7AA4A2C20430FA-2.json.xz"
    archive = tmp_path / "symbols.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for path in (
            name,
            f"symbols/{name}",
            "../../etc/passwd",
            "windows/../x/a.json",
            "linux/kernel.json",
            "windows/a.pdb/b.json",
        ):
            packed.writestr(path, b"table")
    folder = windows_symbols.prepare({"symbols_windows": archive}, work=tmp_path)
    assert [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()] == [name]
    monkeypatch.setenv("FORENSIC_SYMBOLS", str(folder))
    assert windows_symbols.prepare({}, work=tmp_path / "other") == folder
    monkeypatch.setenv("FORENSIC_SYMBOLS", str(tmp_path / "none"))
    with pytest.raises(SymbolError, match="no symbol table for Windows"):
        windows_symbols.prepare({}, work=tmp_path)
    (tmp_path / "bad.zip").write_bytes(b"PK nothing")
    with pytest.raises(SymbolError, match="cannot be unpacked"):
        windows_symbols.prepare({"symbols_windows": tmp_path / "bad.zip"}, work=tmp_path)
    monkeypatch.setattr(windows_symbols, "MAX_FILES", 1)
    with pytest.raises(SymbolError, match="more than 1 files"):
        windows_symbols.prepare({"symbols_windows": archive}, work=tmp_path)
