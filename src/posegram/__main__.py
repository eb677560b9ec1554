"""The command `posegram`, also as `python -m posegram`."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command; Ctrl-C while it still loads is one sentence, too."""
    try:
        from posegram.cli import main as run  # takes a second

        run()
    except KeyboardInterrupt:
        sys.stderr.write("posegram: stopped\n")
        sys.exit(130)


if __name__ == "__main__":
    main()
