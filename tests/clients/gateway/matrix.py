"""The matrix of clients and providers' dialects as a table: python -m tests.clients.gateway.matrix."""

import sys
from pathlib import Path

import pytest

if __name__ == "__main__":
    tests = Path(__file__).with_name("test_matrix.py")
    sys.exit(pytest.main([str(tests), "-q", "--no-header", "--tb=short", *sys.argv[1:]]))
