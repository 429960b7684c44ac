"""Tools that a model may call: typed arguments in, bounded text out, whose words nobody trusts.

registry          the tools of a fresh install by name, and how a model is told of them
arguments         a model's JSON text as checked arguments, or what is wrong with it in words that the model can use
calls             calls that stream in pieces, put together
plain_questions   questions that a tool answers alone, without a model
sums              a sum in figures or words as an expression
execution         runs the calls of a turn within their limits and tells the bus of each
sources           the numbers by which an answer may cite what was found
calculate         arithmetic (`arithmetic` parses it and works it out)
current_time      the date and time in a time zone
search_documents  passages of the documents that the asker may read
"""
