"""A SQLite file of a node's own: opened when used, begun anew when broken. Knows no table."""
