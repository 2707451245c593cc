"""Tests of the reader of Lava-DL files."""
