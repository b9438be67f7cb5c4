"""Whole nodes whose HTTP door listens beyond loopback: TLS or in the clear, who comes from where.

"Elsewhere" is an address of this machine other than the one that is connected to: to the node it
is another machine's. Without one beyond loopback those tests are skipped.
"""

from __future__ import annotations

import http.client
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from aiplat.node.listening import own_ips
from tests.support.certificates import Authority, Files, days_from_now, new_key, pem_of, serial_of
from tests.support.namespaces import Lab, why_not
from tests.support.nodes import RunningNode, aiplat, chat
from tests.support.waiting import eventually

OWN = next((ip for ip in own_ips() if ":" not in ip and not ip.startswith("127.")), "")
OWN_6 = next((ip for ip in own_ips() if ":" in ip and ip != "::1"), "")
needs_another = pytest.mark.skipif(not OWN, reason="this machine has no address beyond loopback")

pytestmark = pytest.mark.slow  # each starts processes


@dataclass
class House:
    """A node with TLS at every address, and the authority that signed its certificate."""

    node: RunningNode
    authority: Authority
    files: Files

    @property
    def port(self) -> int:
        return int(str(self.node.status["http"]).rpartition(":")[2])

    def get(
        self, to: str, path: str, key: str = "", *, source: str = "", host: str = ""
    ) -> tuple[int, str]:
        """Ask over TLS at the address `to`, from the address `source`; status and body."""
        context = self.authority.trusting()
        context.check_hostname = False  # what a name is good for, other tests say
        came = (source, 0) if source else None
        headers = {"host": host or f"{f'[{to}]' if ':' in to else to}:{self.port}"}
        if key:
            headers["authorization"] = f"Bearer {key}"
        connection = http.client.HTTPSConnection(
            to, self.port, timeout=30, context=context, source_address=came
        )
        try:
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("beyond")
    authority = Authority(folder)
    files = authority.pair("localhost", "127.0.0.1", "gpu.example", *filter(None, [OWN]))
    node = RunningNode(
        folder / "node", "--model", "echo", "--http", "[::]:0",
        "--tls-certificate", str(files.certificate), "--tls-key", str(files.key),
        "--set", "http.max_connections_per_source=5",
        "--set", "http.tls_reload_seconds=0.05",
    )  # fmt: skip
    try:
        yield House(node, authority, files)
    finally:
        node.close()


def trusting(house: House) -> dict[str, str]:
    return {"SSL_CERT_FILE": str(house.authority.path)}


# -- where it is -------------------------------------------------------------------------------


def test_people_are_told_its_url_and_programs_here_the_one_through_loopback(house: House) -> None:
    status = house.node.now()
    assert status["http"] == f"https://{OWN or 'localhost'}:{house.port}"
    told = json.loads(aiplat(house.node.home, "env", "--json").stdout)
    assert told["OPENAI_BASE_URL"] == f"https://127.0.0.1:{house.port}/v1"
    shown = aiplat(house.node.home, "status").stdout
    assert f"{status['http']}/v1" in shown


def test_what_env_prints_works_with_the_official_client(house: House) -> None:
    told = json.loads(aiplat(house.node.home, "env", "--json").stdout)
    script = (
        "import openai; c = openai.OpenAI(max_retries=0);"
        "s = c.chat.completions.create(model='echo', stream=True, messages=[dict(role='user',"
        " content='one two')]);"
        "print(''.join(x.choices[0].delta.content or '' for x in s if x.choices))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env=told | trusting(house), capture_output=True,
        text=True, timeout=120, check=True,
    )  # fmt: skip
    assert "one two" in done.stdout


@pytest.mark.parametrize(("to", "source"), [("127.0.0.1", ""), ("::1", ""), (OWN, ""), (OWN_6, "")])
def test_the_owners_token_works_on_its_machine(house: House, to: str, source: str) -> None:
    if not to:
        pytest.skip("this machine has no such address")
    status, body = house.get(to, "/v1/models", house.node.token, source=source)
    assert status == 200, body
    assert json.loads(body)["data"][0]["id"] == "echo"


@needs_another
def test_and_from_elsewhere_it_is_refused_in_words(house: House) -> None:
    status, body = house.get("127.0.0.1", "/v1/models", house.node.token, source=OWN)
    error = json.loads(body)["error"]
    assert (status, error["code"]) == (403, "permission_denied")
    assert "works on its own machine alone" in error["message"]
    assert house.get("127.0.0.1", "/metrics", house.node.token, source=OWN)[0] == 403
    assert house.get("127.0.0.1", "/healthz", source=OWN)[0] == 200
    _, page = house.get("127.0.0.1", "/metrics", house.node.token)
    assert 'aiplat_auth_failures_total{reason="elsewhere"} 2.0' in page
    assert "came from another machine" in house.node.stderr
    assert house.node.token not in house.node.stderr


