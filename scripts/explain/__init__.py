"""What `scripts.explain` is made of."""
