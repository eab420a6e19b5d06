"""What is measured by ``benchmarks.compare``, each a program of its own."""
