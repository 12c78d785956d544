"""How `scripts.predict` gets at pictures, and how it writes what is on them."""
