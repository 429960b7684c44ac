"""SQLite: sessions, turns, marks, tokens and the state of channels.

store          the queue of functions that write, and those that read, one file
database       the file below it: made, opened, brought up to date
values         what stands in its rows
sessions       conversations, as their principals see them
history        what was said in one
searching      finds what was said
summaries      what no longer fits into prompts
marks          what people think of answers
turns          how turns ended
tokens         who may come in, for what and until when
channel_state  what a channel must still know after a restart
"""
