"""What a command captures with: the probe's answer, the options of the installation, the module, the memory's size."""

from __future__ import annotations

import pytest

from forensics.custody.signed_documents import SignatureError
from forensics.errors import MemoryCaptureError
from forensics.memory.capture_setup import (
    COMMAND_SECONDS,
    CaptureSetup,
    capture_options,
    capture_seconds,
    capture_setup,
    lime_module,
)
from forensics.memory.lime_modules import LimeModule
from forensics.memory.method import Method
from forensics.models.status_lines import Probe
from tests.unit.builders import target
from tests.unit.memory.target import KERNEL, Ec2OfTarget, Host, ModulesOfTarget, settings

MODULE = LimeModule(kernel=KERNEL, architecture="x86_64", key="tools/lime/a.ko", sha256="c" * 64)


def setup(host: Host) -> CaptureSetup:
    return capture_setup(host.recorder, host.gateways, settings(), target())


def test_a_probed_target_gets_the_methods_that_suit_it() -> None:
    host = Host(modules=ModulesOfTarget(MODULE), ec2=Ec2OfTarget(2048))
    host.probed(python3=False)
    found = setup(host)
    assert found.choice.whole_image == (Method.AVML, Method.LIME)
    assert (found.module, found.memory_mib, found.architecture) == (MODULE, 2048, "x86_64")


def test_a_target_that_was_not_probed_gets_all_methods() -> None:
    found = setup(Host())
    assert (found.probe, found.module, found.architecture) == (None, None, "x86_64")
    assert found.choice.whole_image == (Method.AVML, Method.KCORE)


def test_more_memory_than_the_settings_allow_is_refused_for_good() -> None:
    with pytest.raises(
        MemoryCaptureError, match=r"has 1048577 MiB of memory; forensics\.memory_limit_gib allows 1024"
    ) as error:
        setup(Host(ec2=Ec2OfTarget(1024 * 1024 + 1)))
    assert not error.value.retryable
    assert setup(Host(ec2=Ec2OfTarget(1024 * 1024))).memory_mib == 1024 * 1024


def test_the_options_are_what_the_settings_hold() -> None:
    plain = capture_options(settings(), part_size=32 << 20, module=None)
    assert (plain.avml_architectures, plain.lime_kernels, plain.winpmem) == (("x86_64",), (), False)
    assert (plain.part_kib, plain.memory_limit_kib) == (32 << 10, 1024 << 20)
    every = capture_options(
        settings(capture_tool_arm64_sha256="b" * 64, winpmem_sha256="d" * 64), part_size=16 << 20, module=MODULE
    )
    assert (every.avml_architectures, every.lime_kernels, every.winpmem) == (("x86_64", "aarch64"), (KERNEL,), True)


def test_a_list_of_modules_that_cannot_be_trusted_is_announced_and_not_used() -> None:
    host = Host(modules=ModulesOfTarget(error=SignatureError("s3://tools/lime.yaml is not what was signed")))
    assert lime_module(host.recorder, host.modules, Probe(kernel=KERNEL, architecture="x86_64")) is None
    (mail,) = host.recorder.mailbox.mail
    assert mail.event == "lime_list" and mail.subject.endswith("ALERT: the list of LiME modules cannot be trusted")
    assert "the list of LiME modules is not used: s3://tools/lime.yaml is not what was signed" in mail.lines
    assert host.recorder.notes[-1].startswith("ALERT: the list of LiME modules is not used")


@pytest.mark.parametrize(
    ("gib", "seconds"),
    [(1, 3600), (16, 3600), (225, 3600), (226, 3616), (1024, 16_384), (24 * 1024, COMMAND_SECONDS)],
)
def test_the_time_of_a_capture_grows_with_the_memory_between_a_floor_and_the_longest_command(
    gib: int, seconds: int
) -> None:
    assert capture_seconds(settings(), gib * 1024) == seconds
