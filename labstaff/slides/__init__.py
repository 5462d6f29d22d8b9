"""Slides for the lecture, made from the notebooks themselves."""
