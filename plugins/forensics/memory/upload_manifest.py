"""Where a memory image lands, what has landed of it, and the manifest that one capture command works with."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime

from forensics.aws.s3_landing import ToolsGateway
from forensics.case.recorder import CaseRecorder
from forensics.errors import EvidenceTransferError
from forensics.manifest import MANIFEST, MIB, CaptureSegment, part_size_for, render
from forensics.memory.capture_setup import CaptureSetup
from forensics.memory.host_urls import reached_by_target
from forensics.memory.landed_status import STATUS, status_key
from forensics.memory.method import Method
from forensics.memory.parts import LIST_LIMIT, PartList, parse_part_list
from forensics.models.evidence import MemoryEvidence
from forensics.settings import Settings

KERNEL_FACTS = ("btf", "kallsyms", "version", "iomem", "vmcoreinfo")
# Not every kernel that can be captured has it, and every image of one that has holds it itself: nobody misses it.
OPTIONAL_FACTS = ("vmcoreinfo",)
IMAGE, LIST = "memory.lime", "parts.txt"
# A segment ends this long before its URLs do: a part on a slow line has to get through. URLs whose credentials end soon leave
# a third of their time.
URL_MARGIN_SECONDS = 300
DELIVERY_SECONDS = 180
# A raw image has the addresses of devices below 4 GiB too, as zeros; the memory behind them lies above.
RAW_HOLE_MIB = 2048


@dataclass(frozen=True)
class Upload:
    """Where the image lands: prefix of the keys, upload id, and the parts that have landed already."""

    prefix: str
    upload_id: str
    landed: PartList | None = None

    @property
    def key(self) -> str:
        """Key of the image."""
        return f"{self.prefix}/{IMAGE}"

    @property
    def first_part(self) -> int:
        """The part to begin with."""
        return len(self.landed.parts) + 1 if self.landed else 1


def new_upload(recorder: CaseRecorder, item: str) -> Upload:
    """Start an upload under a prefix of its own."""
    prefix = f"{recorder.case_id}/{item}/{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}"
    return Upload(prefix, recorder.gateways.landing.start_upload(f"{prefix}/{IMAGE}"))


def interrupted(recorder: CaseRecorder, evidence: MemoryEvidence | None) -> tuple[Upload | None, str]:
    """The upload of an earlier attempt with what landed of it, or None and why the capture starts from the beginning.

    S3's own list says what landed (the target's list only gives digests and offsets): a part counts when both agree on
    its size. Whatever came after the last such part is sent again, at most one part.
    """
    if evidence is None or evidence.origin.upload_id is None:
        return None, "there was no earlier attempt"
    upload = Upload(str(evidence.origin.landing_prefix), evidence.origin.upload_id)
    if evidence.origin.no_resume:
        return None, evidence.origin.no_resume
    sizes = recorder.gateways.landing.part_sizes(upload.key, upload_id=upload.upload_id)
    if not sizes:
        return None, "no part of the earlier attempt is in S3"
    if recorder.gateways.landing.size(f"{upload.prefix}/{LIST}") is None:
        return None, "the earlier attempt ended before its first part was listed"
    try:
        landed = parse_part_list(recorder.gateways.landing.read(f"{upload.prefix}/{LIST}", limit=LIST_LIMIT)).landed(
            sizes
        )
    except EvidenceTransferError as error:
        return None, str(error)
    if not landed.parts:
        return None, "the first part of the earlier attempt did not land completely"
    return Upload(upload.prefix, upload.upload_id, landed), ""


def publish(
    recorder: CaseRecorder, settings: Settings, upload: Upload, setup: CaptureSetup, *, again: bool = False
) -> str:
    """Write the manifest of one command and return its URL; every URL in it outlives the segment.

    ``again``: that of a try that died before it sent it is used, where it offers the same.

    The segment ends before the credentials that sign the URLs do (:meth:`LandingGateway.url_life`).
    """
    landing, tools = reached_by_target(recorder, settings)
    seconds = landing.url_life(settings.url_seconds)
    raw = Method.WINPMEM in setup.choice.methods
    part_size, count = part_size_for((setup.memory_mib + (RAW_HOLE_MIB if raw else 0)) * MIB)
    segment = next_segment(upload, setup, compress=settings.memory_compression, seconds=seconds)
    gets = _programs(tools, settings, setup, methods=segment.methods)
    if upload.landed:
        earlier = landing.publish(
            f"{upload.prefix}/parts-{upload.first_part}.txt", text=upload.landed.text.decode("ascii")
        )
        gets["list"] = (upload.landed.sha256, earlier)
    manifest = render(
        gets=gets,
        puts={n: landing.put_url(f"{upload.prefix}/{n}", seconds=seconds) for n in KERNEL_FACTS}
        | {"list": landing.put_url(f"{upload.prefix}/{LIST}", seconds=seconds)}
        | {STATUS: landing.put_url(status_key(upload.prefix, first_part=upload.first_part), seconds=seconds)},
        parts=landing.part_urls(
            upload.key, upload_id=upload.upload_id, first=upload.first_part, count=count, seconds=seconds
        ),
        part_size=part_size,
        segment=segment,
    )
    # The one URL that SSM stores: it opens the manifest only until the command must have begun.
    return landing.publish(f"{upload.prefix}/{MANIFEST}", text=manifest, seconds=DELIVERY_SECONDS + 120, again=again)


def next_segment(upload: Upload, setup: CaptureSetup, *, compress: bool, seconds: int) -> CaptureSegment:
    """What the next command captures: all of the memory, or what is behind the parts that have landed, in their form."""
    stop_at = int(time.time()) + seconds - min(URL_MARGIN_SECONDS, seconds // 3)
    landed = upload.landed
    if landed is None:
        methods = tuple(m.value for m in setup.choice.whole_image)
        return CaptureSegment(methods=methods, encoding="zstd" if compress else "none", stop_at=stop_at)
    return CaptureSegment(
        methods=(landed.method,),
        encoding=landed.encoding,
        stop_at=stop_at,
        first_part=upload.first_part,
        skip=landed.parts[-1].image_end,
        boot=landed.boot or None,
    )


def _programs(
    tools: ToolsGateway, settings: Settings, setup: CaptureSetup, *, methods: tuple[str, ...]
) -> dict[str, tuple[str | None, str]]:
    """Name in the manifest, digest and URL of what the methods run on the target."""
    found: dict[str, tuple[str | None, str]] = {}
    if Method.AVML.value in methods:
        arm = setup.architecture in {"aarch64", "arm64"}
        key = settings.capture_tool_arm64_key if arm else settings.capture_tool_key
        digest = settings.capture_tool_arm64_sha256 if arm else settings.capture_tool_sha256
        found["avml"] = (digest, tools.get_url(key))
    if Method.LIME.value in methods and setup.module:
        found["lime"] = (setup.module.sha256, tools.get_url(setup.module.key))
    if Method.WINPMEM.value in methods:
        found["winpmem"] = (settings.winpmem_sha256, tools.get_url(settings.winpmem_key))
    return found
