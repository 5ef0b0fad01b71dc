"""The forensic instance fits the evidence: its disk holds image, work and 30 %, its type has memory for the image."""

from __future__ import annotations

import pytest

from forensics.investigation.instance_size import GIB, root_gib, types_for


@pytest.mark.parametrize(
    ("image_gib", "ami_gib", "root"),
    [(0, 100, 100), (0, 16, 16), (4, 100, 100), (4, 16, 60), (64, 100, 140), (256, 100, 390), (1024, 100, 1390)],
)
def test_the_disk_grows_with_the_image_and_is_never_smaller_than_the_ami(
    image_gib: int, ami_gib: int, root: int
) -> None:
    assert root_gib(image_gib * GIB, ami_gib=ami_gib) == root
    assert root >= (image_gib + 40) * 1.3 or not image_gib or root == ami_gib


def test_types_with_memory_for_the_image_go_first_each_kind_in_the_order_of_preference() -> None:
    memory = {"m6i.xlarge": 16_384, "m5.xlarge": 16_384, "r6i.4xlarge": 131_072}
    types = ("m6i.xlarge", "m5.xlarge", "r6i.4xlarge", "gone.large")
    assert types_for(types, memory_mib=memory, image_bytes=64 * GIB) == types
    assert types_for(types, memory_mib=memory, image_bytes=1024 * GIB) == (
        "r6i.4xlarge", "m6i.xlarge", "m5.xlarge", "gone.large",
    )  # fmt: skip
