"""Adapters to the platforms that people and programs talk through; each knows its platform and nothing of agents."""
