"""Releases: frozen, gated sets of samples, and the evidence that travels with them."""
