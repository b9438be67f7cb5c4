"""The answers of a node's API that are kept for who asked, in SQLite: read again, deleted."""
