"""The parameters of OpenAI's API that nothing here can honour: refused by name, never ignored.

A value that asks for nothing is accepted, since clients fill in their defaults. What OpenAI's
API does not know is tolerated, as OpenAI does; but for what other servers know, and what would
change the answer there.
Source: the published schemas `CreateChatCompletionRequest`, `CreateCompletionRequest` and
`CreateEmbeddingRequest`.
"""

from __future__ import annotations

from aiplat.http.neutral import Neutral, refuse_wanted
from aiplat.http.reading import Fields

_OTHERS: Neutral = {
    # Of other servers: they would change the answer.
    "min_tokens": (0,),
    "ignore_eos": (False,),
    "prompt_logprobs": (),
    "stop_token_ids": ([],),
    "include_stop_str_in_output": (False,),
    "skip_special_tokens": (True,),
    "bad_words": ([],),
    "use_beam_search": (False,),
    "length_penalty": (1, 1.0),
    "repeat_penalty": (1, 1.0),
    "typical_p": (1, 1.0),
    "mirostat": (0,),
    "grammar": ("",),
    "structured_outputs": (),
    "guided_json": (),
    "guided_regex": (),
    "guided_choice": (),
    "guided_grammar": (),
    # No parameter of OpenAI's, but who writes it here means the header, and must not be ignored.
    "privacy": ("any",),
}

_CHAT: Neutral = {
    "modalities": (["text"], []),
    "audio": (),
    "prediction": (),
    "reasoning_effort": ("none",),
    "verbosity": ("medium",),
    "service_tier": ("auto", "default"),
    "store": (False,),
    "web_search_options": (),
    "moderation": (),
    "prompt_cache_options": ({"mode": "implicit"}, {}),
    "prompt_cache_retention": ("in_memory", "in-memory"),
    # Of completions.
    "best_of": (1,),
    "echo": (False,),
    "suffix": ("",),
    # Of other servers, for chat alone.
    "chat_template": (),
    "chat_template_kwargs": ({},),
    "continue_final_message": (False,),
    "add_generation_prompt": (True,),
    "documents": ([],),
    **_OTHERS,
}

_COMPLETION: Neutral = {
    "suffix": ("",),
    # Of chat completions.
    "messages": (),
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "functions": ([],),
    "function_call": ("none", "auto"),
    "response_format": ({"type": "text"},),
    "reasoning_effort": ("none",),
    "top_logprobs": (),
    "max_completion_tokens": (),
    "service_tier": ("auto", "default"),
    "store": (False,),
    **_OTHERS,
}

_EMBEDDING: Neutral = {
    # Of other servers.
    "truncate_prompt_tokens": (),
    "input_type": (),
    "prompt": (),
    "messages": (),
    "stream": (False,),
    "privacy": ("any",),
}

_NO_CALLS: Neutral = {"tool_calls": ([],), "function_call": (), "refusal": ()}
_MESSAGE: dict[str, Neutral] = {
    "assistant": {"audio": (), "tool_call_id": ()},
    "tool": {"audio": (), **_NO_CALLS},
}
_OF_OTHERS: Neutral = {"audio": (), "tool_call_id": (), **_NO_CALLS}


def refuse_in_chat(fields: Fields) -> None:
    """Raise `UnsupportedParameter` for the first field of a request that is out of reach."""
    refuse_wanted(fields, _CHAT)


def refuse_in_completion(fields: Fields) -> None:
    """The same for one to completions."""
    refuse_wanted(fields, _COMPLETION)


def refuse_in_embedding(fields: Fields) -> None:
    """The same for one to embeddings."""
    refuse_wanted(fields, _EMBEDDING)


def refuse_in_message(fields: Fields, role: str) -> None:
    """The same for one message, which has what others of its role have not."""
    refuse_wanted(fields, _MESSAGE.get(role, _OF_OTHERS))
