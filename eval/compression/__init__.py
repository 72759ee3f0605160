"""What is measured by `eval.fidelity`: kinds of compressed caches, cases to score them on, rows that last."""
