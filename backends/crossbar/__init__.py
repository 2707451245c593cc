"""Memristor crossbars: what the wires of an array of conductances leave of a matrix product.

``circuit`` is the electrical arrangement, ``solve`` its exact currents, ``device`` what becomes of
programmed cells. There is no target to compile to yet.
"""
