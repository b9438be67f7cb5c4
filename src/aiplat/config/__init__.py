"""The loader of settings. It knows no section: each layer owns its own frozen class."""
