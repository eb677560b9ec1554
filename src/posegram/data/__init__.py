"""Annotated people from files, and results into files."""
