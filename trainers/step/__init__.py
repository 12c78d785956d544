"""The mathematics of one update: losses, metrics, optimizers, schedules, averaging."""
