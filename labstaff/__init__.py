"""What instructors and graders run: never part of the student edition."""
