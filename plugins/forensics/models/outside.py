"""Texts that others have written (hosts, tools, findings, tags, persons, AWS's error messages), made safe where they are read.

A target under an intruder's control, a finding's sender or an account's administrator chooses them. What could not be stored
(lone surrogates), what hides, reorders or forges (control, format and blank characters) and what begins a new line is shown
as what it is; nothing is lost, so that a reader sees what was sent. Markup is the business of whoever writes markup
(``forensics.printable``: Markdown, mails; Jinja's escaping: HTML): there the same text has to look different.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, ClassVar, Final, Self, get_args

from annotated_types import MaxLen
from pydantic import AliasChoices, BaseModel, BeforeValidator, ValidationInfo, model_validator
from pydantic.fields import FieldInfo

from forensics.models.base import Model
from forensics.printable import single_line, single_lines

HostText = Annotated[str, BeforeValidator(lambda value: single_line(value) if isinstance(value, str) else value)]
"""For a text in a place that a model's own validator does not reach: a key of a mapping to models."""


ALL_PLAIN: Final = object()
"""As a validation's context: whoever gives it has looked, and no text in the value would be shown otherwise than it is."""


class Outside(Model):
    """A model whose texts others have written: each is one visible line, wherever in its lists and mappings it stands.

    A new field cannot forget it. Models inside have to be of this kind themselves (tests/unit/models/test_outside.py). A
    text that was within its field's ``max_length`` before it was made visible is cut to it afterwards.
    """

    _texts: ClassVar[Mapping[str, int | None]] = {}

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: object) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        cls._texts = {
            key: _limit(field)
            for name, field in cls.model_fields.items()
            if not holds_models(field.annotation)
            for key in (name, *_aliases(field))
        }

    @model_validator(mode="before")
    @classmethod
    def _visible(cls, given: object, info: ValidationInfo) -> object:
        if info.context is ALL_PLAIN:
            return given
        return _shown(given, cls._texts) if isinstance(given, dict) else given

    def model_copy(self, *, update: Mapping[str, object] | None = None, deep: bool = False) -> Self:
        """As pydantic's, which validates nothing: the texts of ``update`` are made visible here too."""
        return super().model_copy(update=_shown(update, self._texts) if update else update, deep=deep)


def _shown(given: Mapping[str, object], texts: Mapping[str, int | None]) -> dict[str, object]:
    return {key: _bounded(value, texts[key]) if key in texts else value for key, value in given.items()}


def _bounded(value: object, limit: int | None) -> object:
    shown = single_lines(value)
    if limit is None or not isinstance(shown, str) or not isinstance(value, str):
        return shown
    return shown[:limit] if len(value) <= limit else shown


def _limit(field: FieldInfo) -> int | None:
    # The length of a list is not that of a text.
    of_text = field.annotation is str or set(get_args(field.annotation)) == {str, type(None)}
    return next((m.max_length for m in field.metadata if isinstance(m, MaxLen)), None) if of_text else None


def _aliases(field: FieldInfo) -> Iterator[str]:
    for alias in (field.alias, field.validation_alias):
        if isinstance(alias, AliasChoices):
            yield from (choice for choice in alias.choices if isinstance(choice, str))
        elif isinstance(alias, str):
            yield alias


def holds_models(annotation: object) -> bool:
    """Whether a model stands anywhere in an annotation."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return True
    return any(holds_models(inner) for inner in get_args(annotation))
