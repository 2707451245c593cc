"""From a network to a machine: which core each neuron is in, where the cores sit, what runs where.

``axons`` (what is mapped) -> ``partition`` -> ``place`` -> ``route``; the result is a
``mapping.Mapping``, and ``check`` counts it again from the connections. ``backends/chips``
runs it core by core against the integer executor.
"""
