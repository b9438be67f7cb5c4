"""The wire, with no I/O in it: bytes in, messages out, and the other way.

Executes nothing; knows no socket, no clock and no task. What may be said when is a table in
`conversation`; what is said is in `messages`; how it lies in bytes is in `framing`.
"""
