"""LiteLLM as a client of a node: tells what it found, as JSON."""

import json
import os

import litellm

litellm.suppress_debug_info = True
BASE, KEY = os.environ["OPENAI_BASE_URL"], os.environ["OPENAI_API_KEY"]
CHAT, VECTORS = os.environ["CHAT_MODEL"], os.environ["VECTOR_MODEL"]
ASKED = [{"role": "user", "content": "What is the capital of France?"}]
WEATHER = {
    "type": "object", "properties": {"city": {"type": "string", "maxLength": 20}},
    "required": ["city"], "additionalProperties": False,
}  # fmt: skip
PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 20},
        "age": {"type": "integer", "minimum": 0, "maximum": 150},
    },
    "required": ["name", "age"], "additionalProperties": False,
}  # fmt: skip


def ask(messages=ASKED, model=CHAT, key=KEY, **more):
    return litellm.completion(
        model=f"openai/{model}", api_base=BASE, api_key=key, messages=messages, max_tokens=60,
        num_retries=0, max_retries=0, **more,
    )  # fmt: skip


def status(**more) -> int:
    try:
        ask(**more)
    except Exception as error:  # noqa: BLE001  # it has no root of its own
        return error.status_code
    return 200


answer = ask()
parts = list(ask(stream=True, stream_options={"include_usage": True}))
call = ask(
    [{"role": "user", "content": "What is the weather in Paris?"}], os.environ["TOOL_MODEL"],
    tool_choice="required",
    tools=[{"type": "function", "function": {"name": "weather", "parameters": WEATHER}}],
).choices[0].message.tool_calls[0]  # fmt: skip
form = ask(
    [{"role": "user", "content": "Invent a person."}],
    response_format={
        "type": "json_schema",
        "json_schema": {"name": "person", "schema": PERSON, "strict": True},
    },
)
vector = litellm.embedding(
    model=f"openai/{VECTORS}", api_base=BASE, api_key=KEY, input=["one"], encoding_format="float"
)
long = [{"role": "user", "content": "word " * 20_000}]
print(json.dumps({
    "chat": answer.choices[0].message.content,
    "streamed": "".join(part.choices[0].delta.content or "" for part in parts if part.choices),
    "tokens": answer.usage.total_tokens,
    "tool": {"name": call.function.name, "arguments": json.loads(call.function.arguments)},
    "form": json.loads(form.choices[0].message.content),
    "vector": len(vector.data[0]["embedding"]),
    "errors": {
        "key": status(key="sk-wrong"),
        "model": status(model="nobody-has-it"),
        "limit": status(key=os.environ["LIMITED_KEY"]),
        "context": status(messages=long),
    },
}))  # fmt: skip
