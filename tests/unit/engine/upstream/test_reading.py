"""What an upstream sends, read without a socket: chunks, lists of models, refusals."""

from __future__ import annotations

import json
from typing import Any

import pytest

from aiplat.domain.answers import CallPiece, Delta, TokenLogprob
from aiplat.domain.chat import Generate, Message
from aiplat.domain.errors import AiplatError
from aiplat.domain.usage import Usage
from aiplat.engine.backends.upstream.chunks import Scored
from aiplat.engine.backends.upstream.failures import refusal
from aiplat.engine.backends.upstream.hearing import Hearing
from aiplat.engine.backends.upstream.key import Key
from aiplat.engine.backends.upstream.listing import Listed, named, read_models
from aiplat.engine.backends.upstream.pending import Pending
from tests.support.upstreams import DONE, chunk, event, models, usage
from tests.unit.engine.hearing import asking

SECRET = "sk-very-secret-0123"


def hearing(**options: Any) -> Hearing:
    submission = asking("hi", **options)
    assert isinstance(submission.work, Generate)
    return Hearing("m", submission, submission.work, Key("K", SECRET))


def heard(*pieces: bytes, **options: Any) -> Hearing:
    found = hearing(**options)
    for piece in pieces:
        found.feed(piece)
    found.close()
    return found


def text_of(found: Hearing) -> str:
    delta = found.pending.take()
    return "" if delta is None else delta.text


# -- the stream ----------------------------------------------------------------------------------


def test_text_reason_and_the_upstreams_own_count() -> None:
    found = heard(chunk(""), chunk("Hel"), chunk("lo"), chunk(None, "length"), usage(7, 3), DONE)
    assert text_of(found) == "Hello"
    assert (found.reason, found.usage) == ("length", Usage(7, 3, exact=False))


def test_without_usage_the_pieces_count_and_without_done_the_reason_is_enough() -> None:
    found = heard(chunk("a"), chunk("b"), chunk("", "stop"))
    assert (found.reason, found.usage) == ("stop", Usage(0, 2, exact=False))
    assert heard(chunk("a"), DONE).reason == "stop"
    assert text_of(heard(chunk("a", "stop").rstrip())) == "a"  # its empty line is missing


def test_what_comes_after_the_reason_is_no_part_of_the_answer() -> None:
    assert text_of(heard(chunk("a", "stop"), chunk("b"), DONE)) == "a"


@pytest.mark.parametrize(
    ("pieces", "said"),
    [
        ((chunk("a"),), "ended in the middle of its answer"),
        ((), "ended in the middle"),
        ((chunk("a"), b"data: <html>\n\n"), "sent what is no part of an answer"),
        ((event({"choices": 7}),), "sent what is no part of an answer"),
        ((event({"error": "out of memory"}),), "failed: out of memory"),
        ((event({"error": {"message": f"bad {SECRET}!"}}),), r"failed: bad \[key\]!"),
        ((event({"error": {}}),), "it does not say why"),
        ((chunk("a", "abort"),), "gave up in the middle"),
        ((b"data: " + b"x" * 2**20,), "sent a line of more than 1048576 bytes"),
    ],
)
def test_a_stream_that_breaks_is_a_failure_that_may_go_well_elsewhere(
    pieces: tuple[bytes, ...], said: str
) -> None:
    with pytest.raises(AiplatError, match=said) as told:
        heard(*pieces)
    assert told.value.code == "engine_failed"
    assert told.value.recoverable
    assert SECRET not in str(told.value)


def calls(*parts: Any) -> bytes:
    return event({"choices": [{"index": 0, "delta": {"tool_calls": list(parts)}}]})


def call(index: int | None, name: str = "", arguments: Any = "") -> dict[str, Any]:
    return {"index": index, "function": {"name": name or None, "arguments": arguments}}


def calling(*pieces: bytes, one: bool = False) -> list[CallPiece]:
    work = Generate((Message("user", "hi"),), tools=({"name": "now"},), one_call=one)
    found = Hearing("m", asking("hi"), work, Key("K", SECRET))
    for piece in pieces:
        found.feed(piece)
    found.close()
    assert found.reason == "tool_calls"
    return list((found.pending.take() or Delta()).calls)


