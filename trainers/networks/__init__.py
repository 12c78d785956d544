"""From a configuration to a network with its first weights."""
