"""A stand-in for the Hugging Face Hub on this machine: what MONAI's verbs ask of its API, with files in memory."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

_MODEL = r"/api/models/(?P<repo>[^/]+/[^/]+)"


class Hub:
    """Repositories of one branch.

    Attributes:
        commits: repository -> commit -> path -> content.
        tags: repository -> tag -> commit.
        private: the repositories that were created as private.
    """

    def __init__(self) -> None:
        self.commits: dict[str, dict[str, dict[str, bytes]]] = {}
        self.tags: dict[str, dict[str, str]] = {}
        self.private: set[str] = set()

    def create(self, repo: str, visibility: str) -> None:
        if repo not in self.commits:
            self.commits[repo], self.tags[repo] = {_commit(b""): {}}, {}
            self.private |= {repo} if visibility == "private" else set()

    def commit(self, repo: str, lines: list[dict[str, Any]]) -> str:
        files = dict(self.files(repo, "main"))
        for line in lines:
            if line["key"] == "file":
                files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
        name = _commit(json.dumps(lines).encode())
        self.commits[repo][name] = files
        return name

    def revision(self, repo: str, revision: str) -> str | None:
        """The commit of a branch, tag or commit."""
        commits = self.commits.get(repo, {})
        if revision == "main" and commits:
            return list(commits)[-1]
        return self.tags.get(repo, {}).get(revision, revision if revision in commits else None)

    def files(self, repo: str, revision: str) -> dict[str, bytes]:
        return self.commits[repo][self.revision(repo, revision) or ""]


def _commit(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments: Any) -> None:
        pass

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = unquote(urlsplit(self.path).path)
        if path == "/api/validate-yaml":
            self._json({"errors": [], "warnings": []})
        elif path == "/api/repos/create":
            asked = json.loads(body)
            repo = f"{asked['organization']}/{asked['name']}"
            self.hub.create(repo, asked.get("visibility", "public"))
            self._json({"url": f"http://{self.headers['Host']}/{repo}", "name": repo, "id": repo})
        elif found := re.fullmatch(f"{_MODEL}/preupload/main", path):
            asked = [one["path"] for one in json.loads(body)["files"]]
            self._json({"files": [{"path": one, "uploadMode": "regular", "shouldIgnore": False} for one in asked]})
        elif found := re.fullmatch(f"{_MODEL}/commit/main", path):
            name = self.hub.commit(found["repo"], [json.loads(line) for line in body.splitlines()])
            address = f"http://{self.headers['Host']}/{found['repo']}/commit/{name}"
            self._json({"success": True, "commitOid": name, "commitUrl": address, "hookOutput": ""})
        elif found := re.fullmatch(f"{_MODEL}/tag/main", path):
            commit = self.hub.revision(found["repo"], "main") or ""
            self.hub.tags[found["repo"]][json.loads(body)["tag"]] = commit
            self._json({})
        else:
            self._json({"error": path}, 404)

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        if found := re.fullmatch(f"{_MODEL}/refs", path):
            self._refs(found["repo"])
        elif found := re.fullmatch(f"{_MODEL}/(?:revision|tree)/(?P<revision>[^/]+)", path):
            self._listing(found["repo"], found["revision"], "/tree/" in path)
        elif found := re.fullmatch(r"/(?P<repo>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<file>.+)", path):
            self._file(found["repo"], found["revision"], found["file"])
        else:
            self._json({"error": path}, 404)

    do_HEAD = do_GET

    def _refs(self, repo: str) -> None:
        def reference(kind: str, name: str, commit: str | None) -> dict[str, Any]:
            return {"name": name, "ref": f"refs/{kind}/{name}", "targetCommit": commit}

        tags = [reference("tags", name, commit) for name, commit in self.hub.tags[repo].items()]
        branches = [reference("heads", "main", self.hub.revision(repo, "main"))]
        self._json({"branches": branches, "tags": tags, "converts": []})

    def _listing(self, repo: str, revision: str, tree: bool) -> None:
        commit = self.hub.revision(repo, revision)
        if commit is None:
            self._missing("RepoNotFound" if repo not in self.hub.commits else "RevisionNotFound")
            return
        files = self.hub.commits[repo][commit]
        if tree:
            known = {path: {"size": len(content), "oid": _commit(content)} for path, content in files.items()}
            self._json([{"type": "file", "path": path, **facts} for path, facts in known.items()])
            return
        self._json({"id": repo, "modelId": repo, "sha": commit, "siblings": [{"rfilename": path} for path in files]})

    def _file(self, repo: str, revision: str, file: str) -> None:
        commit = self.hub.revision(repo, revision)
        content = self.hub.commits.get(repo, {}).get(commit or "", {}).get(file)
        if content is None:
            self._missing("EntryNotFound")
            return
        self._answer(content, 200, {"X-Repo-Commit": commit, "ETag": f'"{_commit(content)}"'})

    def _missing(self, code: str) -> None:
        self._answer(b"", 404, {"X-Error-Code": code, "X-Error-Message": code})

    def _json(self, content: Any, status: int = 200) -> None:
        self._answer(json.dumps(content).encode(), status, {"Content-Type": "application/json"})

    def _answer(self, content: bytes, status: int, headers: dict[str, Any]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": len(content)}.items():
            self.send_header(name, str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


@contextmanager
def served() -> Iterator[tuple[Hub, str]]:
    """A hub and its address, as long as the block lasts."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield hub, f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