def test_calls_are_put_in_order_however_a_server_cuts_and_numbers_them() -> None:
    end = chunk(None, "tool_calls")
    two = [CallPiece(0, "now", "{}"), CallPiece(1, "now", "[]")]
    assert calling(calls(call(0, "now", "{}"), call(1, "now", "[]")), end) == two
    assert calling(calls(call(4, "now", "{}")), calls(call(9, "now", "[]")), end) == two
    whole = calls(call(None, "now", {"a": 1}))  # as Ollama once did
    assert calling(whole, chunk(None, "stop")) == [CallPiece(0, "now", '{"a":1}')]
    parts = calling(calls(call(0, "now")), calls(call(0, "", "{")), calls(call(0, "", "}")), end)
    assert "".join(piece.arguments for piece in parts) == "{}"
    assert (
        calling(calls(call(0, "now", "{}")), calls(call(1, "now", "[]")), end, one=True) == two[:1]
    )


@pytest.mark.parametrize(
    ("parts", "why"),
    [
        ([calls(call(0, "", "{}"))], "without its name"),
        ([calls(call(0, "n" * 65, "{}"))], "more than 64 characters"),
        ([calls(call(0, "now")), calls(call(0, "now"))], "twice"),
        ([calls(call(1, "now")), calls(call(0, "now"))], "in turns"),
        ([calls(*(call(n, "now") for n in range(129)))], "more than 128"),
    ],
)
def test_calls_that_are_none_are_a_failure(parts: list[bytes], why: str) -> None:
    with pytest.raises(AiplatError, match=why) as told:
        calling(*parts)
    assert told.value.recoverable


def test_a_call_where_there_are_no_tools_is_a_failure() -> None:
    with pytest.raises(AiplatError, match="was given none"):
        heard(calls(call(0, "now", "{}")), chunk(None, "tool_calls"))


def test_a_content_filter_says_no_everywhere() -> None:
    with pytest.raises(AiplatError, match="content filter") as told:
        heard(chunk("", "content_filter"))
    assert not told.value.recoverable


def test_log_probabilities_are_passed_on_and_missed_at_once() -> None:
    top = [{"token": "a", "logprob": -0.5}, {"token": "b", "logprob": None}, {"token": "c"}]
    one = {"token": "a", "logprob": -0.5, "id": 3, "top_logprobs": top}
    piece = event({"choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": "stop",
                                "logprobs": {"content": [one]}}]})  # fmt: skip
    delta = heard(piece, logprobs=2).pending.take()
    assert delta is not None
    assert delta.logprobs is not None
    assert delta.logprobs.tokens == (TokenLogprob(3, "a", -0.5),)
    assert delta.logprobs.top == ((TokenLogprob(-1, "a", -0.5), TokenLogprob(-1, "b", -9999.0)),)
    assert heard(piece).pending.take() == Delta((), "a")  # nobody asked
    with pytest.raises(AiplatError, match="gives no log-probabilities") as told:
        heard(chunk("a"), logprobs=0)
    assert (told.value.code, told.value.param) == ("unsupported_parameter", "logprobs")


def test_no_more_than_credit_and_all_of_it() -> None:
    scored = Scored(TokenLogprob(1, "ab", -1.0), (TokenLogprob(2, "x", -2.0),))
    pending, given = Pending(100), []
    pending.put("héllo wörld", [scored, scored])
    while not pending.empty:
        credit = pending.credit
        delta = pending.take()
        if delta is None:
            pending.grant(64)
            continue
        assert 0 < delta.cost == credit - pending.credit <= credit
        given.append(delta)
    assert "".join(delta.text for delta in given) == "héllo wörld"
    assert sum(len(d.logprobs.tokens) for d in given if d.logprobs) == 2


