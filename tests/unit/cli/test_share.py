"""``aiplat share``: what it asks of a node, what it keeps without one, and what it says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from aiplat.cli import main
from aiplat.cli.peers_table import notes
from aiplat.control.messages import (
    PeerStatus,
    ShareStatus,
    ShareTerms,
    ShareUser,
    ShareWish,
)
from aiplat.control.series import Exchange, ShareSum
from aiplat.domain.errors import InvalidRequest
from aiplat.runtime.share_words import describe_share, in_short, what_holds
from tests.support.fake_home import node_at
from tests.support.fake_node import FakeNode

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AIPLAT_HOME", str(tmp_path / "h"))
    return tmp_path / "h"


@pytest.fixture
def node(home: Path) -> Iterator[FakeNode]:
    with node_at(home, FakeNode()) as node:
        yield node


def test_a_node_that_runs_is_told_and_says_what_holds(node: FakeNode, capsys: Capture) -> None:
    wishes = {
        "--pause": ShareWish(pause=True),
        "--pause --now": ShareWish(pause=True, now=True),
        "--resume": ShareWish(pause=False),
        "--hours 22-08 --idle-only": ShareWish(hours="22-08", idle_only=True),
        "--no-idle-only --max-memory 4GiB --threads 0": ShareWish(
            idle_only=False, max_memory="4GiB", threads=0
        ),
    }
    for words in wishes:
        assert main.run(["share", *words.split()]) == 0
        assert capsys.readouterr().err == "Done: ShareWish.\n"
    assert node.orders == list(wishes.values())
    node.not_there = InvalidRequest("This node is no processor.")
    for command in (["share"], ["share", "--pause"]):
        assert main.run(command) == 2
        assert "no processor" in capsys.readouterr().err


def test_what_a_node_says_is_shown(node: FakeNode, capsys: Capture) -> None:
    node.shared = USED
    assert main.run(["share"]) == 0
    assert capsys.readouterr().out.splitlines() == describe_share(USED)
    assert main.run(["share", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["users"][0]["tokens"] == 210
    assert told["terms"] == {"hours": "22-08", "max_memory": "75%", "threads": 2}


def test_without_a_node_terms_are_kept_for_its_next_start(home: Path, capsys: Capture) -> None:
    assert main.run(["share"]) == 0
    assert "no node runs here" in capsys.readouterr().out
    assert not home.exists(), "to look makes nothing"
    assert main.run(["share", "--hours", "22-8", "--threads", "2"]) == 0
    assert capsys.readouterr().err == (
        "Kept for the next start of the node: at the hours 22-08, threads at most 2.\n"
    )
    assert main.run(["share", "--pause", "--json"]) == 0
    assert "paused" in json.loads(capsys.readouterr().out)["message"]
    kept = home / "data" / "share.json"
    assert json.loads(kept.read_text()) == {"paused": True, "hours": "22-08", "threads": 2}
    assert kept.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--hours", "25-08"], "the time 25, and a day goes from 00:00 to 24:00"),
        (["--threads", "-1"], "threads must be from 1 to 1024, or 0 for one a core, but is -1."),
        (["--max-memory", "4"], "'4' is no size: write 4GiB"),
        (["--now"], "it goes with --pause"),
        (["--resume", "--now"], "it goes with --pause"),
    ],
)
def test_wrong_values_are_wrong_use_and_change_nothing(
    words: list[str], said: str, home: Path, capsys: Capture
) -> None:
    assert main.run(["share", *words]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not (home / "data" / "share.json").exists()


USED = ShareStatus(
    state="closed", reason="outside its hours (22-08)",
    terms=ShareTerms(hours="22-08", max_memory="75%", threads=2), changes_in=11_520.0,
    changes_at="22:00", own=1, requests=17, tokens=3210, since_seconds=7400.0,
    users=(
        ShareUser(peer_id="12D3KooWabcd1234", role="gateway", model="tiny", running=2, tokens=210,
                  since_seconds=75.0),
        ShareUser(peer_id="12D3KooWefgh5678", role="client", model="tiny", running=1, tokens=0,
                  since_seconds=5.0),
        ShareUser(peer_id="", role="client", model="tiny", running=1, tokens=3, since_seconds=1.0),
    ),
)  # fmt: skip


def test_all_of_it_in_lines() -> None:
    assert describe_share(USED) == [
        "state     closed: others get nothing new, outside its hours (22-08)",
        "paused    no",
        "hours     22-08, opens at 22:00 (in 3 h 12 min)",
        "idle only no",
        "memory    75%",
        "threads   2",
        "used by   …abcd1234 (gateway): tiny, 2 requests, 210 tokens so far, for 1 min",
        "used by   …efgh5678 (client, by this gateway): tiny, 1 request, 0 tokens so far, for 5 s",
        "used by   clients by key, at this node's door: tiny, 1 request, 3 tokens so far, for 1 s",
        "own       1 request of this machine's own",
        "in all    17 requests and 3210 tokens of others since the node started, 2 h 3 min ago",
    ]
    assert in_short(USED) == (
        "others get nothing new: outside its hours (22-08), opens at 22:00 (in 3 h 12 min); "
        "4 requests of others under way"
    )
    assert in_short(ShareStatus(state="open", terms=ShareTerms())) == "with all who may ask"
    assert "4 requests of theirs under way go on to the end." in what_holds(USED)


def test_what_was_given_and_taken_fits_a_narrow_terminal() -> None:
    day = ShareSum(requests=1, prompt_tokens=900, completion_tokens=3210)
    month = ShareSum(requests=123_456, prompt_tokens=9 * 10**9, completion_tokens=2 * 10**9)
    exchange = Exchange(gave_day=day, gave_month=month, took_month=day)
    share = ShareStatus(state="open", terms=ShareTerms(), exchange=exchange)
    lines = describe_share(share)[-4:]
    assert lines == [
        "gave      1 request, 3210 tokens in 24 h",
        "          123456 requests, 2000000000 tokens in 30 days",
        "took      0 requests, 0 tokens in 24 h",
        "          1 request, 3210 tokens in 30 days",
    ]
    assert max(map(len, lines)) <= 60
    assert describe_share(share.__replace__(exchange=None))[-1].startswith("in all"), (
        "what is not known is not said"
    )


def test_a_node_that_runs_no_models_says_what_it_took() -> None:
    day = ShareSum(requests=1, completion_tokens=32)
    share = ShareStatus(state="none", terms=ShareTerms(), exchange=Exchange(took_day=day))
    lines = describe_share(share)
    assert (
        lines[0] == "state     this node is no processor: it runs no models, and so gives nothing"
    )
    assert lines[-2] == "took      1 request, 32 tokens in 24 h"
    assert len(lines) == 5, "no terms, which hold for nothing"


def test_a_table_of_peers_says_why_one_is_paused() -> None:
    why = "paused by its owner"
    found = [
        PeerStatus(peer_id="12D3KooWabcd1234", state="draining", note=why),
        PeerStatus(peer_id="12D3KooWefgh5678", state="draining", note="draining"),
        PeerStatus(peer_id="12D3KooWijkl9012", state="connected", note="x"),
    ]
    assert notes(found) == [f"…abcd1234: {why}"]
