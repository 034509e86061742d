"""Long work as durable workflows: it goes on after a crash, at the step where it stopped."""
