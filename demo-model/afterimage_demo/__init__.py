"""Painter, networks and training of Afterimage's demo model: a small FLUX.1 + Redux trained from scratch."""
