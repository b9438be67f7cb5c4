"""Anthropic's Messages API on our requests: parsing, rendering, streaming, models."""
