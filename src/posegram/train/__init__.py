"""From annotated people to a trained network and its exported file."""
