"""Every operation of the front door, as it is described. A test holds it against the routes."""

from __future__ import annotations

from typing import Any

from aiplat.http.anthropic_api import models as anthropic_models
from aiplat.http.anthropic_api.rendering import AnswerMessage
from aiplat.http.ollama_api.models import Shown
from aiplat.http.ollama_api.rendering import Embeddings, Line
from aiplat.http.openai_api import models as openai_models
from aiplat.http.openai_api.completion_rendering import TextCompletion
from aiplat.http.openai_api.embedding_rendering import EmbeddingList
from aiplat.http.openai_api.rendering import Completion
from aiplat.http.openai_api.responses.routes import ItemPage
from aiplat.http.openai_api.responses.shapes import Response
from aiplat.http.openapi import openai_requests, other_requests, shapes
from aiplat.http.openapi.operation import EVENTS, LINES, Operation
from aiplat.http.openapi.schemas import one_of, text, whole

OPENAI, ANTHROPIC, OLLAMA, NODE = "OpenAI", "Anthropic", "Ollama", "The node"

_HI = [{"role": "user", "content": "Say hello."}]


def _hi(**more: Any) -> dict[str, Any]:
    return {"model": "smollm2-135m", "messages": _HI, **more}


_OPENAI = (
    Operation(
        method="post", path="/v1/chat/completions", tag=OPENAI,
        summary="An answer to a conversation.",
        text="A stream ends in `data: [DONE]`; one that fails after it began ends in `data: "
        '{"error": …}` without it. Comment lines keep it alive while it waits.',
        sent=openai_requests.CHAT, example=_hi(max_completion_tokens=20), answer=Completion,
        stream=EVENTS,
    ),
    Operation(
        method="post", path="/v1/completions", tag=OPENAI,
        summary="Texts, continued without a conversation.",
        sent=openai_requests.COMPLETION, answer=TextCompletion, stream=EVENTS,
        example={"model": "smollm2-135m", "prompt": "Once upon a time", "max_tokens": 20},
    ),
    Operation(
        method="post", path="/v1/embeddings", tag=OPENAI, summary="Texts as vectors of length 1.",
        sent=openai_requests.EMBEDDING, answer=EmbeddingList,
        example={"model": "all-minilm-l6-v2", "input": ["one text", "another"]},
    ),
    Operation(
        method="post", path="/v1/responses", tag=OPENAI,
        summary="An answer that is stored, and that the next can go on from.",
        text="It is stored unless `store` is false, and can be read by the user who made it alone.",
        sent=openai_requests.RESPONSE, answer=Response, stream=EVENTS,
        example={"model": "smollm2-135m", "input": "Say hello.", "max_output_tokens": 20},
    ),
    Operation(
        method="post", path="/v1/responses/input_tokens", tag=OPENAI,
        summary="How many tokens a prompt has.", sent=openai_requests.RESPONSE,
        answer=shapes.InputTokens, example={"model": "smollm2-135m", "input": "Say hello."},
    ),
    Operation(
        method="get", path="/v1/responses/{id}", tag=OPENAI, summary="A stored answer.",
        answer=Response,
    ),
    Operation(
        method="delete", path="/v1/responses/{id}", tag=OPENAI,
        summary="Delete a stored answer for good.", answer=shapes.DeletedResponse,
    ),
    Operation(
        method="get", path="/v1/responses/{id}/input_items", tag=OPENAI,
        summary="What a stored answer was made from.", answer=ItemPage,
        query={
            "limit": whole("How many; 20 without.", 1, 100),
            "order": one_of("The newest first, unless asc.", "asc", "desc"),
            "after": text("The id of the item that the page begins after."),
        },
    ),
    Operation(
        method="get", path="/v1/models", tag=OPENAI, summary="The models that the key may ask.",
        text="With the header `anthropic-version` they come in Anthropic's shape, in pages.",
        answer=(openai_models.ModelPage, anthropic_models.ModelPage), errors="either",
        query={
            "limit": whole("Anthropic's: how many; 20 without.", 1, anthropic_models.MAX_PAGE),
            "after_id": text("Anthropic's: the model that the page begins after."),
            "before_id": text("Anthropic's: the model that it ends before."),
        },
    ),
    Operation(
        method="get", path="/v1/models/{id}", tag=OPENAI, summary="One of them.",
        text="An id may have slashes.",
        answer=(openai_models.Model, anthropic_models.ModelInfo), errors="either",
    ),
)  # fmt: skip

