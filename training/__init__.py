"""Makes the weights that ship: data, losses, the loop. See README.md."""
