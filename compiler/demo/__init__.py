"""Networks that are trained on the spot, for demonstrations."""
