"""Small protocols through which the rooms of the house know each other, each beside the records it speaks of.

`agentd.testing` has fakes of those that are hard to have in a test.
"""
