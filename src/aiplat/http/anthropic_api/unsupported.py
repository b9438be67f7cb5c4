"""The parameters of Anthropic's API that nothing here can honour, and values that ask for nothing.

What its API does not know is tolerated. So are those that ask for what is done anyhow or never:
`cache_control` (the cache of prompts needs no marks), `service_tier` (there are no tiers),
`metadata.user_id` (a key says whose a request is).
Source: `MessageCreateParams` of Anthropic's published client.
"""

from __future__ import annotations

from aiplat.http.neutral import Neutral

REQUEST: Neutral = {
    "container": (),
    "context_management": ({}, {"edits": []}),
    "mcp_servers": ([],),
    "inference_geo": (),
    "speed": ("standard",),
    "user_profile_id": (),
    "diagnostics": ({}, {"previous_message_id": None}),
    # No parameter of Anthropic's, but who writes it here means the header, and must not be ignored.
    "privacy": ("any",),
}

TOOL: Neutral = {
    "allowed_callers": (["direct"],),
    "defer_loading": (False,),
    "input_examples": ([],),
}

OUTPUT: Neutral = {"effort": ("high",)}
"""Of `output_config`; the value is what Anthropic takes where none is given."""

THINKING = ("disabled", "adaptive")
"""Adaptive leaves to the model how much it thinks: none of ours shows any."""
