"""The network as the roles see it: this node, its peers, and a channel to each.

py-libp2p on trio lives here and nowhere else, behind guards for what version 0.8.1 gets wrong.
"""
