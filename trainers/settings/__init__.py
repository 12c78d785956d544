"""What a run is: its configuration, recipes and phases."""
