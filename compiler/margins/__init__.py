"""Margins: how far the values of a circuit may be off before its spikes are others.

`job` evaluates groups of elements and corners, `study` says which there are and what all of them
come to. Journal and workers are those of `explore`.
"""
