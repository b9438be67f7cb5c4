"""The pane Peers."""
