"""From an image to People."""
