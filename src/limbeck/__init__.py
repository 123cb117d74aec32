"""limbeck condenses private datasets and audits what the result leaks."""
