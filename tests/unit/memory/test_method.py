"""The table: what the probe saw → which methods, in which order, and why not the others."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forensics.memory.method import WHOLE_IMAGE, Choice, Method, Offer, choose_methods, parse
from forensics.models.evidence import Outcome
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


def refused(choice: Choice) -> dict[str, str]:
    """Method → reason."""
    return {r.method.value: r.reason for r in choice.refused}


def test_an_ordinary_host_gets_avml_with_the_kcore_reader_behind_it() -> None:
    choice = choose_methods(probe(), Offer())
    assert choice.whole_image == (Method.AVML, Method.KCORE)
    assert "no prebuilt module for kernel 6.1.112" in refused(choice)["lime"]
    assert choice.why.startswith("memory method: avml, then kcore; not lime: ")
    assert choice.warnings == ()


def test_a_prebuilt_module_counts_only_for_exactly_that_kernel() -> None:
    kernel = probe().kernel
    assert choose_methods(probe(), Offer(lime_kernels=(kernel,))).whole_image == (
        Method.AVML,
        Method.LIME,
        Method.KCORE,
    )
    assert Method.LIME not in choose_methods(probe(), Offer(lime_kernels=(kernel + "1",))).methods


@pytest.mark.parametrize(
    ("changes", "outcome", "said"),
    [
        ({"lockdown": "integrity"}, Outcome.PARTIAL, "locked down (integrity)"),
        ({"lockdown": "confidentiality"}, Outcome.PARTIAL, "locked down (confidentiality)"),
        ({"memory_kib": 300 * GIB_KIB}, Outcome.PARTIAL, "forensics.memory_limit_gib"),
        ({"tmpfs": ""}, Outcome.NOT_APPLICABLE, "neither /dev/shm nor /run"),
        ({"curl": False, "python3": False}, Outcome.NOT_APPLICABLE, "neither curl nor python3"),
        ({"tmpfs_free_kib": 40_000}, Outcome.PARTIAL, "64 MiB of tmpfs and memory are needed, 39 MiB are free"),
        ({"available_kib": 10_000}, Outcome.PARTIAL, "9 MiB are free"),
        ({"load_percent": 6_400}, Outcome.PARTIAL, "the load is 64 on 2 processors"),
        ({"kcore": False, "mem": False}, Outcome.PARTIAL, "none of its sources is readable"),
    ],
)
def test_what_bars_a_whole_image_is_said(changes: dict[str, Any], outcome: Outcome, said: str) -> None:
    choice = choose_methods(probe(**changes), Offer())
    assert choice.whole_image == ()
    assert choice.without_image[0] is outcome
    assert said in choice.without_image[1]
    assert Method.LIVE_RESPONSE in choice.methods


@pytest.mark.parametrize(
    ("changes", "offer", "methods"),
    [
        ({"architecture": "aarch64"}, Offer(), (Method.KCORE,)),
        ({"architecture": "aarch64"}, Offer(avml_architectures=("x86_64", "aarch64")), (Method.AVML, Method.KCORE)),
        ({"kcore": False, "crash": True}, Offer(), (Method.AVML,)),
        ({"python3": False}, Offer(), (Method.AVML,)),
        ({"iomem": False}, Offer(), (Method.AVML,)),
        ({"lockdown": "unknown"}, Offer(), (Method.AVML, Method.KCORE)),
    ],
)
def test_each_method_has_its_own_needs(changes: dict[str, Any], offer: Offer, methods: tuple[Method, ...]) -> None:
    assert choose_methods(probe(**changes), offer).whole_image == methods


def test_without_a_probe_the_methods_are_tried_in_order_and_that_is_said() -> None:
    choice = choose_methods(None, Offer())
    assert choice.whole_image == (Method.AVML, Method.KCORE)
    assert "without knowing the target" in choice.warnings[0]


def test_what_the_investigation_will_miss_is_a_warning() -> None:
    seen = choose_methods(probe(kallsyms=False, btf=False, swap_kib=2048, container="docker"), Offer()).warnings
    assert [w for w in seen if "container" in w or "kallsyms" in w or "BTF" in w or "2 MiB of swap" in w] == list(seen)
    assert len(seen) == 4


def test_windows_gets_winpmem_where_it_is_offered() -> None:
    host = probe(os_id="windows", memory_integrity=True)
    with_tool, without = choose_methods(host, Offer(winpmem=True)), choose_methods(host, Offer())
    assert with_tool.whole_image == (Method.WINPMEM,)
    assert any("secure kernel" in w for w in with_tool.warnings)
    assert without.without_image[0] is Outcome.NOT_APPLICABLE
    assert "forensics.winpmem_sha256" in without.without_image[1]


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
    choice = choose_methods(probe(**changes), Offer())
    named = {*choice.methods, *(r.method for r in choice.refused)}
    assert named == set(Method) - {Method.WINPMEM}
    assert all(len(r.reason) > 10 for r in choice.refused)
    if not choice.whole_image:
        assert choice.without_image[1]
    assert list(choice.whole_image) == sorted(choice.whole_image, key=WHOLE_IMAGE.index)


@pytest.mark.parametrize(
    "line",
    [
        {},
        {"status": "failed"},
        {"status": "ok", "memory_kib": -1},
        {"status": "ok", "kernel": "x" * 500},
        {"status": "ok", "cpus": "many"},
    ],
)
def test_an_answer_that_is_not_of_the_form_is_no_answer(line: dict[str, Any]) -> None:
    assert parse(line) is None


def test_an_answer_with_more_than_is_asked_is_read() -> None:
    found = parse({"status": "ok", "kernel": "6.1.0", "kcore": True, "something": "new"})
    assert found is not None and found.kcore and found.kernel == "6.1.0"
