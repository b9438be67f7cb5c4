"""Credentials: kept with their gateways, found again, forgotten; and no secret is lost track of."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from aiplat.credentials.errors import NoKeyring, SecretGone
from aiplat.domain.errors import ConfigError
from aiplat.domain.ids import PeerId

from .fake_keyring import (
    GATEWAY,
    OTHER,
    SECRET,
    SERVICE,
    FakeKeyring,
    credentials,
    key,
    no_keyring,
)


def on_disk(folder: Path) -> str:
    """All that lies in the folder, as text."""
    return "".join(path.read_text() for path in folder.iterdir())


def test_what_is_kept_is_there_for_another_process(tmp_path: Path) -> None:
    keyring, folder = FakeKeyring(), tmp_path / "data"
    listed = credentials(folder, keyring).keep(key(name="laptop", user="ann", made=7), SECRET)
    assert listed == key(name="laptop", user="ann", made=7, where="keyring")
    assert keyring.kept == {(SERVICE, "key:abc"): SECRET}
    later = credentials(folder, keyring)
    assert later.held() == (listed,)
    assert later.secret_of(listed) == SECRET
    assert SECRET not in on_disk(folder)
    assert {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()} == {
        "credentials.json": 0o600,
        "credentials.lock": 0o600,
    }


def test_one_of_the_same_kind_and_id_takes_its_place(tmp_path: Path) -> None:
    keyring = FakeKeyring()
    ours = credentials(tmp_path, keyring)
    ours.keep(key(), "old")
    ours.keep(key(kind="session"), "other")
    ours.keep(key(name="new"), "new")
    assert [(h.kind, h.name) for h in ours.held()] == [("session", ""), ("key", "new")]
    assert ours.secret_of(key()) == "new"
    assert ours.secret_of(key(kind="session")) == "other"


def test_two_nodes_do_not_meet_in_one_keyring(tmp_path: Path) -> None:
    keyring = FakeKeyring()
    ours = credentials(tmp_path / "a", keyring)
    theirs = credentials(tmp_path / "b", keyring, node=PeerId("nodeB"))
    ours.keep(key(), "ours")
    theirs.keep(key(), "theirs")
    assert ours.secret_of(key()) == "ours"
    theirs.forget("key", "abc")
    assert ours.secret_of(key()) == "ours"
    assert list(keyring.kept) == [(SERVICE, "key:abc")]


# -- which goes to which gateway -----------------------------------------------------------------


def test_a_key_goes_to_its_gateways_alone(tmp_path: Path) -> None:
    ours = credentials(tmp_path, FakeKeyring())
    ours.keep(key(), SECRET)
    assert ours.for_gateway(GATEWAY, "key") == (key(), SECRET)
    assert ours.for_gateway(OTHER, "key") is None
    assert ours.for_gateway(GATEWAY, "session") is None
    ours.keep(key("both", gateways=(OTHER, GATEWAY)), "both")
    found = ours.for_gateway(OTHER, "key")
    assert found is not None and found.secret == "both"


def test_the_newest_goes_and_an_expired_one_only_if_there_is_no_other(tmp_path: Path) -> None:
    ours = credentials(tmp_path, FakeKeyring(), now=1000)

    def chosen() -> str:
        found = ours.for_gateway(GATEWAY, "key")
        assert found is not None
        return found.held.id

    ours.keep(key("expired", made=9, expires=1000), SECRET)
    assert chosen() == "expired"
    ours.keep(key("old", made=1, expires=1001), SECRET)
    assert chosen() == "old"
    ours.keep(key("new", made=3), SECRET)
    ours.keep(key("older", made=2), SECRET)
    assert chosen() == "new"
    ours.keep(key("as-new", made=3), SECRET)
    assert chosen() == "as-new"


def test_a_secret_that_somebody_deleted_or_spoiled_is_said_to_be_gone(tmp_path: Path) -> None:
    keyring = FakeKeyring()
    ours = credentials(tmp_path, keyring)
    ours.keep(key(), SECRET)
    ours.keep(key("s1", kind="session"), SECRET)
    keyring.kept[SERVICE, "key:abc"] = f"{SECRET}\r\nx-evil: 1"
    del keyring.kept[SERVICE, "session:s1"]
    with pytest.raises(SecretGone, match="key abc is spoiled in the keyring") as caught:
        ours.secret_of(key())
    assert "`aiplat keys revoke abc`" in str(caught.value)
    assert SECRET not in str(caught.value)
    with pytest.raises(SecretGone, match=r"session s1 is gone from the keyring.*`aiplat login`"):
        ours.for_gateway(GATEWAY, "session")


# -- forgetting ----------------------------------------------------------------------------------


def test_what_is_forgotten_is_gone_from_list_and_keyring(tmp_path: Path) -> None:
    keyring = FakeKeyring()
    ours = credentials(tmp_path, keyring)
    ours.keep(key(), SECRET)
    ours.keep(key("other"), SECRET)
    assert ours.forget("key", "abc")
    assert [h.id for h in ours.held()] == ["other"]
    assert list(keyring.kept) == [(SERVICE, "key:other")]
    assert not ours.forget("key", "abc")
    assert not ours.forget("session", "other")


def test_a_keyring_is_emptied_of_this_node_s_at_once(tmp_path: Path) -> None:
    keyring = FakeKeyring()
    ours = credentials(tmp_path, keyring)
    for number in range(250):  # in more than one go
        ours.keep(key(f"k{number}"), SECRET)
    keyring.kept["aiplat:another", "key:k1"] = SECRET
    credentials(tmp_path, no_keyring()).keep(key("plain"), SECRET, insecure=True)
    credentials(tmp_path, no_keyring()).forget("key", "k7")
    assert ours.in_keyring() == 250, "what is only forgotten lies there still"
    with pytest.raises(NoKeyring):
        credentials(tmp_path, no_keyring()).empty_keyring()
    assert (len(keyring.kept), ours.in_keyring()) == (251, 250)
    assert [held.id for held in ours.held()] == ["plain"]
    ours.empty_keyring()
    assert list(keyring.kept) == [("aiplat:another", "key:k1")]
    assert (ours.in_keyring(), ours.report().left) == (0, 0)
    assert [held.id for held in ours.held()] == ["plain"]


def test_a_keyring_that_is_locked_holds_up_no_log_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    keyring = FakeKeyring()
    ours = credentials(tmp_path, keyring)
    ours.keep(key(), SECRET)
    good, keyring.before = keyring.before, no_keyring().before
    with caplog.at_level(logging.WARNING):
        assert ours.forget("key", "abc")
    assert "not deleted yet: The keyring cannot be reached (OSError)" in caplog.text
    assert ours.held() == ()
    assert ours.for_gateway(GATEWAY, "key") is None
    assert keyring.kept  # it could not be helped
    keyring.before = good
    assert ours.report().left == 1
    assert not ours.forget("key", "whatever")  # the next one cleans up
    assert not keyring.kept
    assert ours.report().left == 0


# -- plain text ----------------------------------------------------------------------------------


def test_without_a_keyring_nothing_is_made_and_the_mend_is_said(tmp_path: Path) -> None:
    ours = credentials(tmp_path / "data", no_keyring())
    for attempt in (ours.check, lambda: ours.keep(key(), SECRET)):
        with pytest.raises(NoKeyring, match=r"cannot be reached \(OSError\).*--insecure-storage"):
            attempt()
    assert ours.held() == ()
    assert not (tmp_path / "data" / "credentials.json").exists()
    assert not (tmp_path / "data" / "credentials-secrets.json").exists()


def test_plain_text_is_kept_for_who_asks_for_it(tmp_path: Path) -> None:
    ours = credentials(tmp_path, no_keyring())
    ours.check(insecure=True)
    listed = ours.keep(key(), SECRET, insecure=True)
    assert listed.where == "file"
    ours.keep(key("other"), "other", insecure=True)
    path = tmp_path / "credentials-secrets.json"
    assert path.stat().st_mode & 0o777 == 0o600
    later = credentials(tmp_path, no_keyring())
    assert [later.secret_of(h) for h in later.held()] == [SECRET, "other"]
    assert SECRET not in (tmp_path / "credentials.json").read_text()
    later.forget("key", "abc")
    assert [later.secret_of(h) for h in later.held()] == ["other"]
    later.forget("key", "other")
    assert not path.exists()


def test_a_keyring_that_works_is_taken_before_plain_text(tmp_path: Path) -> None:
    keyring = FakeKeyring()
    assert credentials(tmp_path, keyring).keep(key(), SECRET, insecure=True).where == "keyring"
    assert not (tmp_path / "credentials-secrets.json").exists()


def test_a_secret_that_moves_is_deleted_where_it_was(tmp_path: Path) -> None:
    keyring = FakeKeyring()
    credentials(tmp_path, no_keyring()).keep(key(), "plain", insecure=True)
    ours = credentials(tmp_path, keyring)
    ours.keep(key(), SECRET)
    assert [h.where for h in ours.held()] == ["keyring"]
    assert not (tmp_path / "credentials-secrets.json").exists()
    credentials(tmp_path, no_keyring()).keep(key(), "plain", insecure=True)
    assert credentials(tmp_path, no_keyring()).report().left == 1
    ours.check()
    ours.forget("session", "none")
    assert not keyring.kept
    assert [ours.secret_of(h) for h in ours.held()] == ["plain"]


def test_secrets_that_others_may_read_are_refused_before_a_key_is_made(tmp_path: Path) -> None:
    ours = credentials(tmp_path, no_keyring())
    listed = ours.keep(key(), SECRET, insecure=True)
    path = tmp_path / "credentials-secrets.json"
    path.chmod(0o640)
    before = path.read_bytes()
    for attempt in (
        lambda: ours.check(insecure=True),
        lambda: ours.keep(key("other"), SECRET, insecure=True),
        lambda: ours.secret_of(listed),
    ):
        with pytest.raises(ConfigError, match=rf"mode 0640\): run `chmod 600 {path}`"):
            attempt()
    assert path.read_bytes() == before
    assert ours.held() == (listed,)


# -- what the doctor says ------------------------------------------------------------------------


def test_the_doctor_names_the_backend_the_reason_and_the_mend(tmp_path: Path) -> None:
    report = credentials(tmp_path / "none", FakeKeyring()).report()
    assert report.usable and report.backend.endswith("fake_keyring.FakeKeyring")
    assert not (report.reason or report.mend)
    report = credentials(tmp_path / "none", no_keyring()).report()
    assert not report.usable and report.backend.endswith("fake_keyring.Broken")
    assert report.reason == "The keyring cannot be reached (OSError)."
    assert "--insecure-storage" in report.mend
    assert not (tmp_path / "none").exists()  # it makes nothing


def test_the_doctor_tries_anew_whatever_was_found_before(tmp_path: Path) -> None:
    keyring = FakeKeyring()
    ours = credentials(tmp_path, keyring)
    assert ours.report().usable
    good, keyring.before = keyring.before, no_keyring().before
    assert not ours.report().usable
    keyring.before = good
    assert ours.report().usable


def test_what_is_found_is_shown_without_its_secret(tmp_path: Path) -> None:
    ours = credentials(tmp_path, FakeKeyring())
    ours.keep(key(), SECRET)
    found = ours.for_gateway(GATEWAY, "key")
    assert found is not None and found.secret == SECRET
    assert SECRET not in f"{found!r} {found} {ours!r} {ours.held()!r}"
