"""How the cells were found and measured: benches, centring, timing, the law of the synapse."""
