"""From a configuration to a network with its initial weights."""
