"""The integer rung: the quantised graph, executed bit for bit."""
