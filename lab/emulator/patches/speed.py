"""What moto computes anew for every request, and the lock that makes its read-modify-write calls safe."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterable
from typing import Any

import moto.backends
import moto.core.responses
import moto.core.utils
from moto.core.responses import BaseResponse
from moto.core.serialize import AttributePicker, XFormedAttributePicker
from moto.moto_server import werkzeug_app

from lab.emulator.patches.patching import replace

# services whose handlers read, decide and write without a lock of their own
LOCKED_SERVICES = frozenset({"dynamodb", "ec2", "ssm", "ebs", "autoscaling", "kms", "iam", "sts"})
_MISSING = object()
_locks = {service: threading.RLock() for service in LOCKED_SERVICES}


def service_lock(service: str) -> threading.RLock:
    """The lock under which all calls of a service run; take it to look at its state from another thread."""
    return _locks[service]


def _cached_host(original: Callable[..., Any]) -> Callable[..., Any]:
    known: dict[str, Any] = {}

    def get_backend_for_host(self: Any, host: str | None) -> Any:
        if host is None:
            return None
        if host not in known:
            backend = original(self, host)
            if backend is None:
                return None
            known[host] = backend
        return known[host]

    return get_backend_for_host


def _locked_call(original: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def call_action(self: BaseResponse) -> Any:
        lock = _locks.get(self.service_name or "")
        if lock is None:
            return original(self)
        with lock:
            return original(self)

    return call_action


def _cached_keys(original: Callable[..., Iterable[str]]) -> Callable[..., Iterable[str]]:
    known: dict[tuple[Any, ...], tuple[str, ...]] = {}

    def get_possible_keys(self: Any, context: Any) -> tuple[str, ...]:
        shape = context.shape
        parent = getattr(shape, "parent", None)
        name = (
            type(context.obj),
            context.key,
            context.service_model and context.service_model.service_name,
            shape is not None and (shape.name, shape.serialization.get("name")),
            parent is not None and parent.name,
        )
        keys = known.get(name)
        if keys is None:
            keys = known[name] = tuple(dict.fromkeys(original(self, context)))
        return keys

    return get_possible_keys


def _pick_attribute(_original: Callable[..., Any]) -> Callable[..., Any]:
    known: dict[tuple[int, int, str], str | None] = {}

    def pick(self: Any, context: Any) -> Any:
        value = None
        for key in self.get_possible_keys(context):
            found = moto.core.utils.get_value(context.obj, key, _MISSING)
            if found is not _MISSING:
                value = found
                break
        transformers = self.response_transformers
        path = f"{context.key_path}.{context.key}"
        name = (id(transformers), len(transformers), path)
        if name not in known:
            # stock moto compares every path with every transformer, for every field of every answer
            known[name] = next((end for end in transformers if path.endswith(end)), None)
        end = known[name]
        return value if end is None else transformers[end](value)

    return pick


def apply() -> None:
    """Install the caches and the locks."""
    replace(XFormedAttributePicker, "get_possible_keys", _cached_keys)
    replace(AttributePicker, "__call__", _pick_attribute)
    modules = frozenset(moto.backends.list_of_moto_modules())
    replace(moto.backends, "list_of_moto_modules", lambda _original: lambda: modules)
    names = functools.lru_cache(None)(lambda cls: frozenset(moto.core.utils.method_names_from_class(cls)))
    replace(moto.core.responses, "method_names_from_class", lambda _original: names)
    replace(moto.core.responses, "camelcase_to_underscores", functools.lru_cache(8192))
    replace(werkzeug_app.DomainDispatcherApplication, "get_backend_for_host", _cached_host)
    replace(BaseResponse, "call_action", _locked_call)
