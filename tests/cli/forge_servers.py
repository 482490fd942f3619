"""The web interfaces of forges, as far as the workflows call them: what is called otherwise, or without the right to, is refused and remembered."""

from __future__ import annotations

import io
import json
import re
import ssl
import subprocess
import threading
import zipfile
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import parse_qs, urlsplit

from tests.cli.forge import ROOT_REPOSITORY, Forge, Note, Run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from tests.cli.forge_github import GitHub
    from tests.cli.forge_gitlab import GitLab

BOT = "github-actions[bot]"
GITHUB_LIMIT = 65_536
GITLAB_LIMIT = 1_000_000


class RefusedError(Exception):
    """A call that the forge answers with an error."""


def refuse(why: str) -> NoReturn:
    """Refuse a call."""
    raise RefusedError(why)


class Interface:
    """Answers requests about a forge. `refused` are the calls that were wrong."""

    def __init__(self, forge: Forge) -> None:
        """Answer for the forge."""
        self.forge = forge
        self.refused: list[str] = []
        self.base = ""

    def answer(self, method: str, path: str, query: Mapping[str, str], body: Mapping[str, Any], token: str) -> Any:  # noqa: ANN401 - JSON, or the bytes of a file
        """Return the answer; raises RefusedError."""
        raise NotImplementedError


def new_note(notes: list[Note], author: str, body: Mapping[str, Any], text: str, limit: int) -> Note:
    """Add a comment or an issue."""
    note = Note(100 + len(notes), author, str(body[text]), str(body.get("title", "")))
    if len(note.body) > limit:
        refuse(f"{text} is too long")
    notes.append(note)
    return note


class GitHubInterface(Interface):
    """api.github.com, with the rights that jobs ask for."""

    forge: GitHub

    def answer(self, method: str, path: str, query: Mapping[str, str], body: Mapping[str, Any], token: str) -> Any:  # noqa: ANN401 - as above
        """Return the answer to a job that may have it."""
        rights = self.forge.tokens[token]
        for call, pattern, needed, function in self._routes():
            match = re.fullmatch(f"/api/v3/repos/{ROOT_REPOSITORY}/{pattern}", path)
            if match is not None and call == method:
                for scope, level in needed.items():
                    if rights.get(scope) not in {level, "write"}:
                        refuse(f"the job may not {method} {path}: {scope} is {rights.get(scope)}")
                return function(match, query, body)
        refuse(f"{method} {path} is not known here")

    def _routes(self) -> list[tuple[str, str, dict[str, str], Callable[..., Any]]]:
        forge = self.forge
        return [
            ("GET", r"issues/(\d+)/comments", {"pull-requests": "read"}, lambda m, _q, _b: [
                {"id": n.number, "user": {"login": n.author}, "body": n.body}
                for n in forge.comments.setdefault(int(m[1]), [])
            ]),
            ("POST", r"issues/(\d+)/comments", {"pull-requests": "write"}, lambda m, _q, b: {
                "id": new_note(forge.comments.setdefault(int(m[1]), []), BOT, b, "body", GITHUB_LIMIT).number
            }),
            ("PATCH", r"issues/comments/(\d+)", {"pull-requests": "write"}, self._comment),
            ("GET", r"commits/(\w+)/pulls", {"pull-requests": "read", "contents": "read"}, lambda m, _q, _b: [
                {
                    "number": r.number,
                    "merged_at": "2026-01-01T00:00:00Z" if r.merged_as else None,
                    "merge_commit_sha": r.merged_as,
                    "head": {"sha": r.head},
                }
                for r in forge.requests
                if m[1] in {r.merged_as, r.head}
            ]),
            ("GET", "actions/runs", {"actions": "read"}, self._runs),
            ("GET", r"actions/runs/(\d+)/artifacts", {"actions": "read"}, self._artifacts),
            ("GET", r"actions/artifacts/(\d+)/([\w-]+)/zip", {"actions": "read"}, self._zip),
            ("GET", "issues", {"issues": "read"}, lambda _m, q, _b: [
                {"number": n.number, "body": n.body}
                for n in forge.issues
                if n.is_open and n.author == q["creator"]
            ]),
            ("POST", "issues", {"issues": "write"}, lambda _m, _q, b: {
                "number": new_note(forge.issues, BOT, b, "body", GITHUB_LIMIT).number
            }),
            ("PATCH", r"issues/(\d+)", {"issues": "write"}, self._issue),
        ]  # fmt: skip

    def _comment(self, match: re.Match[str], _query: object, body: Mapping[str, Any]) -> Any:  # noqa: ANN401 - as above
        note = next(n for notes in self.forge.comments.values() for n in notes if n.number == int(match[1]))
        if note.author != BOT:
            refuse("that comment is of somebody else")
        note.body = body["body"]
        return {}

    def _issue(self, match: re.Match[str], _query: object, body: Mapping[str, Any]) -> Any:  # noqa: ANN401 - as above
        note = next(n for n in self.forge.issues if n.number == int(match[1]))
        note.body = body.get("body", note.body)
        note.is_open = body.get("state", "open") == "open"
        return {}

    def _runs(self, _match: object, query: Mapping[str, str], _body: object) -> Any:  # noqa: ANN401 - as above
        found = [
            run
            for run in reversed(self.forge.runs)
            if run.event == query["event"] and self._head(run) == query["head_sha"]
        ]
        return {
            "workflow_runs": [
                {
                    "id": run.number,
                    "path": self.forge.file,
                    "head_repository": {"full_name": "mallory/shares" if run.is_fork else ROOT_REPOSITORY},
                }
                for run in found
            ]
        }

    def _head(self, run: Run) -> str:
        return run.commit if run.request is None else self.forge.requests[run.request - 1].head

    def _artifacts(self, match: re.Match[str], _query: object, _body: object) -> Any:  # noqa: ANN401 - as above
        run = next(run for run in self.forge.runs if run.number == int(match[1]))
        url = f"{self.base}/api/v3/repos/{ROOT_REPOSITORY}/actions/artifacts/{run.number}"
        found = [
            {"name": name, "size_in_bytes": 1, "expired": False, "archive_download_url": f"{url}/{name}/zip"}
            for name in run.artifacts
        ]
        return {"total_count": len(found), "artifacts": found}

    def _zip(self, match: re.Match[str], _query: object, _body: object) -> bytes:
        run = next(run for run in self.forge.runs if run.number == int(match[1]))
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            for name, content in run.artifacts[match[2]].items():
                archive.writestr(name, content)
        return packed.getvalue()


