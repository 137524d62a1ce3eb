"""Every figure that the README quotes: `python -m benchmarks` measures, keeps and prints them."""
