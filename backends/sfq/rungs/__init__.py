"""What runs a program: machines with delays, the junctions of a chip, JoSIM and ngspice."""