_ANTHROPIC = (
    Operation(
        method="post", path="/v1/messages", tag=ANTHROPIC, summary="An answer to a conversation.",
        sent=other_requests.MESSAGES, example=_hi(max_tokens=20), answer=AnswerMessage,
        stream=EVENTS, errors="anthropic",
    ),
    Operation(
        method="post", path="/v1/messages/count_tokens", tag=ANTHROPIC,
        summary="How many tokens a prompt has.", sent=other_requests.COUNT, example=_hi(),
        answer=shapes.TokenCount, errors="anthropic",
    ),
)  # fmt: skip

_OLLAMA = (
    Operation(
        method="post", path="/api/chat", tag=OLLAMA, summary="An answer to a conversation.",
        text="It comes as lines of JSON unless `stream` is false.",
        sent=other_requests.OLLAMA_CHAT, example=_hi(stream=False), answer=Line, stream=LINES,
        errors="ollama",
    ),
    Operation(
        method="post", path="/api/generate", tag=OLLAMA, summary="An answer to a prompt.",
        text="It comes as lines of JSON unless `stream` is false.",
        sent=other_requests.OLLAMA_GENERATE, answer=Line, stream=LINES,
        example={"model": "smollm2-135m", "prompt": "Say hello.", "stream": False},
        errors="ollama",
    ),
    Operation(
        method="post", path="/api/embed", tag=OLLAMA, summary="Texts as vectors of length 1.",
        sent=other_requests.OLLAMA_EMBED, answer=Embeddings, errors="ollama",
        example={"model": "all-minilm-l6-v2", "input": ["one text", "another"]},
    ),
    Operation(
        method="post", path="/api/embeddings", tag=OLLAMA,
        summary="One text as a vector: an older form.",
        sent=other_requests.OLLAMA_EMBEDDINGS, answer=shapes.OllamaVector, errors="ollama",
        example={"model": "all-minilm-l6-v2", "prompt": "one text"},
    ),
    Operation(
        method="post", path="/api/show", tag=OLLAMA, summary="One model.",
        sent=other_requests.OLLAMA_SHOW, example={"model": "smollm2-135m"}, answer=Shown,
        errors="ollama",
    ),
    Operation(
        method="get", path="/api/tags", tag=OLLAMA, summary="The models that the key may ask.",
        answer=shapes.OllamaTags, errors="ollama",
    ),
    Operation(
        method="get", path="/api/ps", tag=OLLAMA, summary="Those of them that are loaded.",
        answer=shapes.OllamaRunning, errors="ollama",
    ),
    Operation(
        method="get", path="/api/version", tag=OLLAMA,
        summary="The version of Ollama's API that is spoken.", answer=shapes.OllamaVersion,
        errors="ollama",
    ),
)  # fmt: skip

_NODE = (
    Operation(
        method="get", path="/healthz", tag=NODE, summary="Whether the node lives.", access="open",
        answer=shapes.Alive,
    ),
    Operation(
        method="get", path="/health", tag=NODE, summary="The same.", access="open",
        answer=shapes.Alive,
    ),
    Operation(
        method="get", path="/readyz", tag=NODE, summary="Whether it can serve, or what is missing.",
        text="200 when it can, 503 when it cannot.", access="open", answer=shapes.Ready,
        errors="health",
    ),
    Operation(
        method="get", path="/metrics", tag=NODE, summary="Metrics, in the form of Prometheus.",
        text="They are in docs/metrics.md.", access="admin", answer=text(), media="text/plain",
    ),
    Operation(
        method="get", path="/openapi.json", tag=NODE, summary="This description.", access="open",
        answer={"type": "object", "required": ["openapi", "info", "paths"]},
    ),
    Operation(
        method="get", path="/docs", tag=NODE, summary="The same for people.", access="open",
        answer=text(), media="text/html",
    ),
)  # fmt: skip

OPERATIONS = (*_OPENAI, *_ANTHROPIC, *_OLLAMA, *_NODE)
