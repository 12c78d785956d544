"""Programs that run exports; each runs in a process of its own."""
