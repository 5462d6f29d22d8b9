"""The student edition, and the folder that installs it without a network."""
