"""Passes: what is done to a network between reading it and emitting it."""
