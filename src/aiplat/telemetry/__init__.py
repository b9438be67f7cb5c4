"""Every metric of a node, by name, on one page."""