@needs_another
def test_keys_of_accounts_count_there(house: House) -> None:
    made = aiplat(house.node.home, "keys", "create", "--name", "afar", "--json", "--no-store")
    key = json.loads(made.stdout)["key"]
    status, body = house.get("127.0.0.1", "/v1/models", key, source=OWN)
    assert status == 200, body
    assert house.get("127.0.0.1", "/v1/models", key + "x", source=OWN)[0] == 401


@needs_another
@pytest.mark.parametrize(
    ("host", "status"),
    [(OWN, 200), ("gpu.example", 200), ("127.0.0.1", 200), ("evil.example", 403),
     ("x:y:z", 403), ("10.1.2.3", 403), ("::1", 403)],
)  # fmt: skip
def test_names_of_the_door_from_elsewhere(house: House, host: str, status: int) -> None:
    """Those of its certificate, and the address that one came in on."""
    found, body = house.get(OWN, "/healthz", host=host)
    assert found == status, body


@needs_another
def test_one_source_has_so_many_connections_and_no_more(house: House) -> None:
    with held_open(OWN, house.port, 5, source=OWN):
        assert refuses(house, OWN)
        assert house.get("127.0.0.1", "/healthz")[0] == 200  # loopback has no such bound
        if OWN_6:
            assert house.get("::1", "/healthz", source=OWN_6)[0] == 200  # nor what others have
        _, page = house.get("127.0.0.1", "/metrics", house.node.token)
        assert 'aiplat_bound_hits_total{bound="http_source_connections"} ' in page
    eventually(lambda: not refuses(house, OWN), 30, "room for that source again")


@contextmanager
def held_open(to: str, port: int, count: int, source: str) -> Iterator[None]:
    """Connections that say nothing; their handshakes have not begun."""
    with ExitStack() as stack:
        for _ in range(count):
            stack.enter_context(
                socket.create_connection((to, port), 10, source_address=(source, 0))
            )
        yield


def refuses(house: House, source: str) -> bool:
    try:
        house.get("127.0.0.1", "/healthz", source=source)
    except (OSError, http.client.HTTPException):
        return True
    return False


# -- a new certificate -------------------------------------------------------------------------


def shown(house: House) -> int:
    context = house.authority.trusting()
    with (
        socket.create_connection(("127.0.0.1", house.port), 30) as sock,
        context.wrap_socket(sock, server_hostname="localhost") as tls,
    ):
        der = tls.getpeercert(binary_form=True)
        assert der is not None
        return serial_of(der)


def test_a_new_certificate_needs_no_restart_and_a_bad_one_is_not_taken(house: House) -> None:
    before = shown(house)
    good = house.files.certificate.read_bytes(), house.files.key.read_bytes()
    key = new_key()
    old = house.authority.sign(key, "localhost", ends=days_from_now(-1))
    house.files.write(old, pem_of(key))
    eventually(lambda: "expired at" in house.node.stderr, 30, "a word about the bad one")
    assert "the old one is kept" in house.node.stderr
    assert shown(house) == before
    house.files.write(*good)
    house.authority.pair("localhost", "127.0.0.1", "gpu.example", files=house.files)
    eventually(lambda: shown(house) != before, 30, "the new one")


# -- its end -----------------------------------------------------------------------------------


