"""BTF to symbol table."""

from __future__ import annotations

import base64

import pytest

from forensic_toolkit.errors import SymbolError
from forensic_toolkit.symbols import isf
from tests.toolkit import btf_blob


def facts(**changes: bytes) -> isf.KernelFacts:
    given = {"btf": btf_blob.small(), "kallsyms": btf_blob.kallsyms(), "version": btf_blob.VERSION, **changes}
    return isf.KernelFacts(**given)


def test_types_fields_and_bit_fields() -> None:
    table = isf.build(facts())
    task = table["user_types"]["task_struct"]
    assert task["size"] == 24
    assert task["fields"]["pid"] == {"type": {"kind": "base", "name": "int"}, "offset": 0}
    subtype = {"kind": "struct", "name": "task_struct"}
    assert task["fields"]["parent"] == {"type": {"kind": "pointer", "subtype": subtype}, "offset": 8}
    # Bit 133 lies in the integer at byte 16, five bits in.
    exited = task["fields"]["exited"]
    assert exited["offset"] == 16
    assert (exited["type"]["bit_position"], exited["type"]["bit_length"]) == (5, 3)
    assert table["user_types"]["atomic_t"]["fields"]["counter"]["offset"] == 0
    assert table["enums"]["state"]["constants"] == {"RUNNING": -1}


def test_symbols_are_without_the_kaslr_slide_and_without_modules() -> None:
    symbols = isf.build(facts())["symbols"]
    assert symbols["init_task"] == {
        "address": 0xFFFFFFFF82000000,
        "type": {"kind": "struct", "name": "task_struct"},
    }
    assert symbols["per_cpu_thing"]["address"] == 0x1000
    assert symbols["jiffies_like"]["type"] == {"kind": "base", "name": "int"}
    # 16 bytes to the next symbol: two pointers.
    assert symbols["sys_call_table"]["type"]["count"] == 2
    assert "module_function" not in symbols and "__func__.1" not in symbols


def test_the_banner_is_the_text_in_memory() -> None:
    banner = isf.build(facts())["symbols"]["linux_banner"]["constant_data"]
    assert base64.b64decode(banner) == btf_blob.VERSION + b"\0"


def test_same_facts_give_the_same_bytes() -> None:
    assert isf.dump(isf.build(facts())) == isf.dump(isf.build(facts()))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"btf": b""}, "not BTF"),
        ({"btf": b"\x7fELF" + bytes(60)}, "not BTF"),
        ({"btf": btf_blob.small()[:60]}, "truncated"),
        ({"kallsyms": b"0000000000000000 T _text\n"}, "no addresses"),
        ({"kallsyms": b"ffffffe000000000 T _start\n"}, "x86-64"),
        ({"kallsyms": b"zz T _text\n"}, "not an address"),
        ({"kallsyms": b"ffff800008010000 T _stext\n"}, "CONFIG_KALLSYMS_ALL is not set"),
        ({"version": b"Darwin"}, "Linux version"),
    ],
)
def test_the_reason_why_facts_cannot_be_used(changes: dict[str, bytes], reason: str) -> None:
    with pytest.raises(SymbolError, match=reason):
        isf.build(facts(**changes))


@pytest.mark.parametrize("text", [0xFFFF_8000_0801_0000, 0xFFFF_A0FB_D0A1_0000, 0xFFFF_FFC0_0801_0000])
def test_the_addresses_of_an_arm64_kernel_do_not_depend_on_where_it_was_put(text: int) -> None:
    """Debian's 6.1 for arm64 lists `_stext`, not `_text`; 39 bits of address put the kernel at ffffffc0... (Linux, memory.rst)."""
    kallsyms = f"{text:016x} T _stext\n{text + 0x1234:016x} T start_kernel\n0000000000000010 A size\n"
    found = isf.read_kallsyms(kallsyms)
    assert found == {"_stext": isf.ARM64_TEXT, "start_kernel": isf.ARM64_TEXT + 0x1234, "size": 0x10}
