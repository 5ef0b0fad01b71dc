"""Captures of the lab's real memory image, clean and damaged, for image validation: each with what was done to it."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from forensics.memory.image_validation import ImageReport, KernelClaims, validate_image
from forensics.memory.lime import HEADER, MAGIC, PAGE, LimeWalker
from lab.evidence.memory import MemoryFiles

MIB = 1024 * 1024
CHUNK = 16 * MIB


@dataclass(frozen=True)
class Capture:
    """One image and what its target reports about itself."""

    kind: str
    what: str
    image: bytes
    claims: KernelClaims
    chunk: int = CHUNK


@dataclass
class Source:
    """The clean image in its ranges, and the kernel's facts."""

    claims: KernelClaims
    ranges: list[tuple[int, bytes]] = field(default_factory=list)

    @classmethod
    def read(cls, files: MemoryFiles) -> Source:
        """Read the unpacked image."""
        data = files.memory.read_bytes()
        claims = KernelClaims(
            banner=files.version.read_text("utf-8"),
            iomem=files.iomem.read_text("utf-8"),
            kallsyms=Path(files.kallsyms).read_bytes(),
            architecture=json.loads(files.facts.read_text("utf-8")).get("architecture", "x86_64"),
        )
        made, at = cls(claims), 0
        while at < len(data):
            _, _, first, last = HEADER.unpack_from(data, at)
            size = last - first + 1
            made.ranges.append((first, data[at + HEADER.size : at + HEADER.size + size]))
            at += HEADER.size + size
        return made

    def image(self, ranges: list[tuple[int, bytes]] | None = None) -> bytes:
        """An image of these ranges (default: of all)."""
        return b"".join(header(a, len(d)) + d for a, d in (self.ranges if ranges is None else ranges))

    def changed(self, address: int, data: bytes) -> bytes:
        """The image with other bytes at a physical address."""
        out = []
        for first, body in self.ranges:
            if first <= address < first + len(body):
                at = address - first
                body = body[:at] + data + body[at + len(data) :]
            out.append((first, body))
        return self.image(out)


def header(first: int, size: int, *, magic: int = MAGIC, version: int = 1) -> bytes:
    """A range's header."""
    return struct.pack("<IIQQ8x", magic, version, first, first + size - 1)


def validate(capture: Capture) -> ImageReport:
    """Read the image and validate it, as the step does."""
    walker = LimeWalker()
    for at in range(0, len(capture.image), capture.chunk):
        walker.feed(capture.image[at : at + capture.chunk])
    return validate_image(
        walker, claims=capture.claims, read_at=lambda offset, size: capture.image[offset : offset + size]
    )


def clean(source: Source, *, seed: int = 7) -> Iterator[Capture]:
    """Ten captures that must be accepted: as tools differ, and as memory differs."""
    low, high = source.ranges[0], source.ranges[-1]
    same = source.claims

    def made(what: str, ranges: list[tuple[int, bytes]], chunk: int = CHUNK) -> Capture:
        return Capture("clean", what, source.image(ranges), same, chunk)

    yield made("as captured", source.ranges)
    yield made("read in chunks of 1 MiB and 7 bytes", source.ranges, MIB + 7)
    yield made("first page left out", [(low[0] + PAGE, low[1][PAGE:]), *source.ranges[1:]])
    yield made("last pages left out", [*source.ranges[:-1], (high[0], high[1][: -8 * PAGE])])
    half = len(high[1]) // 2 // PAGE * PAGE
    yield made(
        "a range in two pieces", [*source.ranges[:-1], (high[0], high[1][:half]), (high[0] + half, high[1][half:])]
    )
    for number in range(5):
        dice = random.Random(seed + number)
        ranges = [(a, _scribbled(d, dice, share=(number + 1) / 6)) for a, d in source.ranges]
        yield made(f"{(number + 1) / 6:.0%} of the free pages hold old data", ranges)


def _scribbled(data: bytes, dice: random.Random, *, share: float) -> bytes:
    """Zero pages in runs (free memory) filled with noise, as where free pages are not wiped; kernel data keeps its zeros."""
    out, zero = bytearray(data), bytes(64 * PAGE)
    for at in range(0, len(out) - len(zero), len(zero)):
        if dice.random() < share and out[at : at + len(zero)] == zero:
            out[at : at + len(zero)] = dice.randbytes(len(zero))
    return bytes(out)


def damaged(source: Source, *, seed: int = 11) -> Iterator[Capture]:
    """Forty captures that must not pass, eight of each kind."""
    yield from _truncated(source)
    yield from _zeroed(source)
    yield from _bad_headers(source)
    yield from _foreign(source)
    yield from _dropped(source, random.Random(seed))


