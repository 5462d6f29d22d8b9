"""Pages that are files: the explorer, and the course as a website."""
