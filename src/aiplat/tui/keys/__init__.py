"""The pane Keys."""
