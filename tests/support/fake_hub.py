"""A small Hugging Face hub on the loopback interface, asked by the real client."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from support.loopback import Call, Reply, Server

TOKEN = "hf_canary"
COMMIT = "a" * 40


@dataclass
class Repository:
    """Commits by name, oldest first; branches; and who may read it.

    A `gated` one refuses everybody but those in `readers`.
    """

    commits: dict[str, dict[str, bytes]]
    branches: dict[str, str] = field(default_factory=dict)
    gated: bool = False
    readers: tuple[str, ...] = ()

    @property
    def main(self) -> str:
        return self.branches.get("main", list(self.commits)[-1])

    def resolved(self, revision: str) -> str | None:
        if revision in self.commits:
            return revision
        return self.main if revision == "main" else self.branches.get(revision)


@dataclass
class Hub:
    """Data sets and models by id, what goes wrong, and what was asked.

    `broken` maps a piece of a path to the reply that it gets instead; the body of what holds the
    piece `cut` ends after ten bytes.
    """

    datasets: dict[str, Repository] = field(default_factory=dict)
    models: dict[str, Repository] = field(default_factory=dict)
    broken: dict[str, Reply] = field(default_factory=dict)
    cut: str | None = None
    calls: list[Call] = field(default_factory=list)
    url: str = ""

    def asked(self, piece: str = "") -> list[str]:
        """The paths that were asked for, in order."""
        return [call.path for call in self.calls if piece in call.path]

    def reply(self, call: Call) -> Reply:
        self.calls.append(call)
        for piece, reply in self.broken.items():
            if piece in call.path:
                return reply
        reply = self._answer(call)
        if self.cut is not None and self.cut in call.path:
            reply.cut = 10
        return reply

    def _answer(self, call: Call) -> Reply:
        path = urlsplit(call.path).path.strip("/")
        parts = [unquote(part) for part in path.split("/")]
        if parts[0] == "api":
            shelf = self.datasets if parts[1] == "datasets" else self.models
            return self._api(shelf, parts[2:], call)
        if parts[0] == "datasets":
            return self._file(self.datasets, parts[1:], call)
        return self._file(self.models, parts, call)

    def _api(self, shelf: dict[str, Repository], parts: list[str], call: Call) -> Reply:
        repository = shelf.get("/".join(parts[:2]))
        if repository is None:
            return _refused(401, "RepoNotFound")
        match parts[2:]:
            case ["auth-check"]:
                return self._unread(repository, call) or Reply(200, {})
            case [] | ["revision", _]:
                commit = repository.resolved(parts[3] if parts[2:] else "main")
                if commit is None:
                    return _refused(404, "RevisionNotFound")
                names = [{"rfilename": name} for name in repository.commits[commit]]
                return Reply(200, {"id": "/".join(parts[:2]), "sha": commit, "siblings": names})
            case ["tree", revision, *_]:
                files = repository.commits[repository.resolved(revision) or ""]
                rows = [_entry(name, data) for name, data in files.items()]
                return Reply(200, rows)
        return Reply(404, {"error": "no such route"})

    def _file(self, shelf: dict[str, Repository], parts: list[str], call: Call) -> Reply:
        repository = shelf.get("/".join(parts[:2]))
        if repository is None or len(parts) < 5 or parts[2] != "resolve":
            return _refused(401, "RepoNotFound")
        refused = self._unread(repository, call)
        if refused is not None:
            return refused
        commit = repository.resolved(parts[3])
        data = None if commit is None else repository.commits[commit].get("/".join(parts[4:]))
        if commit is None or data is None:
            return _refused(404, "EntryNotFound")
        headers = {
            "ETag": f'"{_etag(data)}"',
            "X-Repo-Commit": commit,
            "Content-Type": "application/octet-stream",
            "Accept-Ranges": "bytes",
        }
        start = int(call.headers.get("range", "bytes=0-")[6:].split("-")[0])
        return Reply(206 if start else 200, data[start:], headers)

    def _unread(self, repository: Repository, call: Call) -> Reply | None:
        token = call.headers.get("authorization", "").removeprefix("Bearer ")
        if token and token not in (TOKEN, *repository.readers):
            return Reply(
                401, {}, {"X-Error-Message": "Invalid credentials in Authorization header"}
            )
        if repository.gated and token not in repository.readers:
            return _refused(403 if token else 401, "GatedRepo")
        return None

    @contextmanager
    def running(self, monkeypatch: pytest.MonkeyPatch, cache: Any) -> Iterator[Hub]:
        """The hub that the client asks, with a cache of its own and no token."""
        from huggingface_hub import close_session

        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(cache / "no token"))
        monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda seconds: None)
        server = Server(self.reply)
        with server.running():
            self.url = server.url
            monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", server.url)
            monkeypatch.setattr(
                "huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE",
                server.url + "/{repo_id}/resolve/{revision}/{filename}",
            )
            close_session()
            yield self
        close_session()


def _etag(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def _entry(name: str, data: bytes) -> dict[str, Any]:
    return {"type": "file", "path": name, "size": len(data), "oid": _etag(data)}


def _refused(status: int, code: str) -> Reply:
    return Reply(status, {"error": code}, {"X-Error-Code": code, "X-Error-Message": code})


def rows(header: str, lines: list[str]) -> bytes:
    """A CSV file."""
    return "\n".join([header, *lines, ""]).encode()


def as_json(value: object) -> bytes:
    return json.dumps(value).encode()
