"""What a student uses around a lesson: checks, widgets, report, doctor."""
