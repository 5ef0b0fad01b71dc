"""Parameters of a document (schema 2.2) put into its steps, as the SSM agent does it.

`{{ name }}` is spliced into the text: a parameter that fills a whole string replaces it, a list inside a
longer string becomes JSON. A parameter declared `interpolationType: ENV_VAR` (agent 3.3.2746.0 and later)
reaches the script as the environment variable SSM_<name> and is never spliced: its `{{ name }}` becomes a
quoted reference to the variable.
"""

from __future__ import annotations

import json
import re
from typing import Any

_PLACEHOLDER = re.compile(r"\{\{\s*([A-Za-z0-9_]+)\s*\}\}")


class DocumentError(ValueError):
    """The document cannot be run; the message says which part of it, and why."""


def environment(document: dict[str, Any], *, parameters: dict[str, Any]) -> dict[str, str]:
    """SSM_<name> for each parameter declared ENV_VAR. Raises DocumentError for a value that no variable can
    hold.
    """
    found: dict[str, str] = {}
    for name in sorted(_by_variable(document)):
        value = _text(parameters.get(name, ""))
        if "\0" in value:
            raise DocumentError(f"parameter {name} holds a NUL character, which no environment variable can")
        found[f"SSM_{name}"] = value
    return found


def splice(value: Any, *, document: dict[str, Any], parameters: dict[str, Any], script: bool = False) -> Any:
    """`value` with its placeholders replaced; unknown names stay as they are.

    `script` tells that the text is run by a shell, where ENV_VAR parameters become references; anywhere else
    (a working directory, a time-out) their value is used.
    """
    by_variable = _by_variable(document) if script else set()

    def one(text: str) -> Any:
        whole = _PLACEHOLDER.fullmatch(text)
        if whole and whole[1] in parameters and whole[1] not in by_variable:
            return parameters[whole[1]]

        def put(match: re.Match[str]) -> str:
            name = match[1]
            if name in by_variable:
                return f'"$SSM_{name}"'
            return _text(parameters[name]) if name in parameters else match[0]

        # One pass: text that came in with a value is not searched again.
        return _PLACEHOLDER.sub(put, text)

    if isinstance(value, str):
        return one(value)
    if isinstance(value, list):
        out: list[Any] = []
        for item in value:
            result = splice(item, document=document, parameters=parameters, script=script)
            out += result if isinstance(result, list) and isinstance(item, str) else [result]
        return out
    if isinstance(value, dict):
        return {k: splice(v, document=document, parameters=parameters, script=script) for k, v in value.items()}
    return value


def unmet_precondition(step: dict[str, Any], *, document: dict[str, Any], parameters: dict[str, Any]) -> str | None:
    """Why this step does not apply to a Linux instance, or None. Raises DocumentError for an unknown
    operator.
    """
    for operator, arguments in (step.get("precondition") or {}).items():
        if operator != "StringEquals" or not isinstance(arguments, list) or len(arguments) != 2:
            raise DocumentError(
                f"step {step.get('name')}: precondition {operator} {arguments!r} is not understood; "
                "an agent knows StringEquals with two values"
            )
        left, right = (
            "Linux" if a == "platformType" else splice(str(a), document=document, parameters=parameters)
            for a in arguments
        )
        if left != right:
            return f"{operator}: [{arguments[0]}, {arguments[1]}]"
    return None


def _by_variable(document: dict[str, Any]) -> set[str]:
    declared = document.get("parameters") or {}
    return {name for name, about in declared.items() if about.get("interpolationType") == "ENV_VAR"}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
