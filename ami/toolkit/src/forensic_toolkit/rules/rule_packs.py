"""A user's rule packs: archives of Sigma and YARA-X rules that the registry offers, run by the same engine as the shipped rules.

A pack is a zip, tar, tar.gz, tar.bz2, tar.xz or a single file; members are read in memory and never unpacked to a disk. Every rule is
accounted for: used, for another product or a log source that this evidence does not have, or refused, with the reason.
"""

from __future__ import annotations

import tarfile
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from forensic_toolkit.results import Results
from forensic_toolkit.rules import sigma_engine
from forensic_toolkit.rules.sigma_engine import Rules

SIGMA, YARA = "rules_sigma", "rules_yara"
MAX_MEMBERS, MAX_MEMBER, MAX_TOTAL = 50_000, 2 << 20, 512 << 20
_SUFFIXES = {SIGMA: (".yml", ".yaml"), YARA: (".yar", ".yara")}
# Folders of Sigma's own releases whose rules are not for use.
_NOT_FOR_USE = ("deprecated/", "unsupported/", "tests/", "regression_data/", ".github/", "documentation/", "other/")


@dataclass(slots=True)
class Packs:
    """The texts of all packs: (pack, file, text) of Sigma rules and (file, text) of YARA rules."""

    sigma: list[tuple[str, str, str]] = field(default_factory=list)
    yara: list[tuple[str, str]] = field(default_factory=list)


def is_pack(name: str) -> bool:
    """Whether an object of the manifest is a rule pack, by its name."""
    return name.startswith((SIGMA, YARA))


def load(files: Mapping[str, Path], *, results: Results) -> Packs:
    """Read the packs among some files; one that cannot be read is a gap."""
    packs = Packs()
    for name, path in files.items():
        if not is_pack(name):
            continue
        kind = SIGMA if name.startswith(SIGMA) else YARA
        try:
            members = list(_members(path, _SUFFIXES[kind]))
        except (OSError, ValueError, tarfile.TarError, zipfile.BadZipFile, EOFError) as error:
            results.gap(f"rule pack {name}", f"it cannot be read: {error}; none of its rules ran")
            continue
        if not members:
            results.gap(f"rule pack {name}", f"it holds no file {' or '.join(_SUFFIXES[kind])}")
        if kind == SIGMA:
            packs.sigma += [(name, member, text) for member, text in members]
        else:
            packs.yara += [(f"{name}/{member}", text) for member, text in members]
    return packs


def _members(path: Path, suffixes: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    total = 0
    for number, (name, content) in enumerate(_contents(path, suffixes)):
        total += len(content)
        if number >= MAX_MEMBERS or total > MAX_TOTAL:
            raise ValueError(f"more than {MAX_MEMBERS} files or {MAX_TOTAL >> 20} MiB")
        yield name, content.decode("utf-8", "replace")


def _contents(path: Path, suffixes: tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
    def wanted(name: str) -> bool:
        return name.endswith(suffixes) and not any(f"/{part}" in f"/{name}" for part in _NOT_FOR_USE)

    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for entry in archive.infolist():
                if wanted(entry.filename) and not entry.is_dir():
                    with archive.open(entry) as member:
                        yield entry.filename, member.read(MAX_MEMBER)
    elif tarfile.is_tarfile(path):
        with tarfile.open(path) as packed:
            for item in packed:
                content = packed.extractfile(item) if item.isfile() and wanted(item.name) else None
                if content is not None:
                    yield item.name, content.read(MAX_MEMBER)
    else:
        # One rule file alone; its name in the manifest has no suffix.
        with path.open("rb") as file:
            alone = file.read(MAX_MEMBER)
        if b"\0" in alone:
            raise ValueError("it is neither a readable archive (zip, tar) nor a text")
        yield path.name + suffixes[0], alone


def sigma(packs: Packs, *, product: str, results: Results) -> Rules:
    """The packs' Sigma rules for a product (and those for none), translated."""
    whole = Rules()
    for pack in dict.fromkeys(pack for pack, _, _ in packs.sigma):
        texts = [(name, text) for own, name, text in packs.sigma if own == pack]
        found = sigma_engine.translated(texts, results=results, pack=pack, product=product)
        whole.rules += found.rules
        whole.refused += [(f"{pack}/{name}", why) for name, why in found.refused]
        whole.elsewhere += found.elsewhere
    return whole


def account(rules: Rules, *, unplaced: list[sigma_engine.Rule], results: Results) -> None:
    """Say what became of every rule of the packs: a note of those that ran, a gap with those that could not."""
    ran = len(rules.rules) - len(unplaced)
    sources = Counter(f"{rule.product or 'any'}/{rule.category or rule.service or 'any'}" for rule in unplaced)
    sources.update(rules.elsewhere)
    results.counts["pack_rules"] = results.counts.get("pack_rules", 0) + ran
    others = ", ".join(f"{count} {name}" for name, count in sources.most_common(40))
    results.notes.append(
        ("rule packs", f"{ran} Sigma rules ran; {sum(sources.values())} are for other log sources: {others or 'none'}")
    )
    sigma_engine.account(rules, what="rule packs", results=results)
