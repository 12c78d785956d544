"""Options of layers by name; importable without TensorFlow."""

# What `Head` makes of the pixels of the last map.
POOLINGS = ('average', 'max', 'flatten')
