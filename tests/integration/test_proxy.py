"""A node behind nginx, with the file that deploy/ has for it: as clients from elsewhere see it."""

from __future__ import annotations

import http.client
import json
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.certificates import Authority
from tests.support.nodes import RunningNode, aiplat, chat, wait_for_model
from tests.support.upstreams import free_port
from tests.support.waiting import eventually

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin") or ""
FILE = Path(__file__).parents[2] / "deploy" / "proxy" / "nginx.conf"
NAME = "ai.example"

pytestmark = pytest.mark.skipif(not NGINX, reason="nginx is not installed")


class Proxied:
    """The node, and the way to it."""

    def __init__(self, node: RunningNode, port: int, context: ssl.SSLContext, key: str) -> None:
        self.node, self.port, self.context, self.key = node, port, context, key

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, bytes]:
        connection = http.client.HTTPSConnection(
            "localhost", self.port, timeout=30, context=self.context
        )
        data = None if body is None else json.dumps(body).encode()
        sent = {"Host": NAME, "Content-Type": "application/json", **headers}
        try:
            connection.request(method, path, data, sent)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    folder = tmp_path_factory.mktemp("proxy")
    authority = Authority(folder)
    files = authority.pair("localhost", NAME)
    node = RunningNode(
        folder / "node", "--model", "echo",
        "--set", f"http.allowed_hosts={NAME}",
        "--set", "http.trusted_proxies=127.0.0.1",
    )  # fmt: skip
    port = free_port()
    server = (
        FILE.read_text()
        .replace("listen 443 ssl", f"listen 127.0.0.1:{port} ssl")
        .replace("/etc/ssl/ai.example/fullchain.pem", str(files.certificate))
        .replace("/etc/ssl/ai.example/privkey.pem", str(files.key))
        .replace("http://127.0.0.1:8777", str(node.status["http"]))
    )
    temporary = "".join(
        f"{what}_temp_path {folder}/{what};\n"
        for what in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    config = folder / "nginx.conf"
    config.write_text(
        f"user root;\npid {folder}/pid;\nerror_log {folder}/error.log;\ndaemon off;\nevents {{}}\n"
        f"http {{\naccess_log off;\n{temporary}{server}}}\n"
    )
    process = subprocess.Popen([NGINX, "-e", str(folder / "first.log"), "-c", str(config)])
    try:
        wait_for_model(node)
        made = aiplat(node.home, "keys", "create", "--name", "laptop", "--json")
        way = Proxied(node, port, authority.trusting(), str(json.loads(made.stdout)["key"]))

        def answers() -> bool:
            assert process.poll() is None, (folder / "error.log").read_text()
            try:
                return way.ask("GET", "/healthz")[0] == 200
            except OSError:
                return False

        eventually(answers)
        yield way
    finally:
        process.terminate()
        process.wait(10)
        node.close()


def test_a_program_from_elsewhere_streams_with_its_key(proxied: Proxied) -> None:
    status, body = proxied.ask(
        "POST", "/v1/chat/completions", chat("one two three") | {"stream": True},
        Authorization=f"Bearer {proxied.key}",
    )  # fmt: skip
    assert status == 200
    assert body.endswith(b"data: [DONE]\n\n")


def test_the_token_of_the_machine_does_not_pass_the_proxy(proxied: Proxied) -> None:
    status, body = proxied.ask("GET", "/v1/models", Authorization=f"Bearer {proxied.node.token}")
    assert status == 403
    assert b"works on its own machine alone" in body
    lying = {"X-Forwarded-For": "127.0.0.1", "Authorization": f"Bearer {proxied.node.token}"}
    assert proxied.ask("GET", "/v1/models", **lying)[0] == 403


def test_pages_are_of_the_name_and_the_scheme_that_a_browser_sees(proxied: Proxied) -> None:
    key = {"Authorization": f"Bearer {proxied.key}"}
    own, other = f"https://{NAME}", f"http://{NAME}"
    assert proxied.ask("GET", "/v1/models", Origin=own, **key)[0] == 200
    assert proxied.ask("GET", "/v1/models", Origin=other, **key)[0] == 403
    assert proxied.ask("GET", "/v1/models", **{**key, "Host": "evil.example"})[0] == 403
