"""Small protocols through which the rooms of the house know each other, each beside the records it speaks of.

Each has a fake in `agentd.testing`.
"""