def _truncated(source: Source) -> Iterator[Capture]:
    whole = source.image()
    for keep in (0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99):
        yield Capture("truncated", f"{keep:.0%} of the bytes", whole[: int(len(whole) * keep)], source.claims)
    yield Capture("truncated", "the last byte is missing", whole[:-1], source.claims)


def _zeroed(source: Source) -> Iterator[Capture]:
    first, data = source.ranges[-1]
    yield Capture("zeroed", "everything", source.image([(a, bytes(len(d))) for a, d in source.ranges]), source.claims)
    yield Capture(
        "zeroed", "the second half", source.changed(first + len(data) // 2, bytes(len(data) // 2)), source.claims
    )
    yield Capture("zeroed", "the first half", source.changed(first, bytes(len(data) // 2)), source.claims)
    # Where memory is used: a hole in free memory, which is zero anyway, cannot be seen (docs/memory.md).
    places = [len(data) * share // 8 // PAGE * PAGE for share in range(1, 8)]
    for inside in sorted(sorted(places, key=lambda place: -_used(data[place : place + 16 * MIB]))[:5]):
        at = first + inside
        yield Capture(
            "zeroed",
            f"16 MiB from {at:#x} on",
            source.changed(at, bytes(min(16 * MIB, first + len(data) - at))),
            source.claims,
        )


def _used(data: bytes) -> int:
    """Pages that are not zero."""
    zero = bytes(PAGE)
    return sum(data[at : at + PAGE] != zero for at in range(0, len(data), PAGE))


def _bad_headers(source: Source) -> Iterator[Capture]:
    (low, low_data), (high, high_data) = source.ranges[0], source.ranges[-1]
    body = header(high, len(high_data)) + high_data
    heads = {
        "another magic": header(low, len(low_data), magic=0x4D494C45),
        "version 2 (compressed AVML)": header(low, len(low_data), version=2),
        "an ELF core": b"\x7fELF\x02\x01\x01" + bytes(HEADER.size - 7),
        "addresses reversed": struct.pack("<IIQQ8x", MAGIC, 1, low + len(low_data), low),
        "begins inside a page": header(low + 16, len(low_data)),
        "claims more than there is": header(low, len(low_data) + len(body) + PAGE),
    }
    for what, head in heads.items():
        yield Capture("bad header", what, head + low_data + body, source.claims)
    second = header(low, len(high_data)) + high_data
    yield Capture(
        "bad header",
        "the second range overlaps the first",
        header(low, len(low_data)) + low_data + second,
        source.claims,
    )
    broken = b"\0" * HEADER.size + high_data
    yield Capture(
        "bad header", "the second header is zero", header(low, len(low_data)) + low_data + broken, source.claims
    )


def _foreign(source: Source) -> Iterator[Capture]:
    """The image of another kernel: its banner is another one, or the symbols belong to another boot."""
    banner = str(source.claims.banner).strip()
    release = banner.split()[2]
    for other in ("5.10.0-28-amd64", "6.1.0-13-amd64", "4.18.0-553.el8", "6.8.0-1015-aws"):
        # The same length: nothing but the words differs.
        new = other.encode().ljust(len(release), b"x")[: len(release)]
        ranges = [
            (a, d.replace(b"Linux version " + release.encode(), b"Linux version " + new)) for a, d in source.ranges
        ]
        yield Capture("foreign kernel", f"the image is of {other}", source.image(ranges), source.claims)
    for shift in (0x200000, 0x1000000, -0x400000, 0x123000):
        lines = []
        for line in (source.claims.kallsyms or b"").splitlines():
            address, rest = line.split(b" ", 1)
            lines.append(b"%016x %s" % ((int(address, 16) + shift) % 2**64, rest))
        claims = replace(source.claims, kallsyms=b"\n".join(lines))
        yield Capture(
            "foreign kernel", f"the image is from another boot (addresses differ by {shift:#x})", source.image(), claims
        )


def _dropped(source: Source, dice: random.Random) -> Iterator[Capture]:
    """Pages that never left the target: silently, or with ranges that leave them out."""
    low, (high, data) = source.ranges[:-1], source.ranges[-1]
    for pages in (1, 7, 256, 4096):
        at = dice.randrange(64, len(data) // PAGE - pages - 64) * PAGE
        cut = header(high, len(data)) + data[:at] + data[at + pages * PAGE :]
        yield Capture("dropped pages", f"{pages} pages, silently", source.image(low) + cut, source.claims)
    for pages in (1, 7, 256, 4096):
        at = dice.randrange(64, len(data) // PAGE - pages - 64) * PAGE
        ranges = [*low, (high, data[:at]), (high + at + pages * PAGE, data[at + pages * PAGE :])]
        yield Capture(
            "dropped pages", f"{pages} pages, left out between two ranges", source.image(ranges), source.claims
        )
