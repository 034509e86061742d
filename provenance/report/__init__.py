"""Reports: what the record holds on one subject, for people outside.

Templates are data, filling is pure, rendering repeats its bytes.
"""
