"""`python -m posegram` is the command `posegram`."""

from posegram.cli import main

main()
