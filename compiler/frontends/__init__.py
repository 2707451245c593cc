"""Formats of networks: one folder each, and one way to read a file of any of them."""

from __future__ import annotations

from .select import read_network

__all__ = ["read_network"]
