"""The pane Chat."""
