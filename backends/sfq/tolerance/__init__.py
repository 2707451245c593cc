"""What a program stands of bias, spread and chance, and how its synapses are trimmed."""
