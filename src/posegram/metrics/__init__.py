"""How good predictions are: arrays in, arrays out."""
