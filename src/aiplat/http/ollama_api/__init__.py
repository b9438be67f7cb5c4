"""Ollama's API on our requests: parsing, rendering, streaming, models."""
