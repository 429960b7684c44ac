"""From a question to its answer: what is found, what the model is told, what it says, what is done about it."""
