"""Evidence: which sentences of some passages answer a question, and what a message asks for; pure and deterministic."""
