"""Which backends are refused, and in what words: keyring's own, others', and configured ones."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from keyring import errors
from keyring.backends import chainer, fail, null

from aiplat.credentials.backends import Backend, members, open_keyring, refusal
from aiplat.credentials.errors import NoKeyring, explain

from .fake_keyring import FakeKeyring

FAKE_ALT = """
from keyring.backend import KeyringBackend

class Both(KeyringBackend):
    priority = -1
    def get_password(self, service, username): raise AssertionError("it was asked")
    set_password = delete_password = get_password

class PlaintextKeyring(Both):
    priority = 0.5

class EncryptedKeyring(Both):
    priority = 0.6
"""


@pytest.fixture(autouse=True)
def _own_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No settings of whoever runs the tests."""
    monkeypatch.delenv("PYTHON_KEYRING_BACKEND", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))


def made(kind: type[Any]) -> Backend:
    """keyring's classes have no types where they are made."""
    backend: Backend = kind()
    return backend


def named(module: str, name: str = "Keyring", priority: float = 1.0) -> Backend:
    """A backend whose class has that name, in that module."""
    kind = type(name, (FakeKeyring,), {"priority": priority, "__module__": module})
    return made(kind)


def words(backend: Backend) -> str:
    fault = refusal(backend)
    return "" if fault is None else str(fault)


class OwnFail(fail.Keyring):
    """Made from the failing one."""


def test_without_a_session_bus_the_words_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)
    for backend in (made(fail.Keyring), made(OwnFail)):
        assert words(backend).startswith("The node reaches no keyring: it has no D-Bus session")
        assert "dbus-run-session" in words(backend)
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nowhere")
    assert words(made(fail.Keyring)).startswith("This machine has no keyring")


@pytest.mark.parametrize(
    ("backend", "said"),
    [
        (made(null.Keyring), "keyring.backends.null.Keyring keeps nothing: it is switched off."),
        (named("keyrings.alt.file", "PlaintextKeyring"), "PlaintextKeyring keeps secrets as plain"),
        (named("keyrings.cryptfile.file", "PlainTextKeyring"), "keeps secrets as plain text."),
        (named("some.plaintext"), "some.plaintext.Keyring keeps secrets as plain text."),
        (named("keyrings.alt.file", "EncryptedKeyring"), "is of keyrings.alt, where none is safe."),
        (named("keyrings.alt.pyfs", "BasicKeyring"), "is of keyrings.alt"),
        (named("x", priority=0), "x.Keyring calls itself unfit (priority 0)."),
        (named("x", priority=-1), "(priority -1)."),
    ],
)
def test_one_that_keeps_no_secret_is_refused_by_name(backend: Backend, said: str) -> None:
    assert said in words(backend)
    assert "Install a real one, such as gnome-keyring" in words(backend)
    assert "AIPLAT_API_KEY" in words(backend) and "--insecure-storage" in words(backend)


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("keyring.backends.SecretService", "Keyring"),
        ("keyring.backends.libsecret", "Keyring"),
        ("keyring.backends.kwallet", "DBusKeyring"),
        ("keyring.backends.macOS", "Keyring"),
        ("keyring.backends.Windows", "WinVaultKeyring"),
    ],
)
def test_the_keyrings_of_desktops_are_real(module: str, name: str) -> None:
    assert refusal(named(module, name)) is None


class Chain(chainer.ChainerBackend):
    """keyring's own, with what stands behind it chosen by the test."""

    backends: tuple[FakeKeyring, ...] = ()


def test_a_chainer_is_what_stands_behind_it() -> None:
    with pytest.raises(NoKeyring, match="has none behind it"):
        members(made(Chain))
    one, two = FakeKeyring(), FakeKeyring()
    chain = made(type("Two", (Chain,), {"backends": (one, two)}))
    assert members(chain) == [one, two]
    assert members(one) == [one]


# -- what a person configured --------------------------------------------------------------------


def chosen() -> str:
    return words(open_keyring())


