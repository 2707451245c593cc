"""Design-space exploration: which points of a space are worth building.

`space` says what may vary, `evaluate` what one point costs, `search` which points to look at,
`journal` keeps every result, `workers` runs evaluations, `run` joins them.
"""
