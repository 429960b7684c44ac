"""Tests: one file for each source file, plus the architecture and the crash of the whole daemon."""