# -- lists of models -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "kind", "context"),
    [
        ({"owned_by": "vllm", "max_model_len": 4096}, "vllm", 4096),
        ({"owned_by": "llamacpp", "meta": {"n_ctx": 1024, "n_ctx_train": 8192}}, "llama.cpp", 1024),
        ({"owned_by": "library"}, "ollama", 0),
        ({"context_length": 32000}, "", 32000),
        ({"max_model_len": "long", "owned_by": 5}, "", 0),
        ({"max_model_len": -1}, "", 0),
    ],
)
def test_kinds_and_contexts(more: dict[str, Any], kind: str, context: int) -> None:
    listed = read_models(models("m", **more))
    assert listed is not None
    assert [(one.name, one.kind, one.context) for one in listed] == [("m", kind, context)]
    manifest = listed[0].manifest()
    assert manifest.weights == manifest.tokenizer == manifest.dtype == "unknown"
    assert manifest.backend == f"upstream-{kind or 'openai'}"
    assert manifest.vocabulary >= 1  # what the protocol asks of every Started


def test_names_that_cannot_be_shown_and_bodies_that_are_none() -> None:
    assert read_models(models("a", "a", "", "b\n", "x" * 201, "c")) == (
        Listed(name="a"), Listed(name="c"),
    )  # fmt: skip
    for body in (b"", b"<html>", b"[]", b'{"data": {}}', b"[" * 10_000):
        assert read_models(body) is None


def test_a_name_means_what_its_server_takes_it_for() -> None:
    ollama = (Listed(name="llama3:latest", kind="ollama"), Listed(name="b", kind="ollama"))
    assert named("llama3", ollama) == ollama[0]
    assert named("c", ollama) is None
    alone = (Listed(name="/m.gguf", kind="llama.cpp"),)
    assert named("any", alone) == alone[0]


# -- refusals ------------------------------------------------------------------------------------

_LONG = "This model's maximum context length is 10 tokens, but 12 were asked for."


@pytest.mark.parametrize(
    ("status", "body", "code", "recoverable", "said"),
    [
        (400, {"error": {"message": "bad top_p", "param": "top_p"}}, "invalid_request", False,
         "refuses the request: bad top_p"),
        (422, {"detail": "Unexpected fields: {'top_k'}"}, "invalid_request", False, "top_k"),
        (422, {"detail": [{"msg": "field required"}]}, "invalid_request", False, "field required"),
        (400, {"object": "error", "message": _LONG}, "context_length_exceeded", False, "10 tokens"),
        (400, {"error": {"type": "exceed_context_size_error", "message": "no"}},
         "context_length_exceeded", False, "refuses the length: no"),
        (404, {"error": {"message": "no such model"}}, "model_not_found", False, "no such model"),
        (404, b"<html>", "engine_failed", True, "status 404, text/html"),
        (413, {"error": "too big"}, "request_too_large", False, "too big"),
        (429, {"error": "slow down"}, "overloaded", True, "too much to do: slow down"),
        (500, {"error": "oops"}, "engine_failed", True, "failed: oops"),
        (503, b"", "engine_failed", True, "cannot answer now: status 503"),
        (302, b"", "engine_failed", True, "redirect"),
        (401, {"error": {"message": f"no: {SECRET}"}}, "engine_failed", True,
         "refuses the key of this node .status 401.: set another in the environment variable K"),
    ],
)  # fmt: skip
def test_refusals(status: int, body: Any, code: str, recoverable: bool, said: str) -> None:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    kind = "text/html; charset=x" if isinstance(body, bytes) else "application/json"
    error = refusal("m", status, {"content-type": kind}, data, "K")
    assert (error.code, error.recoverable) == (code, recoverable)
    with pytest.raises(AiplatError, match=said):
        raise error
    assert SECRET not in str(error)


def test_when_to_come_back_and_how_much_is_said() -> None:
    def waits(value: str) -> float | None:
        return refusal("m", 429, {"retry-after": value}, b"", "").retry_after

    assert [waits(v) for v in ("7", "1e9", "-3", "nan", "Wed, 21 Oct", "")] == [
        7, 3600, 0, 5, 5, 5,
    ]  # fmt: skip
    long = refusal("m", 400, {}, json.dumps({"error": "x\x1b" * 5000}).encode(), "")
    assert len(str(long)) < 400
    assert str(long).isprintable()
    assert "wants a key" in str(refusal("m", 403, {}, b"", ""))
