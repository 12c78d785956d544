"""How a network learns: configuration, losses, the two steps and the run around them."""
