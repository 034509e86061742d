"""The command line: one module a noun. Commands are thin: connect, ask, print."""
