"""spikec: a compiler from trained spiking neural networks to neuromorphic hardware."""
