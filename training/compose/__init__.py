"""Clips made from labelled stills: camera and objects move, and all truth is exact."""
