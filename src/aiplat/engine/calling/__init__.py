"""Tools that a model calls: how its family writes a call, and how one is found in its text.

Pure: text in, text and calls out. It knows no tokenizer and no grammar library.
"""
