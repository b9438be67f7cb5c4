"""Client, gateway and processor: what a node does with the requests that reach it."""
