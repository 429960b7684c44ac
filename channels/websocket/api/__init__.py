"""`/api`: all that the client protocol can do, as requests over HTTP; see docs/api.md.

routes     the router, with what all routes have
asking     what a route uses of the house: a visit, and reports
messages   ask a session something, look up a turn, acknowledge answers
events     what happens, as server-sent events
streams    what such a stream has sent, so that a later one goes on from there
sessions   list, read, search, rename, delete, export, stop, mark
documents  upload, list, look up, remove, read folders
house      deliveries and status
"""
