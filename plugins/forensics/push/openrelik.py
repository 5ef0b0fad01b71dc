"""The plug for OpenRelik: a folder for the case, with what the tools made, the report, the timeline and pointers to the evidence.

Its REST API as its server has it (github.com/openrelik/openrelik-server, commit 49e40a4):

* ``GET /auth/refresh`` with the API key as ``x-openrelik-refresh-token`` gives an access token, sent as ``x-openrelik-access-token`` (``src/auth/common.py``)
* ``GET /api/v1/folders/all/?q=…``, ``POST /api/v1/folders/``, ``GET`` and ``POST /api/v1/folders/<id>/folders/``, ``GET /api/v1/folders/<id>/files/`` (``src/api/v1/folders.py``)
* ``POST /api/v1/files/upload`` in chunks from 1 on, named by ``resumable…`` in the query (``src/api/v1/files.py``)
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from forensics.errors import PushError
from forensics.push.plug import Arrived, PushedCase, PushPlug, pieces
from forensics.push.server import GOOD, Answer, Server

CHUNK = 8 * 1024 * 1024
TRIES = 3  # of a chunk that the server could not write (503); it gives up itself after five


class OpenRelikPlug(PushPlug):
    """OpenRelik, by an API key; ``folder_id`` of the secret chooses the folder in which the cases' folders are."""

    kind = "openrelik"

    def push(self, case: PushedCase) -> Arrived:
        """Find or make the folder; upload what is not in it yet."""
        with Server(self.access, self.deadline) as server:
            self._log_in(server)
            folder = self._folder(server, case)
            there = {(f.get("display_name"), f.get("filesize")) for f in self._listed(server, folder)}
            sent, lines = 0, 0
            for name, file, entries in _files(case):
                size = file.stat().st_size
                if size and (name, size) not in there:
                    self._upload(server, file, folder=folder, name=name)
                    sent, lines = sent + 1, lines + entries
            return Arrived(
                f"{server.base}/folder/{folder}",
                entries=lines,
                objects=sent,
                note="" if sent else "everything was there already",
            )

    def _log_in(self, server: Server) -> None:
        if not self.access.api_key:
            raise PushError("its secret has no api_key", next_action="make an API key in OpenRelik (docs/push.md)")
        server.session.headers.pop("x-openrelik-access-token", None)
        said = server.call("GET", "/auth/refresh", headers={"x-openrelik-refresh-token": self.access.api_key}).json()
        token = said.get("new_access_token") if isinstance(said, dict) else None
        if not isinstance(token, str) or not token:
            raise PushError(
                f"{server.host} gave no access token", next_action="make a new API key, put it into the secret"
            )
        server.session.headers["x-openrelik-access-token"] = token

    def _call(self, server: Server, method: str, path: str, *, also: tuple[int, ...] = (), **given: Any) -> Answer:
        """A request; a token that has run out meanwhile is renewed once. ``also``: further answers that are good."""
        said = server.call(method, path, good=(*GOOD, *also, 401), **given)
        if said.status == 401:
            self._log_in(server)
            said = server.call(method, path, good=(*GOOD, *also), **given)
        return said

    def _folder(self, server: Server, case: PushedCase) -> int:
        parent = self.access.folder_id
        if parent:
            path = f"/api/v1/folders/{parent}/folders/"
            found = self._call(server, "GET", path).json()
        else:
            path = "/api/v1/folders/"
            asked = {"q": case.case.case_id, "page": "1", "page_size": "100"}
            said = self._call(server, "GET", "/api/v1/folders/all/", params=asked).json()
            found = said.get("folders") if isinstance(said, dict) else None
        for item in found if isinstance(found, list) else []:
            if isinstance(item, dict) and item.get("display_name") == case.title and isinstance(item.get("id"), int):
                return int(item["id"])
        made = self._call(server, "POST", path, json={"display_name": case.title}).json()
        if not isinstance(made, dict) or not isinstance(made.get("id"), int):
            raise PushError(
                f"{server.host} made no folder", next_action="see that the key's user may make folders, then try again"
            )
        return int(made["id"])

    def _listed(self, server: Server, folder: int) -> list[dict[str, Any]]:
        found = self._call(server, "GET", f"/api/v1/folders/{folder}/files/").json()
        return [f for f in found if isinstance(f, dict) and not f.get("is_deleted")] if isinstance(found, list) else []

    def _upload(self, server: Server, file: Path, *, folder: int, name: str) -> None:
        size, given = file.stat().st_size, uuid.uuid4().hex
        total = math.ceil(size / CHUNK)
        for number, piece in enumerate(pieces(file, CHUNK), start=1):
            query = {
                "folder_id": folder, "resumableChunkNumber": number, "resumableTotalChunks": total, "resumableChunkSize": CHUNK,
                "resumableCurrentChunkSize": len(piece), "resumableTotalSize": size, "resumableIdentifier": given, "resumableFilename": name,
            }  # fmt: skip
            files = {"file": (name, piece, "application/octet-stream")}
            for left in reversed(range(TRIES)):
                also = (503,) if left else ()
                if (
                    self._call(server, "POST", "/api/v1/files/upload", also=also, params=query, files=files).status
                    in GOOD
                ):
                    break


def _files(case: PushedCase) -> Iterator[tuple[str, Path, int]]:
    """Name, file and number of entries of everything that goes there, one at a time."""
    with _written(case.pointers()) as file:
        yield f"evidence-{case.version}.json", file, 0
    whole, lines = case.timeline()
    yield f"timeline-{case.version}.jsonl", whole, lines
    for item in case.objects:
        with case.opened(item) as copy:
            if copy is not None:
                yield item.name, copy, 0


@contextmanager
def _written(body: bytes) -> Iterator[Path]:
    with TemporaryDirectory(prefix="forensics-push-") as folder:
        file = Path(folder) / "body"
        file.write_bytes(body)
        yield file
