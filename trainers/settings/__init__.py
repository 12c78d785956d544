"""What a run can be set to: settings, their parsing, recipes and phases."""
