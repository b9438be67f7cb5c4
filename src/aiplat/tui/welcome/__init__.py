"""The card of the first steps."""
