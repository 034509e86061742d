"""Measurements beside their baseline, in one run: `make bench`. Rates depend on the machine; read the ratios."""
