"""JSON goes through DynamoDB and comes back as it was; what is not JSON is refused."""

from __future__ import annotations

from typing import Any

import pytest

from forensics.aws.attributes import LARGEST_INTEGER, from_item, to_item


@pytest.mark.parametrize(
    ("value", "attribute"),
    [
        (None, {"NULL": True}),
        (True, {"BOOL": True}),
        ("x", {"S": "x"}),
        (7, {"N": "7"}),
        (0.1, {"N": "0.1"}),
        ([1, "a"], {"L": [{"N": "1"}, {"S": "a"}]}),
        ({"a": {"b": []}}, {"M": {"a": {"M": {"b": {"L": []}}}}}),
    ],
)
def test_each_kind_of_value_has_its_attribute(value: Any, attribute: dict[str, Any]) -> None:
    assert to_item(value) == attribute
    again = from_item(attribute)  # type: ignore[arg-type]
    assert again == value and type(again) is type(value)


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        ("1", int),
        ("1.0", int),
        ("-3", int),
        (str(LARGEST_INTEGER), int),
        (str(LARGEST_INTEGER + 1), float),
        ("0.5", float),
    ],
)
def test_a_number_is_whole_only_where_json_keeps_it_exact(number: str, kind: type) -> None:
    assert type(from_item({"N": number})) is kind


@pytest.mark.parametrize("attribute", [{"B": b"bytes"}, {"SS": ["a"]}, {"M": {"inner": {"B": b""}}}])
def test_what_json_does_not_have_is_refused(attribute: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="is not JSON"):
        from_item(attribute)  # type: ignore[arg-type]
