"""What our rules say of a collection of data set facts, beside the use class that its own makers gave each data set."""
