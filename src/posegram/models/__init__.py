"""Networks, one torch file each."""
