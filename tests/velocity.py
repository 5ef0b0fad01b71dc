"""The part of the Velocity template language that the product's mapping template uses, as Velocity's user guide has it.

Amazon API Gateway evaluates such templates (developer guide, "Mapping template transformations for REST APIs", with the variables
``$input``, ``$context`` and ``$util``). What is not known here raises: a template that says more is not taken for tried.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote_plus

_TOKEN = re.compile(r"#set\(|#foreach\(|#if\(|#\{else\}|#end|\$(?=[a-zA-Z])|#|[^#$]+|\$", re.S)
_WORD = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


class Unknown(Exception):
    """Something that is not of the part of Velocity that is known here."""


class Template:
    """One template."""

    def __init__(self, text: str) -> None:
        self._text, self._at = text, 0
        self._nodes = self._block()
        if self._at != len(text):
            raise Unknown(f"at {self._at}: {text[self._at :][:30]}")

    def render(self, variables: Mapping[str, Any]) -> str:
        """What the template makes of the variables."""
        return "".join(_run(self._nodes, dict(variables)))

    def _block(self) -> list[tuple[Any, ...]]:
        nodes: list[tuple[Any, ...]] = []
        while self._at < len(self._text):
            match = _TOKEN.match(self._text, self._at)
            token = match[0] if match else ""
            if token in ("#end", "#{else}"):
                break
            self._at += len(token)
            if token == "#set(":
                self._take("$")
                name = self._word()
                self._take("=")
                nodes.append(("set", name, self._expression()))
                self._take(")")
            elif token == "#foreach(":
                self._take("$")
                name = self._word()
                self._take("in")
                items = self._expression()
                self._take(")")
                nodes.append(("foreach", name, items, self._block()))
                self._take("#end")
            elif token == "#if(":
                test = self._expression()
                self._take(")")
                yes, no = self._block(), []
                if self._text.startswith("#{else}", self._at):
                    self._at += len("#{else}")
                    no = self._block()
                self._take("#end")
                nodes.append(("if", test, yes, no))
            elif token == "$":
                nodes.append(("value", self._reference()))
            elif token and token != "#":
                nodes.append(("text", token))
            else:
                raise Unknown(f"at {self._at}: {self._text[self._at - 1 :][:30]}")
        return nodes

    # ------------------------------------------------------------------ expressions
    def _space(self) -> None:
        while self._text[self._at : self._at + 1] == " ":
            self._at += 1

    def _take(self, wanted: str) -> None:
        self._space()
        if not self._text.startswith(wanted, self._at):
            raise Unknown(f"no {wanted!r} at {self._at}: {self._text[self._at :][:30]}")
        self._at += len(wanted)
        self._space() if wanted in ("=", "in", "(") else None

    def _word(self) -> str:
        match = _WORD.match(self._text, self._at)
        if not match:
            raise Unknown(f"no name at {self._at}")
        self._at = match.end()
        return match[0]

    def _expression(self) -> Callable[[dict[str, Any]], Any]:
        left = self._comparison()
        self._space()
        while self._text.startswith("||", self._at):
            self._at += 2
            left = _either(left, self._comparison())
            self._space()
        return left

    def _comparison(self) -> Callable[[dict[str, Any]], Any]:
        left = self._operand()
        self._space()
        for sign in ("==", ">"):
            if self._text.startswith(sign, self._at):
                self._at += len(sign)
                return _compared(sign, left, self._operand())
        return left

    def _operand(self) -> Callable[[dict[str, Any]], Any]:
        self._space()
        here = self._text[self._at]
        if here == "'":
            end = self._text.index("'", self._at + 1)
            literal, self._at = self._text[self._at + 1 : end], end + 1
            return lambda _: literal
        if here.isdigit():
            digits = re.compile(r"[0-9]+").match(self._text, self._at)
            assert digits
            self._at = digits.end()
            return lambda _: int(digits[0])
        self._take("$")
        return self._reference()

    def _reference(self) -> Callable[[dict[str, Any]], Any]:
        name = self._word()
        steps: list[tuple[str, list[Callable[[dict[str, Any]], Any]] | None]] = []
        while self._text.startswith(".", self._at) and _WORD.match(self._text, self._at + 1):
            self._at += 1
            member, arguments = self._word(), None
            if self._text.startswith("(", self._at):
                self._at += 1
                arguments = []
                self._space()
                if not self._text.startswith(")", self._at):
                    arguments.append(self._expression())
                self._take(")")
            steps.append((member, arguments))
        return lambda scope: _followed(scope, name, steps)


def _either(left: Callable[..., Any], right: Callable[..., Any]) -> Callable[[dict[str, Any]], Any]:
    return lambda scope: left(scope) or right(scope)


def _compared(sign: str, left: Callable[..., Any], right: Callable[..., Any]) -> Callable[[dict[str, Any]], Any]:
    return lambda scope: left(scope) == right(scope) if sign == "==" else left(scope) > right(scope)


def _followed(scope: dict[str, Any], name: str, steps: list[tuple[str, Any]]) -> Any:
    value = scope[name]
    for member, arguments in steps:
        given = None if arguments is None else [argument(scope) for argument in arguments]
        value = _member(value, member, given)
    return value


def _member(value: Any, name: str, given: list[Any] | None) -> Any:
    """A member of Java's String and Map, or of the variables; a call has arguments, a property has none."""
    known: dict[tuple[type, str], Callable[..., Any]] = {
        (str, "equalsIgnoreCase"): lambda other: value.lower() == other.lower(),
        (str, "length"): lambda: len(value.encode("utf-16-le")) // 2,
        (dict, "keySet"): lambda: list(value),
        (dict, "get"): lambda key: value[key],
    }
    if given is not None and (type(value), name) in known:
        return known[(type(value), name)](*given)
    if isinstance(value, dict) and name in value:
        found = value[name]
        return found(*given) if given is not None else found
    raise Unknown(f"{type(value).__name__}.{name}")


def _run(nodes: list[tuple[Any, ...]], scope: dict[str, Any]) -> list[str]:
    out: list[str] = []
    for kind, *node in nodes:
        if kind == "text":
            out.append(node[0])
        elif kind == "value":
            out.append(str(node[0](scope)))
        elif kind == "set":
            scope[node[0]] = node[1](scope)
        elif kind == "foreach":
            for item in node[1](scope):
                scope[node[0]] = item
                out += _run(node[2], scope)
        else:
            out += _run(node[1] if node[0](scope) else node[2], scope)
    return out


def variables(body: str, headers: dict[str, str], *, request_id: str, address: str) -> dict[str, Any]:
    """``$input``, ``$context`` and ``$util`` of one request."""
    return {
        "input": {"body": body, "params": lambda: {"header": headers}},
        "context": {"requestId": request_id, "identity": {"sourceIp": address}},
        "util": {
            "urlEncode": quote_plus,
            "base64Encode": lambda text: base64.b64encode(text.encode()).decode(),
        },
    }
