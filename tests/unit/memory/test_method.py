"""The table: what the probe saw → which methods, in which order, and why not the others."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forensics.memory.method import WHOLE_IMAGE, CaptureOptions, Method, MethodChoice, choose_methods
from forensics.models.status_lines import Probe

GIB_KIB = 1024 * 1024


def probe(**changes: Any) -> Probe:
    """An ordinary Amazon Linux host on which everything works."""
    values: dict[str, Any] = {
        "os_id": "amzn", "os_version": "2023", "architecture": "x86_64", "kernel": "6.1.112-122.189.amzn2023.x86_64",
        "cpus": 2, "load_percent": 40, "memory_kib": 8 * GIB_KIB, "available_kib": 6 * GIB_KIB, "tmpfs": "/dev/shm",
        "tmpfs_free_kib": 4 * GIB_KIB, "lockdown": "none", "kcore": True, "mem": True, "kallsyms": True, "iomem": True,
        "btf": True, "curl": True, "python3": True,
    }  # fmt: skip
    return Probe(**{**values, **changes})


def refused(choice: MethodChoice) -> dict[str, str]:
    """Method → reason."""
    return {r.method.value: r.reason for r in choice.refused}


def test_an_ordinary_host_gets_avml_with_the_kcore_reader_behind_it() -> None:
    choice = choose_methods(probe(), CaptureOptions())
    assert choice.whole_image == (Method.AVML, Method.KCORE)
    assert "no prebuilt module for kernel 6.1.112" in refused(choice)["lime"]
    assert choice.why.startswith("memory method: avml, then kcore; not lime: ")
    assert choice.warnings == ()


def test_a_prebuilt_module_counts_only_for_exactly_that_kernel() -> None:
    kernel = probe().kernel
    assert choose_methods(probe(), CaptureOptions(lime_kernels=(kernel,))).whole_image == (
        Method.AVML,
        Method.LIME,
        Method.KCORE,
    )
    assert Method.LIME not in choose_methods(probe(), CaptureOptions(lime_kernels=(kernel + "1",))).methods


@pytest.mark.parametrize(
    ("changes", "processes", "said"),
    [
        ({"lockdown": "integrity"}, True, "locked down (integrity)"),
        ({"lockdown": "confidentiality"}, True, "locked down (confidentiality)"),
        ({"memory_kib": 300 * GIB_KIB}, True, "forensics.memory_limit_gib"),
        ({"tmpfs": ""}, False, "neither /dev/shm nor /run"),
        ({"curl": False, "python3": False}, False, "neither curl nor python3"),
        ({"tmpfs_free_kib": 40_000}, True, "64 MiB of tmpfs and memory are needed, 39 MiB are free"),
        ({"available_kib": 10_000}, True, "9 MiB are free"),
        ({"load_percent": 6_400}, True, "the load is 64 on 2 processors"),
        ({"kcore": False, "mem": False}, True, "none of its sources is readable"),
    ],
)
def test_what_rules_out_an_image_is_stated(changes: dict[str, Any], processes: bool, said: str) -> None:
    choice = choose_methods(probe(**changes), CaptureOptions())
    assert choice.whole_image == ()
    assert (Method.PROCESSES in choice.methods) is processes
    assert ("single processes are taken instead" in choice.why_no_image) is processes
    assert said in choice.why_no_image
    assert Method.LIVE_RESPONSE in choice.methods


@pytest.mark.parametrize(
    ("changes", "options", "methods"),
    [
        ({"architecture": "aarch64"}, CaptureOptions(), (Method.KCORE,)),
        (
            {"architecture": "aarch64"},
            CaptureOptions(avml_architectures=("x86_64", "aarch64")),
            (Method.AVML, Method.KCORE),
        ),
        ({"kcore": False, "crash": True}, CaptureOptions(), (Method.AVML,)),
        ({"python3": False}, CaptureOptions(), (Method.AVML,)),
        ({"iomem": False}, CaptureOptions(), (Method.AVML,)),
        ({"lockdown": "unknown"}, CaptureOptions(), (Method.AVML, Method.KCORE)),
    ],
)
def test_each_method_has_its_own_needs(
    changes: dict[str, Any], options: CaptureOptions, methods: tuple[Method, ...]
) -> None:
    assert choose_methods(probe(**changes), options).whole_image == methods


def test_without_a_probe_the_methods_are_tried_in_order_and_that_is_said() -> None:
    choice = choose_methods(None, CaptureOptions())
    assert choice.whole_image == (Method.AVML, Method.KCORE)
    assert "without knowing the target" in choice.warnings[0]


def test_what_the_investigation_will_miss_is_a_warning() -> None:
    seen = choose_methods(
        probe(kallsyms=False, btf=False, swap_kib=2048, container="docker"), CaptureOptions()
    ).warnings
    assert [w for w in seen if "container" in w or "kallsyms" in w or "BTF" in w or "2 MiB of swap" in w] == list(seen)
    assert len(seen) == 4


def test_windows_gets_winpmem_where_it_is_offered() -> None:
    host = probe(os_id="windows", memory_integrity=True)
    with_tool, without = choose_methods(host, CaptureOptions(winpmem=True)), choose_methods(host, CaptureOptions())
    assert with_tool.whole_image == (Method.WINPMEM,)
    assert any("secure kernel" in w for w in with_tool.warnings)
    assert without.methods == (Method.LIVE_RESPONSE,)
    assert "live response only (winpmem: no go-winpmem" in without.why_no_image
    assert "forensics.winpmem_sha256" in without.why_no_image


@given(
    st.fixed_dictionaries(
        {
            "lockdown": st.sampled_from(["none", "integrity", "confidentiality", "unknown", ""]),
            "architecture": st.sampled_from(["x86_64", "aarch64", "riscv64", ""]),
            "memory_kib": st.integers(0, 2**40),
            "available_kib": st.integers(0, 2**40),
            "cpus": st.integers(0, 512),
            "tmpfs": st.sampled_from(["", "/run"]),
            "tmpfs_free_kib": st.integers(0, 2**40),
            "load_percent": st.integers(0, 10**6),
            "kcore": st.booleans(),
            "crash": st.booleans(),
            "mem": st.booleans(),
            "iomem": st.booleans(),
            "curl": st.booleans(),
            "python3": st.booleans(),
        }
    )
)
def test_every_method_is_either_taken_or_refused_with_a_reason(changes: dict[str, Any]) -> None:
    choice = choose_methods(probe(**changes), CaptureOptions())
    named = {*choice.methods, *(r.method for r in choice.refused)}
    assert named == set(Method) - {Method.WINPMEM}
    assert all(len(r.reason) > 10 for r in choice.refused)
    if not choice.whole_image:
        assert choice.why_no_image
    assert list(choice.whole_image) == sorted(choice.whole_image, key=WHOLE_IMAGE.index)
