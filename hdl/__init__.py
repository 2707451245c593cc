"""Event-driven spiking cores in Amaranth: components, byte protocol, image and cycle model."""
