"""Models that make vectors, through transformers: torch and tensors are in here.

Loaded by name in the engine's process (`aiplat.engine.worker`); the node never imports it.
"""
