"""Users, keys, limits, usage and the audit log of a gateway, in SQLite. Knows no wire, no HTTP."""
