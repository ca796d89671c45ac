"""Consumer groups: their state and its steps, members and who lives, and the tools."""
