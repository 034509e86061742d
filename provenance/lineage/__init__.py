"""Lineage: what a thing was made from, what was made of it, and which duties came along.

- `graph` is the graph as a value, `load` reads it at a log size.
- `trace` answers ancestors, descendants and paths; `reach` freezes all that hangs on something, for a recall.
- `shares` weighs what a model was taught by, `taint` names the clauses that reached it, `rings` refuses a model that
  would be its own ancestor.
"""
