"""What the agents do to a document before it runs: parameters and preconditions."""

from __future__ import annotations

from typing import Any

import pytest

from lab.hosts.agent.interpolation import DocumentError, environment, splice, unmet_precondition


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
