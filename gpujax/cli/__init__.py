"""Tier 4: the command line, `gpujax detect | demo | chain FILE | components | bench`.

One file per command; each imports what it needs when it runs, so that `gpujax --help` starts neither JAX nor a backend.
"""

from gpujax.cli.main import main

__all__ = ["main"]
