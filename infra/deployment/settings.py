"""The product's settings in a deployment: given under ``settings`` in the configuration file, they become options of the MWAA environment."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import TypeAdapter, ValidationError

from forensics.settings import Settings, names
from infra.deployment import regions, templates

TEMPLATE = "mwaa"
SECTION = "forensics."
_MARK = "      AirflowConfigurationOptions:\n"


def derived() -> dict[str, Any]:
    """Settings that the template itself sets, from stacks, parameters or the release: name → where the value comes from."""
    options = templates.reading()[TEMPLATE]["Resources"]["Environment"]["Properties"]["AirflowConfigurationOptions"]
    return {name.removeprefix(SECTION): value for name, value in options.items() if name.startswith(SECTION)}


def problems(given: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with the settings of a configuration file."""
    taken = derived()
    for name, value in given.items():
        if name not in Settings.model_fields:
            near = difflib.get_close_matches(str(name), Settings.model_fields, 1)
            yield f"settings.{name}: there is no such setting" + (f" (did you mean {near[0]}?)" if near else "")
        elif name in taken:
            yield f"settings.{name} comes from the deployment itself ({_source(taken[name])}): give that instead"
        else:
            yield from _value(name, value)


def _source(value: Any) -> str:
    reference = value.get("Ref") if isinstance(value, dict) else None
    if reference and not reference.startswith("AWS::"):
        return f"parameter or output {reference}"
    return "the account and Region that it is deployed to" if reference else "the template"


def _value(name: str, value: Any) -> Iterator[str]:
    if value is None:
        yield f"settings.{name} has no value: give one, or leave the line out for the default"
        return
    if isinstance(value, list | dict):
        yield f"settings.{name}: one value is expected; lists are written with commas between their items"
        return
    field = Settings.model_fields[name]
    try:
        TypeAdapter(_annotated(name)).validate_python(text(value))
    except ValidationError as error:
        said = "; ".join(e["msg"] for e in error.errors(include_url=False))
        yield f"settings.{name}: {text(value)!r}: {said}" + (f" ({field.description})" if field.description else "")
    if name == "cross_region_from" and text(value) != "*":
        yield from (f"settings.{name}: {said}" for said in map(regions.unknown, names(text(value))) if said)
    if text(value) == "":
        yield f"settings.{name} is empty: MWAA refuses empty options; leave it out for the default"


def _annotated(name: str) -> Any:
    field = Settings.model_fields[name]
    return Annotated[field.annotation, field]


def text(value: Any) -> str:
    """The value as Airflow's configuration has it."""
    return {True: "True", False: "False"}.get(value, str(value)) if isinstance(value, bool) else str(value)


def render(template: str, given: Mapping[str, Any]) -> str:
    """The template's text with further options; unchanged without any."""
    if not given:
        return template
    lines = "".join(f"        {SECTION}{name}: {json.dumps(text(value))}\n" for name, value in sorted(given.items()))
    before, mark, after = template.partition(_MARK)
    if not mark:
        raise templates.TemplateError(f"{TEMPLATE} has no {_MARK.strip()}: settings cannot be added")
    return before + mark + lines + after
