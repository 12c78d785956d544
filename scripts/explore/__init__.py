"""What `scripts.explore` looks for in a dataset, and how it shows what it found."""
