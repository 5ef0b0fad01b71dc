"""The Regions that botocore knows, and their partitions."""

from __future__ import annotations

import difflib
from functools import cache

import botocore.loaders


@cache
def partition_of_region() -> dict[str, str]:
    """Every Region that botocore knows, and its partition."""
    data = botocore.loaders.Loader().load_data("partitions")
    return {
        region: partition["id"]
        for partition in data["partitions"]
        for region in partition["regions"]
        if not region.endswith("-global")
    }


def unknown(region: str) -> str | None:
    """What to say of a Region that AWS does not have; None for one that it has."""
    known = partition_of_region()
    if region in known:
        return None
    near = difflib.get_close_matches(region, known, 1)
    return f"AWS has no Region {region!r}" + (f" (did you mean {near[0]}?)" if near else "")
