"""OccLE (arXiv 2505.20617): semantic and geometric branches, fused by Dual Mamba."""
