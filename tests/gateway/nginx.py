"""Debian's nginx with the configuration of docs/operations/nginx.md, in front of a small API."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import subprocess
import time
from dataclasses import dataclass
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from types import TracebackType
from typing import Any

from benchmarks.installation import HOST, free_port
from config.environment import BASE_DIR

DOCUMENT = BASE_DIR / "docs/operations/nginx.md"
OPEN_MARK = "#open "
START_SECONDS_MAX = 10
AROUND = """
daemon off;
{user}
worker_processes 2;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 512; }}
http {{
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/tollgate.conf;
}}
"""


def documented() -> str:
    """The configuration as the document has it."""
    (found,) = re.findall(r"```nginx\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    return str(found)


def configured(text: str, changes: dict[str, str]) -> str:
    """The configuration with what an operator has to change, each of which stands in it once."""
    for old, new in changes.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


@dataclass
class Answer:
    """What a caller got."""

    status: int
    headers: Message
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Upstream:
    """The API behind the gateway: it remembers what reached it, by the request's id.

    `/use/VALUE` answers with that usage, `/fail/STATUS` with that status. While it `is_down` it hangs up.
    """

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []
        self.is_down = False
        self.port = free_port()
        upstream, lock = self, Lock()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if upstream.is_down:
                    self.close_connection = True
                    return
                with lock:
                    upstream.seen.append((self.headers["X-Request-Id"], self.path))
                _, verb, value, *_ = [*self.path.split("/", 2), ""]
                self.send_response(int(value) if verb == "fail" else 200)
                if verb == "use":
                    self.send_header("X-Tollgate-Usage", value)
                self.send_header("Content-Length", "5")
                self.end_headers()
                self.wfile.write(b"hello")

            do_POST = do_GET

            def log_message(self, *arguments: Any) -> None:
                """Silence."""

        self._server = ThreadingHTTPServer((HOST, self.port), Handler)
        Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()


class Nginx:
    """nginx in a folder of its own, as a context manager."""

    def __init__(self, folder: Path, tollgate: int, upstream: int, key: str, *, fails_open: bool) -> None:
        self.folder, self.port = folder, free_port()
        self.log = folder / "tollgate.log"
        text = documented().replace(OPEN_MARK, "" if fails_open else OPEN_MARK)
        changes = {
            "127.0.0.1:8000": f"{HOST}:{tollgate}",
            "127.0.0.1:9000": f"{HOST}:{upstream}",
            "listen 8080;": f"listen {HOST}:{self.port};",
            "tg_your_integration_key": key,
            "/var/log/nginx/tollgate.log": str(self.log),
        }
        folder.mkdir()
        (folder / "tollgate.conf").write_text(configured(text, changes))
        user = "user root;" if os.geteuid() == 0 else ""
        (folder / "nginx.conf").write_text(AROUND.format(folder=folder, user=user))

    def __enter__(self) -> Nginx:
        program = shutil.which("nginx") or "/usr/sbin/nginx"
        command = [program, "-p", str(self.folder), "-c", "nginx.conf", "-e", str(self.folder / "error.log")]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + START_SECONDS_MAX
        while True:
            try:
                self.get("/", "nobody")
            except OSError:
                assert self._process.poll() is None, (self.folder / "error.log").read_text()
                assert time.monotonic() < deadline, "nginx does not answer"
                time.sleep(0.05)
            else:
                return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait()

    def rotate(self, name: str) -> None:
        """What logrotate does: rename the log, and let nginx open a new one."""
        self.log.rename(self.folder / name)
        subprocess.run(["kill", "-USR1", (self.folder / "nginx.pid").read_text().strip()], check=True)
        deadline = time.monotonic() + START_SECONDS_MAX
        while not self.log.exists():
            assert time.monotonic() < deadline, "nginx opens no new log"
            time.sleep(0.02)

    def get(self, path: str, key: str, **headers: str) -> Answer:
        """One call with a caller's key, on a connection of its own."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.send("GET", path, {"Authorization": f"Bearer {key}"} | named)

    def send(self, method: str, path: str, headers: dict[str, str], body: bytes | None = None) -> Answer:
        """One call, as it is given."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=30)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    def lines(self, *names: str) -> list[dict[str, str]]:
        """What it has logged, in these files or in the log of now."""
        paths = [self.folder / name for name in names] or [self.log]
        return [json.loads(line) for path in paths for line in path.read_text().splitlines()]