class GitLabInterface(Interface):
    """The version 4 of GitLab's interface, for the token of the project."""

    forge: GitLab
    me = 77

    def answer(self, method: str, path: str, query: Mapping[str, str], body: Mapping[str, Any], token: str) -> Any:  # noqa: ANN401 - as above
        """Return the answer."""
        if token != self.forge.variables["SHARECTL_TOKEN"]:
            refuse("the token is another")
        if (method, path) == ("GET", "/api/v4/user"):
            return {"id": self.me}
        for call, pattern, function in self._routes():
            match = re.fullmatch(f"/api/v4/projects/7/{pattern}", path)
            if match is not None and call == method:
                return function(match, query, body)
        refuse(f"{method} {path} is not known here")

    def _routes(self) -> list[tuple[str, str, Callable[..., Any]]]:
        forge, me = self.forge, str(self.me)
        return [
            ("GET", r"merge_requests/(\d+)/notes", lambda m, _q, _b: [
                {"id": n.number, "author": {"id": int(n.author)}, "body": n.body}
                for n in forge.comments.setdefault(int(m[1]), [])
            ]),
            ("POST", r"merge_requests/(\d+)/notes", lambda m, _q, b: {
                "id": new_note(forge.comments.setdefault(int(m[1]), []), me, b, "body", GITLAB_LIMIT).number
            }),
            ("PUT", r"merge_requests/(\d+)/notes/(\d+)", self._note),
            ("GET", r"repository/commits/(\w+)/merge_requests", lambda m, _q, _b: [
                {
                    "iid": r.number,
                    "state": "merged",
                    "source_project_id": 8 if r.is_fork else 7,
                    "target_project_id": 7,
                }
                for r in forge.requests
                if r.merged_as == m[1]
            ]),
            ("GET", r"merge_requests/(\d+)", lambda m, _q, _b: {"sha": forge.requests[int(m[1]) - 1].head}),
            ("GET", r"merge_requests/(\d+)/pipelines", lambda m, _q, _b: [
                {"id": run.number, "sha": run.commit, "source": run.event}
                for run in reversed(forge.runs)
                if run.request == int(m[1])
            ]),
            ("GET", r"pipelines/(\d+)/jobs", lambda m, _q, _b: [
                {"id": job.number, "name": job.name, "status": {"failure": "failed"}.get(job.result, job.result)}
                for run in forge.runs
                if run.number == int(m[1])
                for job in run.jobs.values()
                if job.result != "skipped"
            ]),
            ("GET", r"jobs/(\d+)/artifacts/(.+)", self._artifact),
            ("GET", "issues", lambda _m, q, _b: [
                {"iid": n.number, "description": n.body}
                for n in forge.issues
                if n.is_open and n.author == q["author_id"] and q["search"] in n.body
            ]),
            ("POST", "issues", lambda _m, _q, b: {
                "iid": new_note(forge.issues, me, b, "description", GITLAB_LIMIT).number
            }),
            ("PUT", r"issues/(\d+)", self._issue),
        ]  # fmt: skip

    def _note(self, match: re.Match[str], _query: object, body: Mapping[str, Any]) -> Any:  # noqa: ANN401 - as above
        note = next(n for n in self.forge.comments[int(match[1])] if n.number == int(match[2]))
        if note.author != str(self.me):
            refuse("that comment is of somebody else")
        note.body = body["body"]
        return {}

    def _issue(self, match: re.Match[str], _query: object, body: Mapping[str, Any]) -> Any:  # noqa: ANN401 - as above
        note = next(n for n in self.forge.issues if n.number == int(match[1]))
        note.body = body.get("description", note.body)
        note.is_open = body.get("state_event") != "close"
        return {}

    def _artifact(self, match: re.Match[str], _query: object, _body: object) -> bytes:
        for run in self.forge.runs:
            for job in run.jobs.values():
                if job.number == int(match[1]) and job.result != "skipped":
                    return run.artifacts[job.name][match[2]]
        refuse(f"there is no job {match[1]}")


