"""The keyring: tried once, by a value of its own; what fails its trial is given no secret."""

from __future__ import annotations

import traceback

import pytest

from aiplat.credentials.backends import Backend
from aiplat.credentials.calls import Calls
from aiplat.credentials.errors import NoKeyring
from aiplat.credentials.vault import Vault

from .fake_keyring import SECRET, Broken, FakeKeyring

PLENTY = 60.0


def vault(keyring: Backend) -> Vault:
    return Vault("aiplat:n", lambda: keyring, Calls(PLENTY))


class Chain(FakeKeyring):
    """Looks like keyring's chainer, `backends` behind it."""

    priority = -1.0

    def __init__(self, *backends: FakeKeyring) -> None:
        super().__init__()
        self.backends = backends


class ChainerBackend(Chain):
    """The same, by name."""


class Provider(FakeKeyring):
    """Gives passwords of its own, as those for package indexes do, and takes none."""

    priority = 9.0

    def set_password(self, service: str, username: str, password: str) -> None:
        raise NotImplementedError


def test_it_is_tried_once_with_a_value_that_does_not_stay() -> None:
    keyring = FakeKeyring()
    written: list[tuple[str, str]] = []
    keyring.before = lambda call: written.extend(keyring.kept) if call == "delete" else None
    ours = vault(keyring)
    ours.ready()
    assert keyring.calls == ["get", "set", "get", "get", "delete", "get"]
    assert not keyring.kept
    ((service, name),) = written
    assert service == "aiplat:n" and name.startswith("trial:")
    keyring.calls.clear()
    ours.ready()
    assert ours.get("key:a") is None
    assert keyring.calls == ["get"]


def test_each_trial_has_a_name_of_its_own() -> None:
    names: set[tuple[str, str]] = set()
    keyring = FakeKeyring()
    keyring.before = lambda call: names.update(keyring.kept)
    vault(keyring).ready()
    vault(keyring).ready()
    assert len(names) == 2


def test_it_is_tried_again_after_a_failure() -> None:
    keyring = FakeKeyring()
    ours = vault(keyring)
    ours.put("key:a", SECRET)
    good, keyring.before = keyring.before, Broken(OSError()).before
    with pytest.raises(NoKeyring):
        ours.get("key:a")
    keyring.before = good
    keyring.calls.clear()
    assert ours.get("key:a") == SECRET
    assert keyring.calls[:2] == ["get", "set"]


class Forgetful(FakeKeyring):
    """Keeps nothing, and says nothing: as the null backend."""

    def set_password(self, service: str, username: str, password: str) -> None:
        pass


class Garbling(FakeKeyring):
    """Gives back less than it was given."""

    def set_password(self, service: str, username: str, password: str) -> None:
        super().set_password(service, username, password[:8])


class Clinging(FakeKeyring):
    """Deletes nothing, and says nothing."""

    def delete_password(self, service: str, username: str) -> None:
        pass


@pytest.mark.parametrize(
    ("keyring", "words"),
    [
        (Forgetful(), r"Forgetful does not give back what it was given\."),
        (Garbling(), r"Garbling does not give back what it was given\."),
        (Clinging(), r"Clinging does not delete what it shall forget\."),
        (Provider(), r"Provider takes no secrets"),
        (ChainerBackend(), r"ChainerBackend has none behind it that could keep a secret\."),
        (ChainerBackend(Provider()), r"Provider takes no secrets"),
    ],
)
def test_one_that_fails_its_trial_gets_no_secret(keyring: FakeKeyring, words: str) -> None:
    with pytest.raises(NoKeyring, match=words):
        vault(keyring).put("key:a", SECRET)
    assert SECRET not in keyring.kept.values()


def test_behind_a_chainer_the_first_real_one_is_used_alone() -> None:
    plain, real, spare = PlaintextKeyring(), FakeKeyring(), FakeKeyring()
    chain = ChainerBackend(Provider(), plain, real, spare)
    ours = vault(chain)
    ours.put("key:a", SECRET)
    assert ours.backend.endswith("fake_keyring.FakeKeyring")
    assert list(real.kept.values()) == [SECRET]
    assert not (plain.calls or spare.calls or chain.calls)


class PlaintextKeyring(FakeKeyring):
    """By its name one that must not be used."""


def test_of_a_chainer_with_plain_text_alone_the_reason_is_that() -> None:
    with pytest.raises(NoKeyring, match="PlaintextKeyring keeps secrets as plain text"):
        vault(ChainerBackend(PlaintextKeyring())).ready()


def test_a_locked_one_behind_a_chainer_is_not_gone_round() -> None:
    class KeyringLocked(Exception):
        """As keyring's, by name."""

    spare = FakeKeyring()
    with pytest.raises(NoKeyring, match="The keyring is locked"):
        vault(ChainerBackend(Broken(KeyringLocked()), spare)).ready()
    assert not spare.calls


def test_what_is_dropped_is_gone_and_what_is_not_there_is_fine() -> None:
    keyring = FakeKeyring()
    ours = vault(keyring)
    for name in "abc":
        ours.put(name, SECRET)
    ours.drop(["c", "nobody", "a"])
    assert list(keyring.kept) == [("aiplat:n", "b")]


def test_no_secret_is_in_an_error_or_its_traceback() -> None:
    keyring = FakeKeyring()
    ours = vault(keyring)
    ours.ready()

    def quoting(service: str, username: str, password: str) -> None:
        raise ValueError(f"cannot store {password}") from OSError(password)

    keyring.set_password = quoting  # type: ignore[method-assign] # what a backend may do
    with pytest.raises(NoKeyring) as caught:
        ours.put("key:a", SECRET)
    fault = caught.value
    told = "".join(traceback.format_exception(fault)) + repr(fault) + repr(vars(fault))
    assert "The keyring cannot be reached (ValueError)" in told
    assert SECRET not in told
    assert fault.__context__ is None and fault.__cause__ is None
