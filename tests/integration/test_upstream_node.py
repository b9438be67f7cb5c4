"""Nodes in front of a server that speaks the OpenAI API: what a gateway elsewhere gets of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.nodes import Door, RunningNode, aiplat, chat, wait_for_model
from tests.support.upstreams import DONE, ScriptedUpstream, Talk, chunk, event, models, usage
from tests.support.waiting import eventually

SECRET = "sk-upstream-0123456789"
KEY = {"UPSTREAM_KEY": SECRET, "AIPLAT_UPSTREAM_REFRESH_SECONDS": "0.5"}


def scored(text: str) -> bytes:
    """A chunk with log-probabilities that have no ids."""
    top = [{"token": text, "logprob": -0.1}, {"token": "?", "logprob": -3.0}]
    content = [{"token": text, "logprob": -0.1, "top_logprobs": top}]
    return event({"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None,
                               "logprobs": {"content": content}}]})  # fmt: skip


def answer(talk: Talk) -> None:
    """Say three words, with what was asked for."""
    say = scored if "logprobs" in talk.body else chunk
    talk.stream(*(say(word) for word in ("Paris", " it", " is")))
    talk.stream_on(chunk(None, "stop"), usage(21, 3), DONE)


@pytest.mark.slow
def test_an_answer_crosses_the_network_and_the_key_does_not(tmp_path: Path) -> None:
    with ScriptedUpstream(models("big", owned_by="vllm", max_model_len=4096)) as server:
        server.chats(answer)
        gateway = RunningNode(tmp_path / "g", "--role", "gateway", "--role", "client")
        processor = RunningNode(
            tmp_path / "p", "--role", "processor", "--peer", gateway.address,
            "--upstream", server.url, "--upstream-key-env", "UPSTREAM_KEY",
            environ=KEY | {"DEBUG": "1"},
        )  # fmt: skip
        try:
            wait_for_model(gateway, "big")
            (model,) = gateway.now()["models"]
            assert (model["context"], model["slots"]) == (4096, 16)
            with Door(gateway) as door:
                body = chat("Where?", "big", max_tokens=9, logprobs=True, top_logprobs=2)
                status, _, data = door.request("POST", "/v1/chat/completions", body)
                assert status == 200, data
                told = json.loads(data)
                (choice,) = told["choices"]
                assert choice["message"]["content"] == "Paris it is"
                assert [t["token"] for t in choice["logprobs"]["content"]] == [
                    "Paris",
                    " it",
                    " is",
                ]
                assert told["usage"]["completion_tokens"] == 3
                assert told["usage"]["exact_tokens"] is False
            server.stop()
            eventually(lambda: gateway.now()["models"][0]["state"] == "failed")
            done = aiplat(tmp_path / "g", "ask", "--model", "big", "Where?")
            assert done.returncode == 4, done
            assert "the upstream does not answer (connection refused)" in done.stderr
            assert [t.headers["authorization"] for t in server.chatted] == [f"Bearer {SECRET}"]
        finally:
            for node in (processor, gateway):
                node.close()
    written = [path for path in tmp_path.rglob("*") if path.is_file() and not path.is_socket()]
    assert any("node.jsonl" in path.name for path in written)
    assert not [path for path in written if SECRET.encode() in path.read_bytes()]


def test_a_prompt_starts_a_node_in_front_of_the_server_that_the_settings_name(
    tmp_path: Path,
) -> None:
    with ScriptedUpstream(models("big")) as server:
        server.chats(answer)
        (tmp_path / "config.toml").write_text(f'[upstream]\nurl = "{server.url}"\n')
        try:
            done = aiplat(tmp_path, "ask", "--json", "Where?")
            assert done.returncode == 0, done.stderr
            told = json.loads(done.stdout)
            assert (told["text"], told["model"]) == ("Paris it is", "big")
            assert told["usage"]["exact"] is False
        finally:
            aiplat(tmp_path, "stop", "--now")
