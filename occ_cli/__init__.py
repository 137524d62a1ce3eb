"""The command lines occ-node, occ-data and occ-train."""
