"""The AArch64 layer of Volatility: translation at every page size and number of address bits, tags, tables of programs, the stacker."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.arm64_image import RECORDS, TABLES, TEXT, Form, arm64_memory, note
from tests.memory_image import MIB
from tests.toolkit.examined import NO_TOOLS, TOOLS, run
from tests.unit.memory.test_arm64_pages import FORMS

pytestmark = pytest.mark.skipif(not TOOLS.exists(), reason=NO_TOOLS)
_LAYER = """
import json, sys
from pathlib import Path
from volatility3.framework import contexts, exceptions
from volatility3.framework.layers import lime, physical
from volatility3.framework.symbols import linux
from forensic_toolkit.runners import volatility_arm64 as arm64

def layer(path, changes):
    context = contexts.Context()
    context.config["file.location"] = Path(path).as_uri()
    context.layers.add_layer(physical.FileLayer(context, "file", "file"))
    context.config["lime.base_layer"] = "file"
    context.layers.add_layer(lime.LimeLayer(context, "lime", "lime"))
    _, note = next(linux.VMCoreInfo.search_vmcoreinfo_elf_note(context, "lime"))
    root = (note["SYMBOL(swapper_pg_dir)"] - note["NUMBER(kimage_voffset)"]) & (1 << 64) - 1
    config = {**arm64.layout(note), "memory_layer": "lime", "page_map_offset": root, "kernel_page_map_offset": root, **changes}
    for key, value in config.items():
        context.config[f"arm64.{key}"] = value
    made = arm64.LinuxAArch64(context, "arm64", "arm64")
    context.layers.add_layer(made)
    return made, config

def ask(made, address):
    try:
        return made.translate(address)[0]
    except exceptions.InvalidAddressException:
        return None

found = []
for path, changes, addresses in json.loads(Path(sys.argv[1]).read_text()):
    made, config = layer(path, changes)
    parts = [[at, size] for at, size, *_ in made.mapping(made.minimum_address, 1 << made._bits, ignore_errors=True)]
    found.append({
        "addresses": [ask(made, at) for at in addresses], "config": config, "mapped": parts, "page": made.page_size,
        "ends": [made.minimum_address, made.maximum_address], "architecture": made.metadata["architecture"],
        "dirty": [made.is_dirty(at) for at in addresses if ask(made, at) is not None],
    })
print(json.dumps(found))
"""


def ask(folder: Path, *questions: tuple[bytes, dict[str, int], list[int]]) -> list[dict[str, Any]]:
    """For each image, changes of the layer's configuration, and addresses: what the layer says, in the toolkit's environment."""
    written = []
    for number, (image, changes, addresses) in enumerate(questions):
        path = folder / f"{number}.lime"
        path.write_bytes(image)
        written.append((str(path), changes, addresses))
    (folder / "questions.json").write_text(json.dumps(written))
    return list(json.loads(run(_LAYER, str(folder / "questions.json"))))


def test_addresses_of_every_form_lead_to_where_they_lie(tmp_path: Path) -> None:
    questions = []
    for form in FORMS.values():
        wanted = [form.text, form.text + MIB + 0x41, form.records + 0x40, form.text + (1 << 30), 0x1000]
        questions.append((arm64_memory(form).image, {}, wanted))
    for form, said in zip(FORMS.values(), ask(tmp_path, *questions), strict=True):
        at = form.ram
        assert said["addresses"] == [at + TEXT, at + TEXT + MIB + 0x41, at + RECORDS + 0x40, None, None], form
        assert said["mapped"] == [[form.text, 2 * MIB], [form.records, 2 * MIB]], form
        assert said["page"] == 1 << form.granule and said["architecture"] == "AArch64"
        assert said["config"]["frames"] == form.records - (form.ram >> form.granule) * 64
        assert said["ends"][1] == (1 << 64) - 1


def test_tag_and_signature_are_no_part_of_an_address_and_bit_55_says_whose_it_is(tmp_path: Path) -> None:
    """Arm ARM D8.8 (tagging: bits 56 to 63) and D8.9 (pointer authentication: every unused bit but 55)."""
    form = FORMS["4 KiB, 48 bits"]
    kernel, signed = form.text, form.text & ~(0x7F << 48) & ~(0xFF << 56) | 0x5A << 56 | 0x2B << 48
    program = form.text & (1 << 48) - 1
    own = {"page_map_offset": form.ram + TABLES, "kernel_page_map_offset": form.ram + TABLES + 1}
    image = arm64_memory(form).image
    first, second = ask(
        tmp_path,
        (image, {}, [kernel, signed, program]),
        (image, own, [program, program | 0xAB << 56, program | 1 << 55]),
    )
    assert first["addresses"] == [form.ram + TEXT, form.ram + TEXT, None]
    # The same table as that of a program: its addresses are the lower half, and the kernel's table (which is none here) the upper.
    assert second["addresses"] == [form.ram + TEXT, form.ram + TEXT, None]
    assert second["ends"] == [0, (1 << 48) - 1]


@pytest.mark.parametrize(
    ("release", "entry", "there"),
    [
        ("6.1.0", 1 << 58 | 1 << 11, True),
        ("6.1.0", 1 << 11, False),
        ("6.9.12", 1 << 58, True),
        ("6.10.0", 1 << 11, True),
        ("6.12.1", 1 << 58, False),
        ("6.12.1", 0, False),
        ("6.12.1", 1, False),
        ("6.12.1", 3, True),
    ],
)
def test_a_page_that_only_the_kernel_calls_present_is_there(
    tmp_path: Path, release: str, entry: int, there: bool
) -> None:
    """PROT_NONE pages: bit 58 until 6.9, then the bit of nG (Linux, arch/arm64/include/asm/pgtable-prot.h); 01 is no page."""
    form = Form(14, 47, 47)
    image = bytearray(arm64_memory(form).image)
    leaf = (form.ram + TEXT | 3 | 1 << 10 | 3 << 8 | 1 << 54).to_bytes(8, "little")
    at = image.index(leaf)
    image[at : at + 8] = (form.ram + TEXT | entry).to_bytes(8, "little")
    text = note(form, OSRELEASE=release)
    begin = image.index(b"VMCOREINFO") - 12
    image[begin : begin + len(text)] = text
    (said,) = ask(tmp_path, (bytes(image), {}, [form.text]))
    assert said["addresses"] == [form.ram + TEXT if there else None]


def test_a_written_page_is_dirty(tmp_path: Path) -> None:
    form = Form(14, 47, 47)
    image = bytearray(arm64_memory(form).image)
    for number, flags in enumerate((1 << 55, 1 << 51, 1 << 51 | 1 << 7, 0)):
        leaf = (form.ram + TEXT + number * form_page(form) | 3 | 1 << 10 | 3 << 8 | 1 << 54).to_bytes(8, "little")
        at = image.index(leaf)
        image[at : at + 8] = (int.from_bytes(leaf, "little") | flags).to_bytes(8, "little")
    (said,) = ask(tmp_path, (bytes(image), {}, [form.text + n * form_page(form) for n in range(4)]))
    assert said["dirty"] == [True, True, False, False]


def form_page(form: Form) -> int:
    """Bytes of a page."""
    return 1 << form.granule


def test_a_table_that_is_not_in_the_image_is_a_fault_and_no_failure(tmp_path: Path) -> None:
    form = FORMS["4 KiB, 39 bits"]
    elsewhere = {"page_map_offset": 0x1000, "kernel_page_map_offset": 0x1000}
    (said,) = ask(tmp_path, (arm64_memory(form).image, elsewhere, [form.text]))
    assert said["addresses"] == [None] and said["mapped"] == []