def test_a_stream_under_way_ends_whole_when_the_node_stops(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    files = authority.pair("localhost", "127.0.0.1")
    node = RunningNode(
        tmp_path / "node", "--model", "echo", "--echo-rate", "20",
        "--tls-certificate", str(files.certificate), "--tls-key", str(files.key),
    )  # fmt: skip
    try:
        assert str(node.status["http"]).startswith("https://127.0.0.1:")
        words = " ".join(f"w{n}" for n in range(40))
        headers = {"authorization": f"Bearer {node.token}"}
        texts: list[str] = []
        with (
            httpx.Client(
                base_url=node.status["http"], verify=authority.trusting(), http2=True,
                headers=headers, timeout=60,
            ) as client,
            client.stream(
                "POST", "/v1/chat/completions", json=chat(words) | {"stream": True}
            ) as answer,
        ):  # fmt: skip
            assert answer.http_version == "HTTP/2"
            for line in answer.iter_lines():
                texts.append(line)
                if len(texts) == 3:
                    node.signal(signal.SIGTERM)
        assert "data: [DONE]" in texts
        assert any('"finish_reason":"stop"' in line for line in texts)
        assert node.process.wait(60) == 0
    finally:
        node.close()


# -- how it does not start ---------------------------------------------------------------------


def refusal(home: Path, *options: str, code: int = 1) -> str:
    """What `serve` says that does not start; it ends by itself."""
    done = aiplat(home, "serve", "--model", "echo", *options, timeout=60)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return " ".join(done.stderr.replace("│", " ").split())


def test_beyond_loopback_it_refuses_without_tls_and_says_the_three_ways(tmp_path: Path) -> None:
    said = refusal(tmp_path, "--http", "0.0.0.0:0", code=2)
    for way in (
        "127.0.0.1",
        "--tls-certificate FILE --tls-key FILE",
        "--plain-http-beyond-loopback",
    ):
        assert way in said


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--tls-certificate", "door.pem"], 1, "http.tls_certificate is set and http.tls_key is"),
        (["--tls-key", "door.key"], 1, "http.tls_key is set and http.tls_certificate is not"),
        (["--tls-certificate", "no.pem", "--tls-key", "door.key"], 1, "cannot be read: No such"),
        (["--tls-certificate", "door.key", "--tls-key", "door.key"], 1, "holds no certificate"),
        (["--tls-certificate", "door.pem", "--tls-key", "locked.key"], 1, "with a passphrase"),
        (["--tls-certificate", "door.pem", "--tls-key", "open.key"], 1, "may be read by others"),
        (["--tls-certificate", "door.pem", "--tls-key", "other.key"], 1, "is not that of the"),
        (["--tls-certificate", "old.pem", "--tls-key", "other.key"], 1, "expired at"),
        (["--tls-certificate", "new.pem", "--tls-key", "other.key"], 1, "holds only from"),
        (
            ["--tls-certificate", "door.pem", "--tls-key", "door.key",
             "--plain-http-beyond-loopback"],
            2, "is for a door without TLS",
        ),
    ],
)  # fmt: skip
def test_each_fault_of_a_pair_has_its_own_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], code: int, words: str
) -> None:
    authority = Authority(tmp_path)
    files = authority.pair("localhost")
    key = new_key()
    for name, data in (
        ("locked.key", pem_of(key, b"secret")), ("other.key", pem_of(key)),
        ("open.key", files.key.read_bytes()),
        ("old.pem", authority.sign(key, "x", ends=days_from_now(-1))),
        ("new.pem", authority.sign(key, "x", begins=days_from_now(1))),
    ):  # fmt: skip
        path = tmp_path / name
        path.touch(0o600)
        path.write_bytes(data)
    (tmp_path / "open.key").chmod(0o644)
    monkeypatch.chdir(tmp_path)  # a relative name is good on the command line
    assert words in refusal(tmp_path / "node", *options, code=code)


# -- in the clear ------------------------------------------------------------------------------


@needs_another
def test_in_the_clear_when_it_is_told_so(tmp_path: Path) -> None:
    node = RunningNode(
        tmp_path / "node", "--model", "echo", "--http", "0.0.0.0:0", "--plain-http-beyond-loopback"
    )
    try:
        port = int(str(node.status["http"]).rpartition(":")[2])
        assert node.status["http"] == f"http://{OWN}:{port}"
        assert "open beyond loopback without TLS (0.0.0.0)" in node.stderr
        told = json.loads(aiplat(node.home, "env", "--json").stdout)
        assert told["OPENAI_BASE_URL"] == f"http://127.0.0.1:{port}/v1"
        for source, status in (("127.0.0.1", 200), (OWN, 403)):
            connection = http.client.HTTPConnection(
                "127.0.0.1", port, timeout=30, source_address=(source, 0)
            )
            headers = {"authorization": f"Bearer {node.token}"}
            connection.request("GET", "/v1/models", headers=headers)
            assert connection.getresponse().status == status
            connection.close()
    finally:
        node.close()


# -- from a machine that is really another -----------------------------------------------------


@pytest.mark.skipif(bool(why_not()), reason=why_not() or "there can be namespaces")
def test_from_another_machine(tmp_path: Path) -> None:
    """By its address and through TLS, with curl: a key works, the owner's token does not."""
    with Lab() as lab:
        lan = lab.lan("198.51.100")
        server, client = lab.host(lan), lab.host(lan)
        authority = Authority(tmp_path)
        files = authority.pair("gpu.example", server.ip)
        node = RunningNode(
            tmp_path / "node", "--model", "echo", "--http", "0.0.0.0:8777",
            "--tls-certificate", str(files.certificate), "--tls-key", str(files.key),
            prefix=server.prefix,
        )  # fmt: skip
        try:
            assert node.status["http"] == f"https://{server.ip}:8777"
            made = aiplat(node.home, "keys", "create", "--name", "afar", "--json", "--no-store")
            key = json.loads(made.stdout)["key"]

            def status_of(url: str, key: str) -> str:
                words = [
                    *client.prefix, "curl", "-sS", "--noproxy", "*", "--max-time", "30",
                    "--cacert", str(authority.path), "-H", f"Authorization: Bearer {key}",
                    "--resolve", f"gpu.example:8777:{server.ip}", "-o", "/dev/null",
                    "-w", "%{http_code} %{http_version}", url,
                ]  # fmt: skip
                done = subprocess.run(words, capture_output=True, text=True, check=True)
                return done.stdout

            assert status_of(f"https://{server.ip}:8777/v1/models", key) == "200 2"
            assert status_of("https://gpu.example:8777/v1/models", key) == "200 2"
            assert status_of(f"https://{server.ip}:8777/v1/models", node.token) == "403 2"
            assert status_of(f"https://{server.ip}:8777/v1/models", "sk-aip-x-y") == "401 2"
        finally:
            node.close()
