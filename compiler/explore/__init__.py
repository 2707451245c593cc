"""Design-space exploration: which points of a space are worth building.

`space` says what may vary, `evaluate` what one point costs, `search` which points to look at, `run`
joins them. `point`, `journal` and `workers` know nothing of designs: what is evaluated, what came
of it, and where it runs.
"""
