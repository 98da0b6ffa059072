"""`python -m gpujax`: the same as the `gpujax` command."""

from gpujax.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
