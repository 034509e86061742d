"""The database: tables, sessions, segments of erasable content, and the queries that read them."""
