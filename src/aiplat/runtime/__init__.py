"""A node's life: logging, folders, start, drain and stop."""
