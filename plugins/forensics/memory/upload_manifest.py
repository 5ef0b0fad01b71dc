"""Memory: what a capture command is given, and where an interrupted capture goes on."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime

from forensics.case.recorder import CaseRecorder
from forensics.errors import EvidenceTransferError, ForensicsError
from forensics.manifest import MANIFEST, MIB, Leg, part_size_for, render
from forensics.memory.lime_module_store import LimeModuleStore
from forensics.memory.lime_modules import LimeModule, module_for
from forensics.memory.method import Choice, Method
from forensics.memory.parts import LIST_LIMIT, PartList, parse
from forensics.models.case import TimelineKind
from forensics.models.evidence import MemoryEvidence
from forensics.models.status_lines import Probe
from forensics.settings import Settings

KERNEL_FACTS = ("btf", "kallsyms", "version", "iomem")
IMAGE, LIST = "memory.lime", "parts.txt"
# A leg ends this long before its URLs do: a part on a slow line has to get through.
URL_MARGIN_SECONDS = 300
DELIVERY_SECONDS = 180


@dataclass(frozen=True)
class Upload:
    """Where the image lands: prefix of the keys, upload id, and the parts that are there already."""

    prefix: str
    upload_id: str
    known: PartList | None = None

    @property
    def key(self) -> str:
        """Key of the image."""
        return f"{self.prefix}/{IMAGE}"

    @property
    def first_part(self) -> int:
        """The part to begin with."""
        return len(self.known.parts) + 1 if self.known else 1


def new_upload(recorder: CaseRecorder, item: str) -> Upload:
    """Start an upload under a prefix of its own."""
    prefix = f"{recorder.case_id}/{item}/{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}"
    return Upload(prefix, recorder.gateways.landing.start_upload(f"{prefix}/{IMAGE}"))


def interrupted(recorder: CaseRecorder, evidence: MemoryEvidence | None) -> tuple[Upload | None, str]:
    """The upload of an earlier try with what landed of it, or None and why it starts anew.

    S3's own list says what landed (the target's list only gives digests and offsets): a part is known when both agree on
    its size. Whatever came after the last such part is sent again, at most one part.
    """
    if evidence is None or evidence.origin.upload_id is None:
        return None, "there was no earlier try"
    upload = Upload(str(evidence.origin.landing_prefix), evidence.origin.upload_id)
    if evidence.origin.no_resume:
        return None, evidence.origin.no_resume
    sizes = recorder.gateways.landing.part_sizes(upload.key, upload_id=upload.upload_id)
    if not sizes:
        return None, "no part of the earlier try is in S3"
    if recorder.gateways.landing.size(f"{upload.prefix}/{LIST}") is None:
        return None, "the earlier try was cut off before its first part was listed"
    try:
        known = parse(recorder.gateways.landing.read(f"{upload.prefix}/{LIST}", limit=LIST_LIMIT)).landed(sizes)
    except EvidenceTransferError as error:
        return None, str(error)
    if not known.parts:
        return None, "the first part of the earlier try did not land whole"
    return Upload(upload.prefix, upload.upload_id, known), ""


def publish(
    recorder: CaseRecorder,
    settings: Settings,
    upload: Upload,
    *,
    choice: Choice,
    memory_mib: int,
    architecture: str,
    module: LimeModule | None,
) -> str:
    """Write the manifest of one command and return its URL; every URL in it outlives the leg."""
    landing, known = recorder.gateways.landing, upload.known
    part_size, count = part_size_for(memory_mib * MIB)
    seconds = settings.url_seconds
    leg = Leg(
        methods=(known.method,) if known else tuple(m.value for m in choice.whole_image),
        encoding=known.encoding if known else ("zstd" if settings.memory_compression else "none"),
        stop_at=int(time.time()) + seconds - URL_MARGIN_SECONDS,
        first_part=upload.first_part,
        skip=known.parts[-1].image_end if known else 0,
        boot=(known.boot or None) if known else None,
    )
    gets: dict[str, tuple[str | None, str]] = {}
    if Method.AVML.value in leg.methods:
        key, digest = _tool(settings, architecture)
        gets["avml"] = (digest, recorder.gateways.tools.get_url(key))
    if Method.LIME.value in leg.methods and module:
        gets["lime"] = (module.sha256, recorder.gateways.tools.get_url(module.key))
    if Method.WINPMEM.value in leg.methods:
        gets["winpmem"] = (settings.winpmem_sha256, recorder.gateways.tools.get_url(settings.winpmem_key))
    if known:
        earlier = landing.publish(f"{upload.prefix}/parts-{upload.first_part}.txt", text=known.text.decode("ascii"))
        gets["list"] = (known.sha256, earlier)
    manifest = render(
        gets=gets,
        puts={n: landing.put_url(f"{upload.prefix}/{n}", seconds=seconds) for n in KERNEL_FACTS}
        | {"list": landing.put_url(f"{upload.prefix}/{LIST}", seconds=seconds)},
        parts=landing.part_urls(
            upload.key, upload_id=upload.upload_id, first=upload.first_part, count=count, seconds=seconds
        ),
        part_size=part_size,
        leg=leg,
    )
    # The one URL that SSM stores: it opens the manifest only until the command must have begun.
    return landing.publish(f"{upload.prefix}/{MANIFEST}", text=manifest, seconds=DELIVERY_SECONDS + 120)


def lime_module(recorder: CaseRecorder, store: LimeModuleStore, probe: Probe | None) -> LimeModule | None:
    """The prebuilt module for the target's kernel; a list that cannot be trusted is announced and not used."""
    try:
        return module_for(store.modules(), probe=probe)
    except ForensicsError as error:
        said = f"the list of LiME modules is not used: {error}"
        recorder.note(f"ALERT: {said}"[:900], kind=TimelineKind.EVIDENCE)
        recorder.announce(
            "lime_list", "ALERT: the list of LiME modules cannot be trusted", lines=[said, str(error.next_action)]
        )
        return None


def _tool(settings: Settings, architecture: str) -> tuple[str, str]:
    if architecture in {"aarch64", "arm64"}:
        return settings.capture_tool_arm64_key, settings.capture_tool_arm64_sha256
    return settings.capture_tool_key, settings.capture_tool_sha256
