"""Conversations that a node keeps for its person: in SQLite, searched, deleted for good."""
