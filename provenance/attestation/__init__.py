"""in-toto statements, the DSSE envelopes around them, and what our predicates must hold."""