def test_one_that_the_environment_names_is_refused_with_the_mend(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
    assert "switched off. Unset PYTHON_KEYRING_BACKEND" in chosen()
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
    assert "no keyring" in chosen()


def test_one_that_a_file_names_is_refused_with_the_mend(tmp_path: Path) -> None:
    file = tmp_path / "python_keyring" / "keyringrc.cfg"
    file.parent.mkdir()
    file.write_text("[backend]\ndefault-keyring=keyring.backends.null.Keyring\n")
    assert f"switched off. Take what chose it out of {file}" in chosen()


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ("", "EncryptedKeyring is of keyrings.alt, where none is safe. Install a real one"),
        ("EncryptedKeyring", "where none is safe. Unset PYTHON_KEYRING_BACKEND"),
        ("PlaintextKeyring", "keeps secrets as plain text. Unset PYTHON_KEYRING_BACKEND"),
    ],
)
def test_keyrings_alt_is_refused_whether_it_is_named_or_only_installed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, chosen: str, said: str
) -> None:
    """In a process of its own: keyring keeps each backend that was ever loaded."""
    folder, about = tmp_path / "keyrings" / "alt", tmp_path / "keyrings_alt-5.dist-info"
    folder.mkdir(parents=True)
    (folder / "file.py").write_text(FAKE_ALT)
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: keyrings.alt\nVersion: 5\n")
    (about / "entry_points.txt").write_text("[keyring.backends]\nfile = keyrings.alt.file\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)
    if chosen:
        monkeypatch.setenv("PYTHON_KEYRING_BACKEND", f"keyrings.alt.file.{chosen}")
    code = (
        "from pathlib import Path; from aiplat.credentials.credentials import Credentials; "
        f"said = Credentials('n', Path({str(tmp_path)!r}), seconds=60).report(); "
        "print(said.usable, said.backend, said.reason, said.mend)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert said in done.stdout.decode()
    backend = f"keyrings.alt.file.{chosen}" if chosen else "keyring.backends.chainer.ChainerBackend"
    assert done.stdout.decode().startswith(f"False {backend} The keyring backend keyrings.alt.file")


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("no.such.Keyring", "ModuleNotFoundError"),
        ("keyring.backends.null.Nobody", "AttributeError"),
        ("keyring.backends.Windows.WinVaultKeyring", "RuntimeError"),
        ("", "ValueError"),
    ],
)
def test_a_name_that_leads_nowhere_is_said(
    monkeypatch: pytest.MonkeyPatch, name: str, fault: str
) -> None:
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", name)
    with pytest.raises(
        NoKeyring, match=rf"cannot be loaded \({fault}\)\. Unset PYTHON_K"
    ) as caught:
        open_keyring()
    assert caught.value.__context__ is None


def test_a_choice_is_made_anew_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """keyring's own first choice lasts: a keyring that comes later would never be seen."""
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
    assert isinstance(open_keyring(), null.Keyring)
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
    assert isinstance(open_keyring(), fail.Keyring)


# -- what a keyring raises -----------------------------------------------------------------------


def caused(fault: Exception, by: Exception) -> Exception:
    fault.__cause__ = by
    return fault


class PromptDismissedException(Exception):
    """As SecretStorage's."""


class SecretServiceNotAvailableException(Exception):
    """As SecretStorage's."""


class DBusErrorResponse(Exception):
    """As jeepney's."""


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (errors.KeyringLocked("secret"), "The keyring is locked. Unlock it"),
        (errors.NoKeyringError("secret"), "no keyring"),
        (errors.InitError("secret"), "The keyring cannot be reached (InitError)."),
        (caused(errors.InitError("secret"), PromptDismissedException()), "The keyring is locked."),
        (errors.PasswordSetError("secret"), "refused a change (PasswordSetError)."),
        (errors.PasswordDeleteError("secret"), "refused a change (PasswordDeleteError)."),
        (SecretServiceNotAvailableException("secret"), "cannot be reached (SecretServiceNotA"),
        (DBusErrorResponse("secret"), "cannot be reached (DBusErrorResponse)."),
        (ModuleNotFoundError("secret"), "cannot be loaded (ModuleNotFoundError)."),
        (ConnectionRefusedError("secret"), "cannot be reached (ConnectionRefusedError)."),
    ],
)
def test_what_a_keyring_raises_is_one_clear_sentence(fault: Exception, said: str) -> None:
    told = explain(fault)
    assert said in str(told)
    assert "--insecure-storage" in told.mend
    assert "secret" not in told.reason.replace("Secret", "")


def test_keyring_is_imported_only_when_it_is_needed(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; "
        "from aiplat.credentials.credentials import Credentials; "
        f"assert Credentials('n', Path({str(tmp_path)!r})).held() == (); "
        "assert not {'keyring', 'secretstorage', 'jeepney'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
