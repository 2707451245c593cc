"""Superconducting single-flux-quantum circuits: their simulation."""
