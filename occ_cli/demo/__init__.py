"""`occ-node demo`: a drive through the real node, and what came of it."""
