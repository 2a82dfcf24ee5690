"""`python -m hemokit` and the command `hemokit`: the command line, which stands in `hemokit.cli`."""

import sys

try:
    from hemokit.cli.main import main
except KeyboardInterrupt:  # before main can hear it
    print("hemokit: interrupted", file=sys.stderr)
    raise SystemExit(130) from None

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
