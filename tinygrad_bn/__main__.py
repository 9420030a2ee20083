"""`python -m tinygrad_bn`: the same as the command `tinygrad-bn`."""

from .cli import main

if __name__ == "__main__":
    raise SystemExit(main())
