"""GuardDuty's sample findings are recognised by a flag, their title, or the instance that it invents."""

from __future__ import annotations

import pytest

from forensics.intake.readers.identifiers import SAMPLE_INSTANCE, InstanceRef
from forensics.intake.readers.parsed_finding import is_sample
from tests.unit.builders import INSTANCE

REAL, INVENTED = InstanceRef(instance_id=INSTANCE, field="it"), InstanceRef(instance_id=SAMPLE_INSTANCE, field="it")


@pytest.mark.parametrize(
    ("flags", "title", "instance", "sample"),
    [
        ((True,), "C2", REAL, True),
        ((None, "true"), "C2", REAL, True),
        ((), "[SAMPLE] C2", REAL, True),
        ((), None, INVENTED, True),
        ((False, None, "no", 1), "a [SAMPLE]", REAL, False),
    ],
)
def test_a_sample_is_recognised(
    flags: tuple[object, ...], title: str | None, instance: InstanceRef, sample: bool
) -> None:
    assert is_sample(*flags, title=title, instances=(instance,)) is sample
