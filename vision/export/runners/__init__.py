"""Programs that use exports as anyone would; each runs in a process of its own."""
