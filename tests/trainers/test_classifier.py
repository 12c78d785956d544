"""A classifier out of a run, a checkpoint, or somebody else's weights."""
