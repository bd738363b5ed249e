"""HTTP as values: what came in, what goes out, and what is the same for every endpoint."""
