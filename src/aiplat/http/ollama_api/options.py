"""Ollama's `options`, as our sampling. Pure.

Source: "Valid parameters and values" of Ollama's Modelfile reference. What is not given is left to
the model, as everywhere here; Ollama has defaults of its own.
"""

from __future__ import annotations

from aiplat.domain.chat import MAX_STOPS, Sampling
from aiplat.domain.errors import InvalidRequest
from aiplat.http.neutral import refuse_wanted
from aiplat.http.ollama_api.unsupported import MACHINES, OPTIONS
from aiplat.http.openai_api.sampling import check_as_sent
from aiplat.http.reading import Fields, shown

SENT = {
    "max_tokens": "options.num_predict",
    "repetition_penalty": "options.repeat_penalty",
    "logprobs": "top_logprobs",
    "response_format": "format",
    **{
        name: f"options.{name}"
        for name in (
            "temperature", "top_p", "top_k", "min_p", "seed", "stop", "presence_penalty",
            "frequency_penalty",
        )
    },
}  # fmt: skip
"""What a field of `Sampling` is called in a request."""


def parse_options(fields: Fields) -> Sampling:
    """The field `options` of a request to generate, with its `logprobs`.

    Raises:
        InvalidRequest: names the option, the value and the bound.
        UnsupportedParameter: names an option that nothing here can honour.
    """
    options = fields.inner("options") or Fields({}, "options")
    check_machine(options)
    sampling = Sampling(
        temperature=options.number("temperature"),
        top_p=options.number("top_p"),
        max_tokens=_unless(options.integer("num_predict"), -1, -2),  # without end; to fill it
        seed=_unless(options.integer("seed"), -1),  # any
        stop=_stops(options),
        top_k=options.integer("top_k"),
        min_p=options.number("min_p"),
        repetition_penalty=options.number("repeat_penalty"),
        presence_penalty=options.number("presence_penalty") or None,
        frequency_penalty=options.number("frequency_penalty") or None,
        logprobs=_logprobs(fields),
    )
    check_as_sent(sampling, SENT)
    return sampling


def check_machine(options: Fields) -> None:
    """Refuse options that are out of reach; look at those that ask for what the owner decides.

    Raises:
        InvalidRequest: one is of no kind that it could be.
        UnsupportedParameter: names one that nothing here can honour.
    """
    refuse_wanted(options, OPTIONS)
    for name in MACHINES:
        if not isinstance(options.raw(name), int | None):
            raise options.wrong(name, "a whole number, or true or false")


def _unless(value: int | None, *meaningless: int) -> int | None:
    return None if value in meaningless else value


def _stops(options: Fields) -> tuple[str, ...]:
    value = options.raw("stop")
    if value is None:
        return ()
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list):
        raise options.wrong("stop", "a string or an array of strings")
    if len(texts) > MAX_STOPS:
        raise InvalidRequest(
            f"options.stop may hold at most {MAX_STOPS} strings, but holds {len(texts)}.",
            param="options.stop",
        )
    for text in texts:
        if not isinstance(text, str):
            raise InvalidRequest(
                f"options.stop holds {shown(text)}, but may hold strings alone.",
                param="options.stop",
            )
    return tuple(texts)


def _logprobs(fields: Fields) -> int | None:
    wanted, top = fields.flag("logprobs"), fields.integer("top_logprobs")
    if wanted:
        return top or 0
    if top:
        raise InvalidRequest(
            f"top_logprobs is {top}, but is only allowed when logprobs is true.",
            param="top_logprobs",
        )
    return None
