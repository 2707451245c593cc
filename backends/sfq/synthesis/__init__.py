"""From a quantised graph to a netlist of cells, when its pulses come, and its files."""
