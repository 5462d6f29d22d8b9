"""A page for the lecture hall: models that write, and a look inside."""
