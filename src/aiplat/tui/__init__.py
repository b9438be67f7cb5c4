"""The full-screen terminal: what a person sees of a node. Knows the control API, and no more."""
