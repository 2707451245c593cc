"""Circuits of Josephson junctions: their elements, decks, batched simulation and margins."""
