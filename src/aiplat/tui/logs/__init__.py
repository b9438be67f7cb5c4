"""The pane Logs."""
