"""Benchmarks: each is `python -m bench.NAME [--quick] [--json FILE]` and starts what it compares with in the same run.

delivery   cycles of the pending directory, the bus and the database beside simpler designs, and recovery
engine     many chats on one local model beside llama-server
answers    questions with known answers, beside the same model with the plain prompt that most systems use
report     what all of them share: rows, the table, the JSON and the picture
disk       a disk whose syncs take at least so long
"""
