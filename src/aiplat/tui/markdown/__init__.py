"""Markdown as lines of styled text, as it streams in. Knows no widget and no colour."""
