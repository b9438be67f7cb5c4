"""The web pages, for people without a terminal. They see a node through the control API alone."""
