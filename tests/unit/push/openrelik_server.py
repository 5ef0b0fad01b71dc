"""A local server with the part of OpenRelik's REST API that a push uses, with the parameters and answers of its own code.

github.com/openrelik/openrelik-server, commit 49e40a4: src/auth/common.py (tokens), src/api/v1/folders.py, files.py and schemas.py.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import uvicorn
from fastapi import Depends, FastAPI, File, Header, HTTPException, Query, UploadFile
from pydantic import BaseModel

KEY = "refresh-EXAMPLE"


class FolderCreateRequest(BaseModel):
    """src/api/v1/schemas.py."""

    display_name: str
    parent_id: int | None = None
    storage_provider: str | None = None


class OpenRelik:
    """What the server knows. ``full`` counts how many chunks it cannot write, ``spent`` how many requests until a token has run out."""

    def __init__(self) -> None:
        self.url = ""
        self.folders: list[dict[str, Any]] = []
        self.files: dict[int, list[dict[str, Any]]] = {}
        self.bodies: dict[str, bytes] = {}
        self.parts: dict[str, dict[int, bytes]] = {}
        self.tokens: dict[str, int] = {}
        self.full = 0
        self.spent = 1000

    def folder(self, name: str, parent: int | None) -> dict[str, Any]:
        made = {"id": len(self.folders) + 1, "display_name": name, "parent": parent}
        self.folders.append(made)
        return made


def _app(kept: OpenRelik) -> FastAPI:
    app = FastAPI()

    def user(x_openrelik_access_token: Annotated[str, Header()] = "") -> None:
        left = kept.tokens.get(x_openrelik_access_token, 0)
        if left <= 0:
            raise HTTPException(401, "Token is missing from request")
        kept.tokens[x_openrelik_access_token] = left - 1

    known = [Depends(user)]

    @app.get("/auth/refresh")
    def refresh(x_openrelik_refresh_token: Annotated[str, Header()] = "") -> dict[str, str]:
        if x_openrelik_refresh_token != KEY:
            raise HTTPException(401, "Invalid API key")
        token = f"access-{len(kept.tokens)}"
        kept.tokens[token] = kept.spent
        return {"new_access_token": token, "new_csrf_token": "c"}

    @app.get("/api/v1/folders/all/", dependencies=known)
    def every(page: int = 1, page_size: int = 40, q: str | None = None) -> dict[str, Any]:
        found = [f for f in kept.folders if (q or "") in f["display_name"]]
        return {"folders": found, "page": page, "page_size": page_size, "total_count": len(found)}

    @app.post("/api/v1/folders/", status_code=201, dependencies=known)
    def root(wanted: FolderCreateRequest) -> dict[str, Any]:
        return kept.folder(wanted.display_name, None)

    @app.get("/api/v1/folders/{folder_id}/folders/", dependencies=known)
    def below(folder_id: int) -> list[dict[str, Any]]:
        return [f for f in kept.folders if f["parent"] == folder_id]

    @app.post("/api/v1/folders/{folder_id}/folders/", status_code=201, dependencies=known)
    def subfolder(folder_id: int, wanted: FolderCreateRequest) -> dict[str, Any]:
        return kept.folder(wanted.display_name, folder_id)

    @app.get("/api/v1/folders/{folder_id}/files/", dependencies=known)
    def listed(folder_id: int) -> list[dict[str, Any]]:
        return kept.files.get(folder_id, [])

    @app.post("/api/v1/files/upload", status_code=201, dependencies=known)
    async def upload(
        resumableChunkNumber: Annotated[int, Query()],
        resumableTotalChunks: Annotated[int, Query()],
        resumableIdentifier: Annotated[str, Query()],
        resumableFilename: Annotated[str, Query()],
        folder_id: Annotated[int, Query()],
        file: Annotated[UploadFile, File()],
    ) -> dict[str, Any] | None:
        if kept.full:
            kept.full -= 1
            raise HTTPException(503, "Failed to write chunk to disk")
        parts = kept.parts.setdefault(resumableIdentifier, {})
        parts[resumableChunkNumber] = await file.read()
        if len(parts) != resumableTotalChunks:
            return None
        body = b"".join(parts[n] for n in range(1, resumableTotalChunks + 1))
        made = {
            "id": len(kept.bodies) + 1,
            "display_name": resumableFilename,
            "filesize": len(body),
            "is_deleted": False,
        }
        kept.files.setdefault(folder_id, []).append(made)
        kept.bodies[resumableFilename] = body
        return made

    return app


@contextmanager
def openrelik() -> Iterator[OpenRelik]:
    """Serve on loopback for the block."""
    kept = OpenRelik()
    server = uvicorn.Server(uvicorn.Config(_app(kept), host="127.0.0.1", port=0, log_level="error", lifespan="off"))
    config = server.config
    listening = config.bind_socket()
    kept.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    try:
        yield kept
    finally:
        server.should_exit = True
        thread.join()
        listening.close()
