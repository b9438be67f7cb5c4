"""What OpenAI's API is sent here, as schemas: each field that is read, and no other.

What is refused by name (`unsupported`) stands in none: its absence is the answer. A test holds
these against what the parsers read.
"""

from __future__ import annotations

from aiplat.domain.chat import MAX_BIASES, MAX_INPUTS, MAX_STOPS, MAX_TOOLS
from aiplat.http.openapi.schemas import (
    Schema,
    any_of,
    anything,
    flag,
    many,
    number,
    one_of,
    table,
    text,
    whole,
)  # fmt: skip

MODEL = text("Of /v1/models; without one the first that is ready answers.")
_LABELS = {
    "user": text("Taken, and kept nowhere: the key says who asks.", maxLength=1024),
    "safety_identifier": text("The same.", maxLength=1024),
    "prompt_cache_key": text("The same: prompts are cached by user.", maxLength=1024),
    "metadata": {
        "type": "object", "additionalProperties": text(maxLength=512), "maxProperties": 16,
        "description": "Names and texts of the caller's own.",
    },
}  # fmt: skip
_STREAM = {
    "stream": flag("Whether the answer comes as server-sent events."),
    "stream_options": table(
        {
            "include_usage": flag("Whether a last chunk tells the tokens used."),
            "include_obfuscation": flag("Only false."),
        },
        description="Only with stream.",
    ),
}
STOP = any_of(
    "Where the answer ends, which is not part of it.",
    text(minLength=1),
    many(text(minLength=1), maxItems=MAX_STOPS),
)
_SAMPLING = {
    "temperature": number(
        "0 for the likeliest token each time. Where it is left out the model's own holds.",
        0, 2,
    ),
    "top_p": number("The share of the likeliest tokens that is drawn from.", 0, 1),
    "seed": whole("The same draws again, on a processor of the same numerics."),
    "stop": STOP,
    "n": whole("How many answers (http.max_choices).", 1),
    "presence_penalty": number("For what was said before.", -2, 2),
    "frequency_penalty": number("For how often it was said.", -2, 2),
    "logit_bias": {
        "type": "object", "additionalProperties": number("", -100, 100),
        "maxProperties": MAX_BIASES, "description": "By token id.",
    },
    "top_k": whole("How many of the likeliest tokens are drawn from; no field of OpenAI's.", -1),
    "min_p": number("The least chance beside the likeliest; no field of OpenAI's.", 0, 1),
    "repetition_penalty": number("No field of OpenAI's.", 0),
}  # fmt: skip
FUNCTION = table(
    {
        "name": text("", pattern="^[A-Za-z0-9_-]{1,64}$"),
        "description": text(""),
        "parameters": anything("A JSON Schema of the arguments."),
        "strict": flag("Hold the arguments to the schema also where the model may choose to call."),
    },
    "name",
)
TOOL = table({"type": {"const": "function"}, "function": FUNCTION}, "type", "function")
_MESSAGE = table(
    {
        "role": one_of("", "system", "developer", "user", "assistant", "tool", "function"),
        "content": any_of(
            "Text, or parts of the type text.",
            text(),
            many(table({"type": {"const": "text"}, "text": text()}, "type", "text")),
        ),
        "name": text("Who speaks."),
        "tool_calls": many(anything("A call of a tool, as it was answered.")),
        "tool_call_id": text("The call that a message of the role tool answers."),
    },
    "role",
)

CHAT: Schema = table(
    {
        "messages": many(_MESSAGE, "The conversation.", minItems=1),
        "model": MODEL,
        "max_completion_tokens": whole("How long the answer may be.", 1),
        "max_tokens": whole("The same, under its older name.", 1),
        "logprobs": flag("Whether the chances of the tokens are told."),
        "top_logprobs": whole("And of how many others in each place; with logprobs.", 0, 20),
        "tools": many(TOOL, "What the model may call.", maxItems=MAX_TOOLS),
        "tool_choice": any_of(
            "Whether it calls one, or which.",
            one_of("", "none", "auto", "required"),
            anything("A tool by its name."),
        ),
        "parallel_tool_calls": flag("Whether it may call several at once."),
        "functions": many(FUNCTION, "tools, as they were before.", maxItems=MAX_TOOLS),
        "function_call": any_of("tool_choice, as it was before.", text(), anything("")),
        "response_format": table(
            {
                "type": one_of("", "text", "json_object", "json_schema"),
                "json_schema": anything("name, schema, and whether it is strict."),
            },
            "type",
            description="The form of the answer.",
        ),
        **_SAMPLING,
        **_STREAM,
        **_LABELS,
    },
    "messages",
)
COMPLETION: Schema = table(
    {
        "prompt": any_of("What is continued.", text(minLength=1), many(text(minLength=1))),
        "model": MODEL,
        "max_tokens": whole("How long the answer may be; 16 without.", 1),
        "logprobs": whole("Of how many tokens in each place the chances are told.", 0, 20),
        "echo": flag("Whether the answer begins with its prompt."),
        "best_of": whole("Only what n is.", 1),
        **_SAMPLING,
        **_STREAM,
        **_LABELS,
    },
    "prompt",
)
EMBEDDING: Schema = table(
    {
        "input": any_of(
            "Texts.", text(minLength=1), many(text(minLength=1), minItems=1, maxItems=MAX_INPUTS)
        ),
        "model": MODEL,
        "dimensions": whole("How many numbers of each vector, where the model allows it.", 1),
        "encoding_format": one_of("How numbers are written.", "float", "base64"),
        **{name: _LABELS[name] for name in ("user", "safety_identifier", "prompt_cache_key")},
    },
    "input",
)
RESPONSE: Schema = table(
    {
        "input": any_of(
            "Text, or items: messages, calls of tools, and what came of them.",
            text(minLength=1),
            many(anything("An item, with its type."), minItems=1),
        ),
        "model": MODEL,
        "instructions": text("A system message, which is not stored with the conversation."),
        "previous_response_id": text("The stored answer that it goes on from.", minLength=1),
        "max_output_tokens": whole("How long the answer may be.", 1),
        "temperature": _SAMPLING["temperature"],
        "top_p": _SAMPLING["top_p"],
        "top_logprobs": whole("With message.output_text.logprobs in include.", 0, 20),
        "include": many(text(), "What is told besides."),
        "text": anything("format: the form of the answer; verbosity: medium."),
        "tools": many(anything("A function: type, name, parameters."), "", maxItems=MAX_TOOLS),
        "tool_choice": any_of("", text(), anything("")),
        "parallel_tool_calls": flag("Whether it may call several tools at once."),
        "reasoning": anything("Only effort none."),
        "store": flag("Whether it is stored, for the key's user alone. It is unless false."),
        **_STREAM,
        **_LABELS,
    },
)
