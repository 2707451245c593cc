"""What a network is: the graph, the rules of a step, its text and its verifier. Numpy only."""
