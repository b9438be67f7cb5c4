"""The API key of a face's environment: in the header of its calls, and nowhere else."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from aiplat.domain.errors import ConfigError, NotReady
from aiplat.runtime.credential import VARIABLE, credential_of
from aiplat.runtime.places import find_places
from aiplat.runtime.reach import Connect, connect, connect_in_haste
from aiplat.runtime.start import _environment

KEY = "sk-aip-abcdefghijkl-SECRETSECRET"


@pytest.mark.parametrize(
    ("environ", "key"),
    [
        ({}, ""),
        ({VARIABLE: ""}, ""),
        ({VARIABLE: f" {KEY}\n"}, KEY),
        ({VARIABLE: "x" * 4096}, "x" * 4096),
    ],
)
def test_the_key_of_an_environment(environ: dict[str, str], key: str) -> None:
    assert credential_of(environ) == key


@pytest.mark.parametrize(
    "key", [f"{KEY} x", f"{KEY}\r\nx: y", f"{KEY}\udcff", f"{KEY}ä", f"{KEY}\x7f", KEY * 200]
)
def test_what_no_header_can_hold_is_refused_without_a_word_of_it(key: str) -> None:
    with pytest.raises(ConfigError, match="AIPLAT_API_KEY holds what cannot be a key") as refused:
        credential_of({VARIABLE: key})
    assert "SECRET" not in str(refused.value)


@contextmanager
def heard(path: Path) -> Iterator[list[bytes]]:
    """Hear what one call says, and hang up."""
    requests: list[bytes] = []
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.fspath(path))
        listener.listen()

        def serve() -> None:
            sock, _ = listener.accept()
            with sock:
                requests.append(sock.recv(65_536))

        thread = threading.Thread(target=serve)
        thread.start()
        yield requests
        thread.join(60)


@pytest.mark.parametrize(
    ("make", "key", "sent"),
    [(connect, KEY, True), (connect, "", False), (connect_in_haste, KEY, False)],
)
def test_it_goes_with_each_call(
    make: Connect, key: str, sent: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, key)
    places = find_places(str(tmp_path / "h"), {})
    places.prepare()
    with heard(places.place_control()) as requests:
        client = make(places)
        with pytest.raises(NotReady) as lost:
            client.status()
    assert (f"authorization: bearer {KEY}".lower().encode() in requests[0].lower()) is sent
    assert KEY not in f"{lost.value} {client!r}"


def test_a_wrong_one_keeps_nobody_from_ending_a_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "two words")
    places = find_places(str(tmp_path / "h"), {})
    with pytest.raises(ConfigError):
        connect(places)
    assert connect_in_haste(places) is not None


def test_a_node_that_a_face_starts_does_not_have_it() -> None:
    assert _environment({VARIABLE: KEY, "LANG": "C"}) == {"LANG": "C"}
