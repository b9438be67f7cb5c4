"""How an answer is sampled: the fields that chat completions and completions share. Pure.

The ranges are the domain's. `top_k`, `min_p` and `repetition_penalty` are no fields of OpenAI's;
they are called what other servers call them.
"""

from __future__ import annotations

from collections.abc import Mapping

from aiplat.domain.chat import MAX_BIASES, MAX_STOPS, Sampling, check_sampling
from aiplat.domain.errors import InvalidRequest, UnsupportedParameter, clip
from aiplat.http.openai_api.naming import as_sent
from aiplat.http.reading import Fields, shown


def parse_sampling(
    fields: Fields, limit: tuple[str, int | None], logprobs: tuple[str, int | None]
) -> Sampling:
    """The fields of `Sampling`, checked.

    Arguments:
        fields: of the request.
        limit: how many tokens the answer may have, behind the name of the field that says so.
        logprobs: how many are told of each token, likewise.

    Raises:
        InvalidRequest: names the field, the value and the bound.
    """
    sampling = Sampling(
        temperature=fields.number("temperature"),
        top_p=fields.number("top_p"),
        max_tokens=limit[1],
        seed=fields.integer("seed"),
        stop=_stop(fields),
        top_k=_top_k(fields),
        min_p=fields.number("min_p"),
        repetition_penalty=fields.number("repetition_penalty"),
        presence_penalty=fields.number("presence_penalty") or None,
        frequency_penalty=fields.number("frequency_penalty") or None,
        logit_bias=_logit_bias(fields),
        logprobs=logprobs[1],
    )
    check_as_sent(sampling, {"max_tokens": limit[0], "logprobs": logprobs[0]})
    return sampling


def check_as_sent(sampling: Sampling, names: Mapping[str, str]) -> None:
    """`check_sampling`, whose error has the name that the field was sent under.

    Arguments:
        sampling: what is checked.
        names: by our name of a field that of the API, where they differ.

    Raises:
        InvalidRequest: the first value that is out of its bounds.
    """
    with as_sent(names):
        check_sampling(sampling)


def parse_choices(fields: Fields, most: int) -> int:
    """The field `n`: how many answers are wanted, of at most so many."""
    count = fields.integer("n")
    if count is None:
        return 1
    if not 1 <= count <= most:
        raise InvalidRequest(
            f"n must be from 1 to {most} (http.max_choices), but is {count}.", param="n"
        )
    return count


def parse_stream(fields: Fields) -> tuple[bool, bool]:
    """The fields `stream` and `stream_options`: whether it is one, and whether it has the usage."""
    stream, options = bool(fields.flag("stream")), fields.inner("stream_options")
    if options is None:
        return stream, False
    if not stream:
        raise InvalidRequest(
            "stream_options is only allowed when stream is true.", param="stream_options"
        )
    if options.flag("include_obfuscation"):
        raise UnsupportedParameter(
            "stream_options.include_obfuscation is not supported here: leave it out.",
            param="stream_options.include_obfuscation",
        )
    return stream, bool(options.flag("include_usage"))


def seeded(seed: int | None, place: int) -> int | None:
    """The seed of a choice: the next one for each, as the same would give the same answer."""
    return None if seed is None else (seed + place + 2**63) % 2**64 - 2**63


def _top_k(fields: Fields) -> int | None:
    """The parameter is vLLM's, and so is -1 for all tokens."""
    count = fields.integer("top_k")
    return 0 if count == -1 else count


def _stop(fields: Fields) -> tuple[str, ...]:
    value = fields.raw("stop")
    if value is None:
        return ()
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, list):
        raise fields.wrong("stop", "a string or an array of strings")
    if len(value) > MAX_STOPS:
        raise InvalidRequest(
            f"stop may hold at most {MAX_STOPS} strings, but holds {len(value)}.", param="stop"
        )
    return tuple([_stop_text(text, place) for place, text in enumerate(value)])


def _stop_text(text: object, place: int) -> str:
    if not isinstance(text, str):
        raise InvalidRequest(f"stop[{place}] must be a string, but is {shown(text)}.", param="stop")
    return text


def _logit_bias(fields: Fields) -> dict[str, float] | None:
    biases = fields.inner("logit_bias")
    value = fields.raw("logit_bias")
    if biases is None or not isinstance(value, dict) or not value:
        return None
    if len(value) > MAX_BIASES:
        raise InvalidRequest(
            f"logit_bias may name at most {MAX_BIASES} tokens, but names {len(value)}.",
            param="logit_bias",
        )
    return {token: _bias(biases, token) for token in value}


def _bias(biases: Fields, token: str) -> float:
    if not (token.isascii() and token.isdigit() and len(token) <= 10):
        raise InvalidRequest(
            f"logit_bias has the key {clip(token)!r}, but its keys must be token ids.",
            param="logit_bias",
        )
    bias = biases.number(token)
    if bias is None or not -100 <= bias <= 100:
        raise InvalidRequest(
            f"logit_bias must be from -100 to 100, but is {shown(biases.raw(token))} for the "
            f"token {token}.",
            param="logit_bias",
        )
    return bias
