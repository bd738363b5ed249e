"""What Polyvox costs, measured against others in one run: see README.md in this folder.

Belongs here: a loopback server, programs that read from it, and the tables that come out.
Does not belong here: judgements about time in tests, and anything that leaves this machine.
"""
