"""How a network learns: configuration, losses, two steps, and the run around them."""
