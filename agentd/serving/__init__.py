"""What every client of a daemon gets, whatever carries it: protocol, rights, budgets, slash commands, and a client."""
