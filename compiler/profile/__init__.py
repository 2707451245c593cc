"""Latency and energy of a mapped network on a stimulus, before there is hardware.

`reach` says what one packet of each source causes, `count` how often that happens in each step and
core, `ledger` what it costs, `timing` how long the steps take and what they wait for. Constants and
formulas are those of a chip's file (`boards.costs`).
"""
