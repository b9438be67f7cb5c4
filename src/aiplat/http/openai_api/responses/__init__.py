"""OpenAI's Responses API on our requests: items, events, stored answers. One idea a file."""
