"""The lab report: executed notebooks and results as one document."""
