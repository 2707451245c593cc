"""When packets arrive: a chip's interconnect cycle by cycle, and a fast estimate of it.

``fabric`` (what the interconnect is, in cycles), ``trees`` (the routes of a mapping, in a form to
walk) and ``packets`` (what is sent, what arrives) -> ``cycle`` (the simulation; its rules are
written there) or ``analytic`` (the estimate). What that does to spikes: `profile.distortion`.
"""
