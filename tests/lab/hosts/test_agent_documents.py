"""What the agents do to a document before and after it runs: parameters, preconditions, output, images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lab.hosts.agent.interpolation import DocumentError, environment, splice, unmet_precondition
from lab.hosts.agent.output import Capture, cut
from lab.hosts.agent.unpack import UnpackError, ready


def test_parameters_are_spliced_once() -> None:
    context = {
        "document": {"parameters": {"A": {"type": "String"}, "L": {"type": "StringList"}}},
        "parameters": {"A": "{{ L }}", "L": ["x y", "z"]},
    }
    assert splice("{{ L }}", **context) == ["x y", "z"]
    assert splice(["a", "{{L}}", "b"], **context) == ["a", "x y", "z", "b"]
    assert splice("got {{ A }} and {{L}}", **context) == 'got {{ L }} and ["x y","z"]'
    assert splice("{{ Unknown }} {{ ssm:name }}", **context) == "{{ Unknown }} {{ ssm:name }}"


def test_env_var_parameters_are_never_spliced_into_a_script() -> None:
    about = {"parameters": {"Name": {"type": "String", "interpolationType": "ENV_VAR"}}}
    values = {"Name": "'; rm -rf / #"}
    assert environment(about, parameters=values) == {"SSM_Name": "'; rm -rf / #"}
    assert splice(["echo {{ Name }}"], document=about, parameters=values, script=True) == ['echo "$SSM_Name"']
    assert splice("{{Name}}", document=about, parameters=values, script=True) == '"$SSM_Name"'
    assert splice("{{ Name }}", document=about, parameters=values) == "'; rm -rf / #"
    with pytest.raises(DocumentError, match="NUL"):
        environment(about, parameters={"Name": "a\0b"})


def test_preconditions() -> None:
    def unmet(condition: Any) -> str | None:
        return unmet_precondition({"name": "s", "precondition": condition}, document={}, parameters={"P": "1"})

    assert unmet(None) is None
    assert unmet({"StringEquals": ["platformType", "Linux"]}) is None
    assert unmet({"StringEquals": ["Linux", "platformType"]}) is None
    assert unmet({"StringEquals": ["{{ P }}", "1"]}) is None
    assert "Windows" in (unmet({"StringEquals": ["platformType", "Windows"]}) or "")
    with pytest.raises(DocumentError, match="StringLike"):
        unmet({"StringLike": ["platformType", "Lin*"]})


def test_captures_and_cuts_keep_to_their_limits() -> None:
    capture = Capture(limit=10)
    for _ in range(1000):
        capture.write(b"12345678")
    assert (capture.text(), capture.dropped) == ("1234567812", 7990)
    assert cut("x" * 100, limit=30, mark="\n--cut--") == "x" * 22 + "\n--cut--"
    assert cut("short", limit=30, mark="\n--cut--") == "short"


def test_compressed_images_are_unpacked_once_and_sparsely(tmp_path: Path) -> None:
    zstandard = pytest.importorskip("zstandard")
    content = b"head" + bytes(8 << 20) + b"tail" + bytes(3 << 20)
    packed = tmp_path / "mem.lime.zst"
    packed.write_bytes(zstandard.ZstdCompressor().compress(content))
    raw = ready(packed, cache=tmp_path / "cache")
    assert raw.read_bytes() == content
    assert raw.stat().st_blocks * 512 < 4 << 20
    assert ready(packed, cache=tmp_path / "cache") == raw
    assert ready(raw, cache=tmp_path / "cache") == raw
    packed.write_bytes(packed.read_bytes()[:-20] + b"broken")
    with pytest.raises(UnpackError, match=r"mem\.lime\.zst"):
        ready(packed, cache=tmp_path / "cache")
    with pytest.raises(UnpackError, match="No such file"):
        ready(tmp_path / "none", cache=tmp_path / "cache")
