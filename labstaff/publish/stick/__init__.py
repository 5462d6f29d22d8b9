"""What a bundle for a room without network brings along, beside wheels."""
