"""Polyvox's version, as the front door has it: no room imports from there, so it is looked up."""

import sys

__all__ = ["VERSION"]

VERSION: str = sys.modules["polyvox"].__version__
