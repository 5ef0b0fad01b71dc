"""AArch64 for Volatility 3: a translation layer, the stacker that finds the kernel, and page records.

This file is a plug-in of Volatility and is under its licence, the Volatility Software License 1.0 (docs/decisions/0014), not under
that of the rest. It calls nothing of the toolkit, and is loaded by the program that runs the plugins only.

Sources: Arm Architecture Reference Manual, D8 (translation, descriptors, address tagging, pointer authentication); Linux,
Documentation/arch/arm64/memory.rst, Documentation/admin-guide/kdump/vmcoreinfo.rst, arch/arm64/include/asm/pgtable-prot.h.
"""

from __future__ import annotations

import collections
import functools
import re
import struct
from typing import Any

from volatility3.framework import exceptions, interfaces
from volatility3.framework.automagic import linux as linux_automagic
from volatility3.framework.automagic import symbol_cache
from volatility3.framework.configuration import requirements
from volatility3.framework.layers import intel, linear, scanners
from volatility3.framework.symbols import linux
from volatility3.framework.symbols.linux import extensions

ARCHITECTURE = "AArch64"
_ALL = (1 << 64) - 1
_VALID, _TABLE_OR_PAGE, _READ_ONLY = 1, 2, 1 << 7
_DIRTY, _MANAGED = 1 << 55, 1 << 51
_GRANULES = {4_096: 12, 16_384: 14, 65_536: 16}
# Present for the kernel and not for the processor (PROT_NONE): bit 58 until 6.9, since then the bit of nG.
_PRESENT_INVALID_OLD, _PRESENT_INVALID, _SINCE = 58, 11, (6, 10)
_NUMBERS = ("page_map_offset", "kernel_page_map_offset", "granule", "address_bits", "present_bit", "frames")


