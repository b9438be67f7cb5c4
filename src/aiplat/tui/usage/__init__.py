"""The pane Usage."""
