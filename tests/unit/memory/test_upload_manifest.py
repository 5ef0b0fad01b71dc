"""Where an image lands, what is known to have landed, and what the manifest offers the target."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import urlsplit

import pytest

from forensics import case_keys
from forensics.memory.capture_setup import CaptureSetup
from forensics.memory.lime_modules import LimeModule
from forensics.memory.method import Method, MethodChoice
from forensics.memory.parts import PartList, parse_part_list
from forensics.memory.upload_manifest import (
    IMAGE,
    LIST,
    URL_MARGIN_SECONDS,
    Upload,
    interrupted,
    new_upload,
    next_segment,
    publish,
)
from forensics.models.evidence import MemoryEvidence, MemoryOrigin, Outcome
from forensics.models.status_lines import Probe
from forensics.models.target import NetworkInterface
from tests.unit.builders import CASE_ID, target
from tests.unit.memory.target import KERNEL, settings
from tests.unit.recorders import FakeRecorder

PREFIX = f"{CASE_ID}/memory-i-1/20261124T080000000000Z"
LISTED = (
    "forensics-parts 1 kcore zstd 8589f2d9\n"
    f"1 100 60 {'a' * 64}\n"
    f"2 200 70 {'b' * 64}\n"
).encode()  # fmt: skip
MODULE = LimeModule(kernel=KERNEL, architecture="x86_64", key="tools/lime/a.ko", sha256="c" * 64)


def setup(*methods: Method, probe: Probe | None = None, module: LimeModule | None = None) -> CaptureSetup:
    return CaptureSetup(probe, module, MethodChoice(methods=methods or (Method.AVML, Method.KCORE)), memory_mib=100)


def landed(sizes: dict[int, int] | None, text: bytes | None = LISTED) -> FakeRecorder:
    """A recorder whose landing bucket has these parts and this list."""
    recorder = FakeRecorder()
    if sizes is not None:
        recorder.landing.uploads[f"{PREFIX}/{IMAGE}"] = sizes
    if text is not None:
        recorder.landing.objects[f"{PREFIX}/{LIST}"] = text
    return recorder


def attempt(**changes: Any) -> MemoryEvidence:
    origin = MemoryOrigin(**{"landing_prefix": PREFIX, "upload_id": "u", **changes})
    return MemoryEvidence(evidence_id="memory-i-1", outcome=Outcome.PENDING, origin=origin)


def manifest(recorder: FakeRecorder, upload: Upload, chosen: CaptureSetup, **changes: Any) -> list[str]:
    url = publish(recorder, settings(**changes), upload, chosen).replace("dualstack.", "")
    assert url == f"https://landing.invalid/{PREFIX}/manifest.txt"
    return recorder.landing.objects[f"{PREFIX}/manifest.txt"].decode().splitlines()


# ---------------------------------------------------------------------- what landed
def test_parts_count_when_s3_and_the_list_agree_on_their_size() -> None:
    upload, why = interrupted(landed({1: 60, 2: 70, 3: 5}), attempt())
    assert upload is not None and why == ""
    assert (upload.prefix, upload.upload_id, upload.first_part, upload.key) == (PREFIX, "u", 3, f"{PREFIX}/{IMAGE}")
    shorter, _ = interrupted(landed({1: 60, 2: 69}), attempt())
    assert shorter is not None and shorter.first_part == 2


@pytest.mark.parametrize(
    ("recorder", "evidence", "reason"),
    [
        (landed(None), None, "there was no earlier attempt"),
        (landed({1: 60}), attempt(upload_id=None), "there was no earlier attempt"),
        (landed({1: 60}), attempt(no_resume="the instance was rebooted"), "the instance was rebooted"),
        (landed({}), attempt(), "no part of the earlier attempt is in S3"),
        (landed({1: 60}, None), attempt(), "the earlier attempt ended before its first part was listed"),
        (landed({1: 60}, b"<html>"), attempt(), "the target's list of parts is not of the agreed form"),
        (landed({1: 61}), attempt(), "the first part of the earlier attempt did not land completely"),
    ],
)
def test_a_capture_that_cannot_be_resumed_says_why(
    recorder: FakeRecorder, evidence: MemoryEvidence | None, reason: str
) -> None:
    assert interrupted(recorder, evidence) == (None, reason)


def test_each_new_upload_has_a_prefix_of_its_own() -> None:
    recorder = FakeRecorder()
    first, second = new_upload(recorder, "memory-i-1"), new_upload(recorder, "memory-i-1")
    assert first.prefix != second.prefix and first.prefix.startswith(f"{CASE_ID}/memory-i-1/2")
    assert (first.first_part, first.landed) == (1, None)
    assert set(recorder.landing.uploads) == {first.key, second.key}


# ---------------------------------------------------------------------- the segment
def known() -> PartList:
    return parse_part_list(LISTED)


def test_the_first_segment_is_all_of_the_memory() -> None:
    now = int(time.time())
    segment = next_segment(Upload(PREFIX, "u"), setup(), compress=True, seconds=3600)
    assert (segment.methods, segment.encoding) == (("avml", "kcore"), "zstd")
    assert (segment.first_part, segment.skip, segment.boot) == (1, 0, None)
    assert segment.stop_at is not None and 0 <= segment.stop_at - now - (3600 - URL_MARGIN_SECONDS) <= 5
    assert next_segment(Upload(PREFIX, "u"), setup(), compress=False, seconds=3600).encoding == "none"


def test_a_segment_ends_before_the_credentials_that_sign_its_urls() -> None:
    """Execution-role credentials may have ten minutes left (botocore's refresh window; boto/botocore#2604)."""
    recorder = FakeRecorder()
    recorder.landing.life = 720
    now = int(time.time())
    (line,) = [text for text in manifest(recorder, Upload(PREFIX, "u"), setup()) if text.startswith("stop_at ")]
    assert 0 <= int(line.split()[1]) - now - 480 <= 5, "a third of the time is left for the last part"


def test_a_later_segment_keeps_method_encoding_and_boot_of_what_landed() -> None:
    segment = next_segment(Upload(PREFIX, "u", known()), setup(), compress=False, seconds=3600)
    assert (segment.methods, segment.encoding, segment.boot) == (("kcore",), "zstd", "8589f2d9")
    assert (segment.first_part, segment.skip) == (3, 200)


# ---------------------------------------------------------------------- the manifest
def test_the_manifest_of_a_first_command() -> None:
    lines = manifest(FakeRecorder(), Upload(PREFIX, "u"), setup())
    assert lines[:2] == ["forensics-manifest 1", "part_size 16777216"]
    assert [line for line in lines if line.startswith(("method", "encoding", "resume", "expect"))] == [
        "method avml", "method kcore", "encoding zstd"
    ]  # fmt: skip
    assert [line for line in lines if line.startswith("get ")] == [
        f"get avml {'a' * 64} https://tools.invalid/tools/avml"
    ]
    assert [line.split()[1] for line in lines if line.startswith("put ")] == [
        "btf",
        "kallsyms",
        "version",
        "iomem",
        "vmcoreinfo",
        "list",
        "status",
    ]
    assert any(line.startswith(f"put status https://landing.invalid/{PREFIX}/status-1.json") for line in lines)
    parts = [line.split() for line in lines if line.startswith("part ")]
    assert [int(p[1]) for p in parts] == list(range(1, 9)), "100 MiB and 5 % in parts of 16 MiB, and one to spare"


def test_the_manifest_of_a_later_command_resumes() -> None:
    recorder = FakeRecorder()
    lines = manifest(recorder, Upload(PREFIX, "u", known()), setup())
    assert "resume 3 200" in lines and "expect boot 8589f2d9" in lines
    assert f"get list {known().sha256} https://landing.invalid/{PREFIX}/parts-3.txt" in lines
    assert recorder.landing.objects[f"{PREFIX}/parts-3.txt"] == LISTED
    assert not any(line.startswith("get avml") for line in lines), "its parts were read by another method"
    assert next(line for line in lines if line.startswith("part ")).startswith("part 3 ")


@pytest.mark.parametrize(
    ("chosen", "changes", "line"),
    [
        (setup(Method.LIME, module=MODULE), {}, f"get lime {'c' * 64} https://tools.invalid/tools/lime/a.ko"),
        (setup(Method.WINPMEM), {"winpmem_sha256": "d" * 64}, f"get winpmem {'d' * 64} https://tools.invalid/tools/winpmem.exe"),
        (
            setup(Method.AVML, probe=Probe(architecture="aarch64")),
            {"capture_tool_arm64_sha256": "e" * 64},
            f"get avml {'e' * 64} https://tools.invalid/tools/avml-aarch64",
        ),
    ],
    ids=["lime", "winpmem", "arm"],
)  # fmt: skip
def test_each_method_gets_its_program_with_its_digest(chosen: CaptureSetup, changes: dict[str, str], line: str) -> None:
    lines = manifest(FakeRecorder(), Upload(PREFIX, "u"), chosen, **changes)
    assert [found for found in lines if found.startswith("get ")] == [line]


def test_a_target_without_ipv4_gets_dual_stack_names_and_others_by_the_setting_only() -> None:
    six = NetworkInterface(id="eni-1", device_index=0, vpc_id="vpc-1", subnet_id="subnet-1", ipv6=("2001:db8::1",))
    both = six.model_copy(update={"private_ip": "10.0.0.9"})
    for interfaces, changes, name in (
        ((six,), {}, "dualstack.invalid"),
        ((both,), {}, "invalid"),
        ((both,), {"dual_stack_urls": True}, "dualstack.invalid"),
        ((six, both), {}, "invalid"),
    ):
        recorder = FakeRecorder()
        recorder.put(case_keys.TARGET, target(interfaces=interfaces))
        lines = manifest(recorder, Upload(PREFIX, "u"), setup(), **changes)
        hosts = {urlsplit(line.split()[-1]).hostname for line in lines if "https://" in line}
        assert hosts == {f"landing.{name}", f"tools.{name}"}, (interfaces, changes)


def test_a_raw_image_has_room_for_the_addresses_of_devices() -> None:
    """On a machine of 8 GiB memory lies up to 9 GiB, because devices have addresses below 4 GiB."""
    chosen = CaptureSetup(None, None, MethodChoice(methods=(Method.WINPMEM,)), memory_mib=8192)
    lines = manifest(FakeRecorder(), Upload(PREFIX, "u"), chosen)
    size = next(int(line.split()[1]) for line in lines if line.startswith("part_size"))
    assert size * len([line for line in lines if line.startswith("part ")]) >= 9 * 1024**3


def test_the_reader_in_the_document_itself_needs_no_program() -> None:
    assert not [x for x in manifest(FakeRecorder(), Upload(PREFIX, "u"), setup(Method.KCORE)) if x.startswith("get ")]
