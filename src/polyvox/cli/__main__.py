"""``python -m polyvox.cli``: the same as ``polyvox``."""

from polyvox.cli import main

main()
