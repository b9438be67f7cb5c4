"""langchain-openai against a node: tells what it found, as JSON."""

import json
import os

import openai
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel, Field

CHAT, VECTORS = os.environ["CHAT_MODEL"], os.environ["VECTOR_MODEL"]
QUESTION = "What is the capital of France?"


class Person(BaseModel):
    """A person."""

    name: str = Field(max_length=20)
    age: int = Field(ge=0, le=150)


def weather(city: str) -> str:
    """The weather in a city."""
    return f"sunny in {city}"


def status(ask) -> int:
    try:
        ask()
    except openai.APIStatusError as error:
        return error.status_code
    return 200


def model(name: str = CHAT, **more):
    return ChatOpenAI(model=name, max_retries=0, max_tokens=120, temperature=0, **more)


answer = model().invoke(QUESTION)
calling = model(os.environ["TOOL_MODEL"]).bind_tools([weather], tool_choice="weather")
call = calling.invoke("What is the weather in Paris?").tool_calls[0]
form = model().with_structured_output(Person, method="json_schema").invoke("Invent a person.")
# Without this it cuts texts into tokens of OpenAI's by itself, and sends those.
vectors = OpenAIEmbeddings(model=VECTORS, check_embedding_ctx_length=False)
print(json.dumps({
    "chat": answer.content,
    "streamed": "".join(part.content for part in model(stream_usage=True).stream(QUESTION)),
    "tokens": answer.usage_metadata["total_tokens"],
    "tool": {"name": call["name"], "arguments": call["args"]},
    "form": form.model_dump(),
    "vector": len(vectors.embed_query("one")),
    "errors": {
        "key": status(lambda: model(api_key="sk-wrong").invoke("x")),
        "model": status(lambda: model("nobody-has-it").invoke("x")),
        "limit": status(lambda: model(api_key=os.environ["LIMITED_KEY"]).invoke("x")),
        "context": status(lambda: model().invoke("word " * 20_000)),
    },
}))  # fmt: skip
