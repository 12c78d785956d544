"""Exports of networks: flags, comparison with the model, the exported folder."""
