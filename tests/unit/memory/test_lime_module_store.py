"""The list of modules is read only when there is one, and only as it was signed."""

from __future__ import annotations

import pytest

from forensics.custody.signed_documents import SignatureError, SignedDocuments
from forensics.errors import ConfigurationError
from forensics.memory.lime_module_store import LimeModuleStore

KEY = "lists/lime.yaml"
LISTED = f'version: 1\nmodules: [{{kernel: 6.1.0, architecture: x86_64, key: a.ko, sha256: "{"a" * 64}"}}]\n'.encode()


class Documents(SignedDocuments):
    """Signed documents of this process."""

    def __init__(self, held: dict[str, bytes]) -> None:
        self._bucket = "tools"
        self.held = held

    def read(self, key: str) -> bytes:
        """The document, unless its signature is wrong."""
        if key not in self.held:
            raise SignatureError(f"{self.origin(key)} is not what was signed")
        return self.held[key]


def test_the_modules_of_the_signed_list() -> None:
    (module,) = LimeModuleStore(Documents({KEY: LISTED}), key=KEY).modules()
    assert (module.kernel, module.architecture, module.key) == ("6.1.0", "x86_64", "a.ko")


def test_without_a_key_nothing_is_read() -> None:
    assert LimeModuleStore(Documents({}), key="").modules() == ()


def test_a_list_that_is_not_what_was_signed_is_not_read() -> None:
    with pytest.raises(SignatureError, match=r"s3://tools/lists/lime\.yaml is not what was signed"):
        LimeModuleStore(Documents({}), key=KEY).modules()


def test_a_list_of_another_form_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"s3://tools/lists/lime\.yaml"):
        LimeModuleStore(Documents({KEY: b"version: 2\n"}), key=KEY).modules()
