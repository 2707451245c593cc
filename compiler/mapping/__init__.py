"""From a network to a machine: which core each neuron is in, where the cores sit, what runs where.

``axons`` (what is mapped) -> ``partition`` -> ``place`` -> ``route``; the result is a
``mapping.Mapping``, and ``check`` counts it again from the connections. ``cores`` has what is in
each core, and ``execute`` runs them, packet by packet, against the integer executor.
"""
