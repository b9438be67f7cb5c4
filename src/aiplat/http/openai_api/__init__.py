"""OpenAI's API on our requests: parsing, rendering, streaming, models. One idea a file."""
