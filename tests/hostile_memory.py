"""What root on a target would send to stop the verification of its memory."""

from __future__ import annotations

import struct

from forensics.memory.kernel_pages import TEXT_MAPPING
from forensics.memory.lime import HEADER, MAGIC, PAGE

BANNER = b"Linux version 6.1.0-13-amd64 (debian-kernel@example.com) #1 SMP PREEMPT_DYNAMIC Debian 6.1.55-1\n"
BASE = 0x200000
BANNER_VIRTUAL, TOP_VIRTUAL = TEXT_MAPPING + BASE + 4 * PAGE + 0x100, TEXT_MAPPING + BASE


def looped_image() -> bytes:
    """20 KiB: four page tables, each of whose 512 entries names the next one, and a page with the banner.

    Every kernel address translates to that page.
    """

    def table(to: int) -> bytes:
        return struct.pack("<Q", to | 1) * 512

    page = (b"\x11" * 0x100 + BANNER).ljust(PAGE, b"\x11")
    body = b"".join(table(BASE + n * PAGE) for n in range(1, 5)) + page
    return HEADER.pack(MAGIC, 1, BASE, BASE + len(body) - 1) + body


def symbol_list(**addresses: int) -> bytes:
    """A kallsyms by which that image's page tables are found, with other symbols beside."""
    known = {"linux_banner": BANNER_VIRTUAL, "init_top_pgt": TOP_VIRTUAL, **addresses}
    return "".join(f"{address:016x} T {name}\n" for name, address in known.items()).encode()


def ram_map_of(image: bytes) -> bytes:
    """An iomem that says that all memory is in an image of one range."""
    return f"{BASE:08x}-{BASE + len(image) - HEADER.size - 1:08x} : System RAM\n".encode()
