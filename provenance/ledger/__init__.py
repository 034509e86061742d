"""The transparency log: RFC 9162 tree, C2SP checkpoints, tiles and proofs, and the keys that sign."""