class LinuxAArch64(intel.Intel):
    """One table for programs' addresses (TTBR0), one for the kernel's (TTBR1); bit 55 of an address says which.

    Until a process is chosen there is the kernel's alone. A subclass of Intel's layer only because Volatility asks for one in many
    places; nothing of its translation is used. ``frames``: the address of the page record of physical address 0.
    """

    _bits_per_register = 64
    _maxvirtaddr = 64
    _entry_format = "<Q"
    _direct_metadata = collections.ChainMap(
        {"architecture": ARCHITECTURE, "mapped": True}, interfaces.layers.TranslationLayerInterface._direct_metadata
    )

    def __init__(self, context: Any, config_path: str, name: str, metadata: dict[str, Any] | None = None) -> None:
        linear.LinearlyMappedLayer.__init__(
            self, context=context, config_path=config_path, name=name, metadata=metadata
        )
        self._base_layer = self.config["memory_layer"]
        self._swap_layers: list[str] = []
        self._root, self._kernel_root = self.config["page_map_offset"], self.config["kernel_page_map_offset"]
        self._granule, self._bits = self.config["granule"], self.config["address_bits"]
        self._page_size_in_bits = self._granule
        self._wide = self._granule != 16 and self._bits > 48
        self._present = _VALID | 1 << self.config["present_bit"]
        self._shifts = tuple(range(self._granule, self._bits, self._granule - 3))[::-1]
        self.frames = self.config["frames"]
        self._lowest = (1 << 64) - (1 << self._bits)

    @functools.cached_property
    def page_shift(self) -> int:
        """Bits of an offset in a page."""
        return int(self._granule)

    @functools.cached_property
    def page_size(self) -> int:
        """Bytes of a page."""
        return 1 << self._granule

    @functools.cached_property
    def page_mask(self) -> int:
        """What of an address is not the offset in its page."""
        return _ALL ^ (self.page_size - 1)

    @functools.cached_property
    def minimum_address(self) -> int:
        """The lowest address that is this layer's own: the kernel's half, or a program's."""
        return self._lowest if self._root == self._kernel_root else 0

    @functools.cached_property
    def maximum_address(self) -> int:
        """The highest address that is this layer's own."""
        return _ALL if self._root == self._kernel_root else (1 << self._bits) - 1

    @property
    def address_mask(self) -> int:
        """Every bit of a pointer counts: the same lower bits are another address in the other half."""
        return _ALL

    def canonicalize(self, addr: int) -> int:
        """The address without a tag (bits 56 to 63) and without the signature of pointer authentication."""
        below = (1 << self._bits) - 1
        return (addr | _ALL ^ below) & _ALL if addr >> 55 & 1 else addr & below

    decanonicalize = canonicalize

    def _translate(self, offset: int) -> tuple[int, int, str]:
        address = self.canonicalize(offset)
        entry, shift = self._translate_entry(address & self.page_mask)
        if not entry & self._present:
            raise self._fault(offset, shift, entry)
        inside = (1 << shift) - 1
        return (self._output(entry) & ~inside) | (address & inside), 1 << shift, self._base_layer

    def _fault(self, offset: int, bits: int, entry: int) -> exceptions.PagedInvalidAddressException:
        return exceptions.PagedInvalidAddressException(
            self.name, offset, bits, entry, f"no mapping: descriptor {entry:#x}"
        )

    @functools.lru_cache(maxsize=4096)  # noqa: B019 - as Volatility's own layer; layers live as long as the program
    def _translate_entry(self, page_address: int) -> tuple[int, int]:
        """The descriptor of a page or block, and the bits of an address inside it."""
        kernel = page_address >= self._lowest
        if self._root == self._kernel_root and not kernel:
            raise self._fault(page_address, self._bits, 0)
        table = self._kernel_root if kernel else self._root
        for shift in self._shifts:
            entries = self._entries(table)
            if entries is None:
                raise self._fault(page_address, shift + self._granule - 3, 0)
            width = min(self._granule - 3, self._bits - shift)
            entry = entries[page_address >> shift & (1 << width) - 1]
            if shift == self._granule:
                # At the last level 01 is reserved; what is present for the kernel alone has neither bit.
                return (entry if entry & 3 != _VALID else 0), shift
            if not entry & _VALID or not entry & _TABLE_OR_PAGE:
                return entry, shift
            table = self._output(entry)
        raise self._fault(page_address, self._granule, 0)

    @functools.lru_cache(maxsize=1024)  # noqa: B019 - as above
    def _entries(self, table: int) -> tuple[int, ...] | None:
        """A table's descriptors, or None where it is not in the image; a root may be shorter than a page."""
        try:
            data = self._context.layers.read(self._base_layer, table, self.page_size)
        except exceptions.InvalidAddressException:
            return None
        return struct.unpack(f"<{len(data) // 8}Q", data)

    def _output(self, entry: int) -> int:
        """The output address of a descriptor: bits 51 to 48 lie below the page with 64 KiB pages, 51 and 50 at 8 otherwise."""
        if self._granule == 16:
            return (entry & 0xFFFF_FFFF_0000) | (entry >> 12 & 0xF) << 48
        if self._wide:
            return (entry & (1 << 50) - (1 << self._granule)) | (entry >> 8 & 3) << 50
        return int(entry & (1 << 48) - (1 << self._granule))

    def is_dirty(self, offset: int) -> bool:
        """Whether the page was written to: the kernel's own bit, or the processor's (managed and not read-only)."""
        entry, _ = self._translate_entry(self.canonicalize(offset) & self.page_mask)
        return bool(entry & _DIRTY) or (bool(entry & _MANAGED) and not entry & _READ_ONLY)

    @classmethod
    def get_requirements(cls) -> list[Any]:
        """What a layer is made from."""
        return [
            requirements.TranslationLayerRequirement(name="memory_layer", optional=False),
            *(requirements.IntRequirement(name=name, optional=False) for name in _NUMBERS),
            requirements.IntRequirement(name="kernel_virtual_offset", optional=True),
            requirements.StringRequirement(name="kernel_banner", optional=True),
        ]


