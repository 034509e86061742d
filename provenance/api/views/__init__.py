"""The pages' typed contexts: one frozen dataclass a page, filled by its route, rendered by its template.

Each feeds the page, its JSON twin and its CSV twin (`twins`), so that the three cannot disagree.
"""
