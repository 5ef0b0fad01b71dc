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


@pytest.mark.parametrize(
    ("architecture", "kernel", "first"),
    [
        ("aarch64", "7.3.4+deb13-cloud-arm64", Method.KCORE),
        ("aarch64", "6.12.118+deb13-cloud-arm64", Method.AVML),
        ("x86_64", "7.3.4+deb13-cloud-amd64", Method.AVML),
        ("aarch64", "", Method.AVML),
        ("aarch64", "next-20261101", Method.AVML),
    ],
)
def test_the_reader_comes_first_where_only_it_finds_the_kernels_own_data(
    architecture: str, kernel: str, first: Method
) -> None:
    """Seen with Debian's 7.3 and not with 6.12; AVML reads the map of all memory, which lacks it there."""
    options = CaptureOptions(avml_architectures=("x86_64", "aarch64"))
    choice = choose_methods(probe(architecture=architecture, kernel=kernel), options)
    assert choice.methods[0] is first and {Method.AVML, Method.KCORE} <= set(choice.methods)


def test_a_prebuilt_module_counts_only_for_exactly_that_kernel() -> None:
    kernel = probe().kernel
    assert choose_methods(probe(), CaptureOptions(lime_kernels=(kernel,))).whole_image == (
        Method.AVML,
        Method.KCORE,
        Method.LIME,
    )
    assert Method.LIME not in choose_methods(probe(), CaptureOptions(lime_kernels=(kernel + "1",))).methods


def test_a_tmpfs_that_runs_no_programs_leaves_the_methods_that_run_none() -> None:
    """CIS benchmarks ask for noexec on /dev/shm; Debian's initramfs mounts /run so."""
    choice = choose_methods(probe(tmpfs="/run", tmpfs_exec=False), CaptureOptions())
    assert choice.whole_image == (Method.KCORE,)
    assert refused(choice)["avml"] == "/run, the tmpfs with the most room, runs no programs (noexec)"


@pytest.mark.parametrize(
    ("changes", "processes", "said"),
    [
        (
            {"lockdown": "confidentiality", "kcore": False},
            True,
            "kcore is not readable (the kernel is locked down: confi",
        ),
        ({"lockdown": "integrity", "kcore": False}, True, "/dev/mem (the kernel is locked down: integrity)"),
        ({"memory_kib": 300 * GIB_KIB}, True, "forensics.memory_limit_gib"),
        ({"tmpfs": ""}, False, "no tmpfs can be written"),
        ({"bash": False}, True, "bash, which the capture's script needs, is not on the instance"),
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


# What a guest of each mode left readable (`make guest GUEST_ARGS=--lockdown=…`); open(2) of /dev/mem is refused in both modes.
@pytest.mark.parametrize("mode", ["integrity", "confidentiality"])
def test_what_can_be_read_decides_not_the_name_of_a_lockdown_mode(mode: str) -> None:
    readable = choose_methods(probe(lockdown=mode, mem=False), CaptureOptions())
    assert readable.whole_image == (Method.AVML, Method.KCORE)
    kernel = probe().kernel
    masked = choose_methods(probe(lockdown=mode, kcore=False, mem=True), CaptureOptions(lime_kernels=(kernel,)))
    assert masked.whole_image == (Method.LIME,), "the kernel knows the module's signature or refuses it"
    assert any(f"locked down ({mode})" in w and "signature" in w for w in masked.warnings)


def test_a_masked_kcore_is_a_reason_in_one_line() -> None:
    choice = choose_methods(probe(kcore=False, mem=False), CaptureOptions())
    assert (choice.whole_image, choice.methods) == ((), (Method.PROCESSES, Method.LIVE_RESPONSE))
    assert "kcore: /proc/kcore is not readable; lime: no prebuilt module" in choice.why_no_image
    assert "locked" not in choice.why_no_image and "\n" not in choice.why_no_image


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
    with_tool = choose_methods(host, CaptureOptions(winpmem=True), platform="windows")
    without = choose_methods(host, CaptureOptions(), platform="windows")
    assert with_tool.whole_image == (Method.WINPMEM,)
    assert any("secure kernel" in w for w in with_tool.warnings)
    assert without.methods == (Method.LIVE_RESPONSE,)
    assert "live response only (winpmem: no go-winpmem" in without.why_no_image
    assert "forensics.winpmem_sha256" in without.why_no_image


@pytest.mark.parametrize(
    ("changes", "options", "reason"),
    [
        ({"domain_joined": True}, {}, "joined to a domain"),
        ({"architecture": "aarch64"}, {}, "its driver is for x86_64"),
        ({"domain_joined": True}, {"domain_members": True}, ""),
        ({"memory_kib": 2**40}, {}, "forensics.memory_limit_gib"),
    ],
)
def test_a_driver_is_loaded_into_no_windows_that_is_not_known_or_not_meant(
    changes: dict[str, Any], options: dict[str, bool], reason: str
) -> None:
    host = probe(os_id="windows", **changes)
    choice = choose_methods(host, CaptureOptions(winpmem=True, **options), platform="windows")
    assert choice.whole_image == (() if reason else (Method.WINPMEM,))
    assert reason in choice.why_no_image
    unknown = choose_methods(None, CaptureOptions(winpmem=True), platform="windows")
    assert unknown.methods == (Method.LIVE_RESPONSE,) and "nothing usable" in unknown.why_no_image


def test_what_ends_with_a_windows_instance_is_told_before() -> None:
    host = probe(os_id="windows", bitlocker="on C: D:", pagefile="C:pagefile.sys", hibernation=True)
    told = choose_methods(host, CaptureOptions(winpmem=True), platform="windows").warnings
    assert [w for w in told if "BitLocker: on C: D:; its volumes open with their keys only" in w]
    assert [w for w in told if "C:pagefile.sys" in w] and [w for w in told if "hiberfil.sys" in w]
    quiet = choose_methods(probe(os_id="windows", bitlocker="off"), CaptureOptions(winpmem=True), platform="windows")
    assert len(quiet.warnings) == 1


def test_a_linux_target_that_calls_itself_windows_is_still_linux() -> None:
    assert choose_methods(probe(os_id="windows"), CaptureOptions(winpmem=True)).whole_image[0] is Method.AVML


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
