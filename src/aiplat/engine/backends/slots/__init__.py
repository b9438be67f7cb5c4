"""transformers with a KV cache of slots: one forward a step for all requests, nothing padded.

Loaded by name in the engine's process (`aiplat.engine.worker`); the node never imports it.
"""
