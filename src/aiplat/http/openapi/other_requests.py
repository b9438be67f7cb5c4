"""What Anthropic's and Ollama's APIs are sent here, as schemas; as `openai_requests`."""

from __future__ import annotations

from aiplat.domain.chat import MAX_INPUTS, MAX_STOPS, MAX_TOOLS
from aiplat.http.openapi.openai_requests import STOP, TOOL
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

_CONTENT = any_of("Text, or blocks.", text(), many(anything("A block, with its type.")))
_PROMPT = {
    "model": text("Of /v1/models.", minLength=1),
    "messages": many(
        table({"role": one_of("", "user", "assistant"), "content": _CONTENT}, "role", "content"),
        "The conversation.",
        minItems=1,
    ),
    "system": any_of("What the model is told first.", text(), many(anything("A block of text."))),
    "tools": many(
        table(
            {
                "name": text("", pattern="^[A-Za-z0-9_-]{1,64}$"),
                "description": text(),
                "input_schema": anything("A JSON Schema of the arguments."),
                "type": {"const": "custom"},
            },
            "name",
            "input_schema",
        ),
        "What the model may call.",
        maxItems=MAX_TOOLS,
    ),
    "tool_choice": table(
        {
            "type": one_of("", "auto", "any", "tool", "none"),
            "name": text(),
            "disable_parallel_tool_use": flag(""),
        },
        "type",
    ),
    "thinking": anything("Only of the type disabled."),
    "output_config": anything("format: the form of the answer."),
    "output_format": anything("The same, as it was called before."),
    "cache_control": anything("Taken: prompts are cached by user."),
    "service_tier": one_of("Taken.", "auto", "standard_only"),
    "metadata": table({"user_id": text("Taken, and kept nowhere.", maxLength=1024)}),
}

COUNT: Schema = table(dict(_PROMPT), "model", "messages")
MESSAGES: Schema = table(
    {
        **_PROMPT,
        "max_tokens": whole("How long the answer may be.", 1),
        "stop_sequences": many(text(minLength=1), "Where it ends.", maxItems=MAX_STOPS),
        "stream": flag("Whether it comes as server-sent events."),
        "temperature": number("", 0, 1),
        "top_p": number("", 0, 1),
        "top_k": whole("", 0),
    },
    "model",
    "messages",
    "max_tokens",
)

_MODEL = {
    "model": text("Of /api/tags, with or without Ollama's tag.", minLength=1),
    "name": text("The same, as it was called before."),
}
_KEEP = {
    "keep_alive": any_of("Taken: the processor's owner decides that.", text(), number("")),
}
_MACHINE = "What asks for how a machine runs the model is taken and has no effect."
_ASKED = {
    **_MODEL,
    **_KEEP,
    "stream": flag("Whether it comes as lines of JSON. It does unless false."),
    "format": any_of("The form of the answer.", {"const": "json"}, anything("A JSON Schema.")),
    "logprobs": flag("Whether the chances of the tokens are told."),
    "top_logprobs": whole("And of how many others in each place.", 0, 20),
    "options": table(
        {
            "temperature": number("", 0, 2),
            "top_p": number("", 0, 1),
            "top_k": whole("", 0),
            "min_p": number("", 0, 1),
            "seed": whole(""),
            "num_predict": whole("How long the answer may be."),
            "stop": STOP,
            "repeat_penalty": number("", 0),
            "presence_penalty": number("", -2, 2),
            "frequency_penalty": number("", -2, 2),
        },
        description=_MACHINE,
    ),
}
OLLAMA_CHAT: Schema = table(
    {
        **_ASKED,
        "messages": many(anything("role and content."), "None has the model loaded alone."),
        "tools": many(TOOL, "What the model may call.", maxItems=MAX_TOOLS),
    },
    "model",
)
OLLAMA_GENERATE: Schema = table(
    {
        **_ASKED,
        "prompt": text("None has the model loaded alone."),
        "system": text("What the model is told first."),
        "raw": flag("Whether the prompt is continued as it is, without the model's template."),
    },
    "model",
)
OLLAMA_EMBED: Schema = table(
    {
        **_MODEL,
        **_KEEP,
        "input": any_of(
            "Texts.", text(minLength=1), many(text(minLength=1), minItems=1, maxItems=MAX_INPUTS)
        ),
        "dimensions": whole("How many numbers of each vector, where the model allows it.", 1),
        "truncate": flag("Whether a text is cut to the model's context. It is unless false."),
        "options": anything(_MACHINE),
    },
    "model",
    "input",
)
OLLAMA_EMBEDDINGS: Schema = table(
    {
        **_MODEL,
        **_KEEP,
        "prompt": text("A text.", minLength=1),
        "options": anything(_MACHINE),
    },
    "model",
    "prompt",
)
OLLAMA_SHOW: Schema = table(dict(_MODEL), "model")