@contextmanager
def serving(interface: Interface, certificate: Path | None = None) -> Iterator[int]:
    """Answer on a port of this machine, which is yielded; with a certificate, by HTTPS."""

    class Handler(BaseHTTPRequestHandler):
        """One request."""

        def _handle(self) -> None:
            url = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(url.query).items()}
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            is_form = self.headers.get("Content-Type", "").startswith("application/x-www-form-urlencoded")
            body = {name: values[0] for name, values in parse_qs(raw).items()} if is_form else json.loads(raw or "{}")
            # The one header that clients keep from another host which they are sent on to.
            token = self.headers.get("Authorization", "").rpartition(" ")[2]
            try:
                found = interface.answer(self.command, url.path, query, body, token)
            except (RefusedError, LookupError, StopIteration) as problem:
                interface.refused.append(f"{self.command} {self.path}: {problem!r}")
                self.send_response(404)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            if isinstance(found, list):
                found, more = self._page(found, url.path, query)
            else:
                more = ""
            content = found if isinstance(found, bytes) else json.dumps(found).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/zip" if isinstance(found, bytes) else "application/json")
            self.send_header("Content-Length", str(len(content)))
            if more:
                self.send_header("Link", f'<{more}>; rel="next"')
            self.end_headers()
            self.wfile.write(content)

        def _page(self, found: list[Any], path: str, query: Mapping[str, str]) -> tuple[list[Any], str]:
            size, page = 2, int(query.get("page", "1"))  # of two, so that whatever is looked for stands on another page
            asked = "&".join(f"{name}={value}" for name, value in query.items() if name != "page")
            more = f"{interface.base}{path}?{asked}&page={page + 1}" if len(found) > size * page else ""
            return found[size * (page - 1) : size * page], more

        do_GET = do_POST = do_PATCH = do_PUT = _handle  # noqa: N815 - as the library calls them

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    scheme = "http"
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, certificate.with_suffix(".key"))
        # The handshake is left to the thread of the connection, so that a slow one keeps no other waiting.
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        scheme = "https"
    port: int = server.server_address[1]
    interface.base = f"{scheme}://localhost:{port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def make_certificate(folder: Path) -> Path:
    """Make a certificate for `localhost` that signs itself; return its file."""
    certificate = folder / "localhost.pem"
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", "localhost.key"]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "2"]
    command = ["openssl", "req", "-x509", *key, *names, "-out", certificate.name]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return certificate
