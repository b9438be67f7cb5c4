"""py-libp2p on trio: identity, host, guards, known addresses, channels. libp2p stays in here."""
