"""When packets arrive: a chip's interconnect cycle by cycle, and a fast estimate of it.

``fabric`` (what the interconnect is, in cycles) and ``trees`` (the routes of a mapping, in a form
to walk) -> ``cycle`` (the simulation; its rules are written there) or ``analytic`` (the estimate); ``timing`` sums up.
"""
