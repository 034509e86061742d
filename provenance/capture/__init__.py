"""From a teacher's output to a signed entry."""
