"""From a question to its answer: what is found, what the model is told, what it says, what is done about it.

conversation  what a session does: what runs, and what waits behind it; pure
fair          which session is next
left          turns that wait for a decision
state         what a turn has done, and whether it waits; pure
settings      how turns are run
factory       what all turns are made with
chronicle     where they leave their traces
turn          one turn, step by step
ongoing       one turn while it runs: its parts
journal       its steps, in the turn's log before anybody is told about them
news          what the bus is told about it
account       the tokens and seconds that it took
preparation   what it looks up before it asks a model
window        how much of the conversation its requests hold
prompt        messages and passages, within a budget
exchange      stream, run the tools that the model calls, and stream again
execution     the tool calls of one turn
telling       what it says, piece by piece
citing        the sources of an answer that a model wrote without citing
citations     the marks and quotes in an answer
"""
