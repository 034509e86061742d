"""Facts about data sets that others collected: what each source says of a licence, who generated it, what it derives from.

Order of use: `parse_summaries` (what upstream wrote, checked) -> `make_facts` (compared and resolved, under our names).
"""
