"""What happens when: train(), the loop, batches, features, caching, saving, signals."""
