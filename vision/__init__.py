"""What a picture is, and what a network makes of it."""
