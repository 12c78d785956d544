"""How `scripts.predict` gets at images, and how it writes what is on them."""
