"""The dataset doctor: what is wrong with a set of annotated people, found, shown and mended."""
