"""Long-running consumers of events: agent (answers), delivery (sends)."""
