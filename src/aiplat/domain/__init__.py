"""What everything in aiplat speaks of: chat, models, usage, answers, errors.

Pure data. Knows no file, socket, clock or random number, and imports no other part of aiplat.
"""
