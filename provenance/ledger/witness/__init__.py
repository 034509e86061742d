"""A C2SP witness: it cosigns what only ever grew, for logs that are not its own, on a machine that is not theirs."""
