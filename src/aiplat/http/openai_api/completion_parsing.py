"""A request for completions of text, without a conversation, turned into ours. Knows no socket.

Source: the published schema `CreateCompletionRequest`.
"""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from aiplat.domain.chat import Generate
from aiplat.domain.errors import InvalidRequest, UnsupportedParameter
from aiplat.http.openai_api.sampling import parse_choices, parse_sampling, parse_stream, seeded
from aiplat.http.openai_api.tolerated import check_labels, parse_metadata
from aiplat.http.openai_api.unsupported import refuse_in_completion
from aiplat.http.reading import Fields, parse_object, shown

DEFAULT_TOKENS = 16
"""Of an answer whose request does not say; it is OpenAI's."""


class CompletionRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked, and how the answers are wanted. An empty model takes the first.

    Arguments:
        work: what is asked of the first choice.
        prompts: texts that are continued, each in `each` choices.
        echo: whether a choice begins with its prompt.
    """

    work: Generate
    prompts: tuple[str, ...]
    each: int
    echo: bool
    model: str
    stream: bool
    include_usage: bool

    @property
    def choices(self) -> int:
        """How many answers are wanted in all."""
        return len(self.prompts) * self.each

    def prompt_of(self, index: int) -> str:
        """What the choice `index` continues: the choices of a prompt stand together."""
        return self.prompts[index // self.each]

    def works(self) -> list[Generate]:
        """What is asked for each choice: with a seed, the next one for each of a prompt's."""
        sampling = self.work.sampling
        return [
            replace(
                self.work,
                prompt=self.prompt_of(index),
                sampling=replace(sampling, seed=seeded(sampling.seed, index % self.each)),
            )
            for index in range(self.choices)
        ]


def parse_completion(body: bytes, most_choices: int = 1) -> CompletionRequest:
    """Parse a request to ``/v1/completions`` that asks for at most so many choices.

    Raises:
        InvalidRequest: names the field, the value and the bound.
        UnsupportedParameter: names a field that exists, but that nothing here can honour.
    """
    fields = Fields(parse_object(body))
    refuse_in_completion(fields)
    check_labels(fields)
    parse_metadata(fields)
    stream, include_usage = parse_stream(fields)
    each = parse_choices(fields, most_choices)
    _check_best_of(fields, each)
    limit = fields.integer("max_tokens")
    limited = ("max_tokens", DEFAULT_TOKENS if limit is None else limit)
    sampling = parse_sampling(fields, limited, ("logprobs", fields.integer("logprobs")))
    prompts = _prompts(fields, each, most_choices)
    return CompletionRequest(
        work=Generate((), sampling, prompt=prompts[0]),
        prompts=prompts,
        each=each,
        echo=_echo(fields, sampling.logprobs),
        model=fields.text("model") or "",
        stream=stream,
        include_usage=include_usage,
    )


def _prompts(fields: Fields, each: int, most_choices: int) -> tuple[str, ...]:
    value = fields.raw("prompt")
    values = value if isinstance(value, list) and value else [value]
    if len(values) * each > most_choices:
        raise InvalidRequest(
            f"prompt holds {len(values)} texts and n is {each}: together {len(values) * each} "
            f"answers, but at most {most_choices} are given (http.max_choices).",
            param="prompt",
        )
    return tuple([_prompt(fields, one, value is values, at) for at, one in enumerate(values)])


def _prompt(fields: Fields, value: object, is_one_of: bool, at: int) -> str:
    path = f"prompt[{at}]" if is_one_of else "prompt"
    is_id = isinstance(value, int) and not isinstance(value, bool)
    if is_id or (is_one_of and isinstance(value, list)):
        raise UnsupportedParameter(
            f"{path} is {shown(value)}, but token ids are not supported here: send text.",
            param="prompt",
        )
    if not isinstance(value, str):
        raise fields.wrong("prompt", "a string or an array of strings")
    if not value:
        raise InvalidRequest(f"{path} is empty: there is nothing to continue.", param="prompt")
    return value


def _echo(fields: Fields, logprobs: int | None) -> bool:
    echo = bool(fields.flag("echo"))
    if echo and logprobs is not None:
        raise UnsupportedParameter(
            "echo is not supported with logprobs here, as those of a prompt are not known: leave "
            "out one of them.",
            param="echo",
        )
    return echo


def _check_best_of(fields: Fields, each: int) -> None:
    """To choose the best of more than are given is not done; of as many, there is no choice."""
    best_of = fields.integer("best_of")
    if best_of is not None and best_of != each:
        raise UnsupportedParameter(
            f"best_of is not supported here (it is {best_of}, and n is {each}): leave it out.",
            param="best_of",
        )
