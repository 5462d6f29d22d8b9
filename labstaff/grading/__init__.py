"""Grade a class of notebooks, and explain every point."""
