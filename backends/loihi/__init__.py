"""Loihi, through Lava: a network in Loihi's arithmetic becomes a program that needs only Lava.

The rung ``lava`` runs the program in a Python that has Lava, in Lava's bit-accurate models.
"""
