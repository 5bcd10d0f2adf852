"""Figures of the reference implementations on small videos, and the scripts that made them."""
