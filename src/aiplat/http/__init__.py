"""The HTTP doors, on hypercorn's trio worker: OpenAI API, control API, metrics, health."""