class LinuxAArch64Stacker(interfaces.automagic.StackerLayerInterface):
    """Finds an AArch64 kernel by the VMCOREINFO note in its memory, before the stackers for x86 look."""

    stack_order = 33
    exclusion_list = ["mac", "windows"]

    @classmethod
    def stack(cls, context: Any, layer_name: str, progress_callback: Any = None) -> Any:
        """The kernel's layer, or None where this is no AArch64 kernel, or none that a table is there for."""
        if isinstance(context.layers[layer_name], intel.Intel):
            return None
        banners = [
            b for b in symbol_cache.load_cache_manager().get_identifier_dictionary(operating_system="linux") if b
        ]
        if not banners:
            return None
        for _place, note in linux.VMCoreInfo.search_vmcoreinfo_elf_note(context=context, layer_name=layer_name):
            if "NUMBER(kimage_voffset)" not in note or note.get("PAGESIZE") not in _GRANULES:
                continue
            begins = f"Linux version {note['OSRELEASE']} (".encode()
            for banner in (b for b in banners if b.startswith(begins)):
                found = context.layers[layer_name].scan(context=context, scanner=scanners.BytesScanner(banner))
                if next(iter(found), None) is not None:
                    return cls._layer(context, layer_name, note, banner)
        return None

    @classmethod
    def _layer(cls, context: Any, layer_name: str, note: dict[str, Any], banner: bytes) -> LinuxAArch64:
        isf = symbol_cache.load_cache_manager().get_identifier_dictionary(operating_system="linux")[banner]
        table_name = context.symbol_space.free_table_name("AArch64Stacker")
        table = linux.LinuxKernelIntermedSymbols(context, f"temporary.{table_name}", name=table_name, isf_url=isf)
        context.symbol_space.append(table)
        root = (note["SYMBOL(swapper_pg_dir)"] - note["NUMBER(kimage_voffset)"]) & _ALL
        name = context.layers.free_layer_name("AArch64Layer")
        path = interfaces.configuration.path_join("AArch64Helper", name)
        config = {
            **layout(note), "memory_layer": layer_name, "page_map_offset": root, "kernel_page_map_offset": root,
            "kernel_virtual_offset": note["SYMBOL(_stext)"] - table.get_symbol("_stext").address,
            linux_automagic.LinuxSymbolFinder.banner_config_key: str(banner, "latin-1"),
        }  # fmt: skip
        for key, value in config.items():
            context.config[interfaces.configuration.path_join(path, key)] = value
        return LinuxAArch64(context, config_path=path, name=name, metadata={"os": "Linux"})


def layout(note: dict[str, Any]) -> dict[str, int]:
    """Page size, address bits, the bit of PROT_NONE and the page records, from the kernel's note."""
    granule, made_for = _GRANULES[note["PAGESIZE"]], note["NUMBER(VA_BITS)"]
    # With 64 KiB pages a kernel made for 52 bits keeps tables for them and lets a smaller processor begin inside.
    bits = made_for if granule == 16 else 64 - note.get("NUMBER(TCR_EL1_T1SZ)", 64 - made_for)
    release = re.match(r"(\d+)\.(\d+)", str(note["OSRELEASE"]))
    new = release is not None and (int(release[1]), int(release[2])) >= _SINCE
    start = note["NUMBER(PHYS_OFFSET)"] & _ALL
    start -= (start >> 63) << 64  # randomised tables put the first record of a map below zero
    frames = note["NUMBER(VMEMMAP_START)"] - (start >> granule) * note["SIZE(page)"]
    present = _PRESENT_INVALID if new else _PRESENT_INVALID_OLD
    return {"granule": granule, "address_bits": bits, "present_bit": present, "frames": frames & _ALL}


def apply() -> None:
    """Let Linux plugins that ask for an x86 layer take this one, and page records find their frames. To be called once."""
    asked = requirements.TranslationLayerRequirement.__init__

    def accept(self: Any, *args: Any, **named: Any) -> None:
        asked(self, *args, **named)
        if "Intel64" in self.architectures:
            self.architectures = [*self.architectures, ARCHITECTURE]

    requirements.TranslationLayerRequirement.__init__ = accept
    of_intel = extensions.page.to_paddr

    def to_paddr(self: Any) -> int:
        kernel = linux.LinuxUtilities.get_module_from_volobj_type(self._context, self)
        layer = self._context.layers[kernel.layer_name]
        if not isinstance(layer, LinuxAArch64):
            return int(of_intel(self))
        frame = (layer.canonicalize(self.vol.offset) - layer.frames) // kernel.get_type("page").size
        return int(frame * layer.page_size)

    extensions.page.to_paddr = to_paddr
