"""SQLite: sessions, turns, marks and the state of channels."""
