"""Long-running consumers of events: agent (answers), delivery (sends), and what goes on in the background."""
