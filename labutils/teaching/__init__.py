"""What instructors and graders run; no notebook imports it."""
