"""Values of operators' templated arguments, read in one place.

Airflow renders a template to text (``"5"``, ``"None"`` for no value), or with ``render_template_as_native_obj`` to the
value itself. Both read the same here.
"""

from __future__ import annotations

from forensics.errors import InvalidCaseError
from forensics.models.base import CASE_ID_FORM

# How Jinja renders a parameter that has no value.
_NO_VALUE = frozenset({"", "None"})


def optional_text(value: object) -> str | None:
    """The text without surrounding blanks; None when there is none."""
    text = str(value).strip()
    return None if value is None or text in _NO_VALUE else text


def optional_case_id(name: str, value: object) -> str | None:
    """A case id, or None when no case is named. Raises :class:`InvalidCaseError` for anything else."""
    text = optional_text(value)
    if text is not None and not CASE_ID_FORM.fullmatch(text):
        raise _wrong(name, text, "a case id such as fc-20261124-0a1b2c3d4e is expected")
    return text


def optional_number(name: str, value: object) -> int | None:
    """A whole number, zero included, or None when none is given. Raises :class:`InvalidCaseError` for anything else."""
    text = optional_text(value)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit()):
        raise _wrong(name, text, "a whole number is expected")
    return int(text)


def _wrong(name: str, text: str, expected: str) -> InvalidCaseError:
    return InvalidCaseError(
        f"parameter {name} is {text!r}; {expected}, or nothing",
        next_action=f"trigger the DAG again with a valid {name}",
    )
