"""How much a key, a user or a peer may take: windows of a minute, places, months, and promises.

Pure: the clocks are passed in, nothing is written anywhere, and all of it runs on one loop.
"""
