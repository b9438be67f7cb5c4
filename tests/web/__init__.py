"""The web pages: without a browser, and in one."""
