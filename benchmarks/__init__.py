"""Every figure that docs/results.md quotes: `python -m benchmarks` measures, keeps and prints them."""
