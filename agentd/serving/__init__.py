"""What every client of a daemon gets, whatever carries its messages, and the client itself.

What a message passes on its way in:
clients     the clients of one channel: each is served until it leaves
visits      one request of somebody who does not stay, as a client in memory
connection  one client: how long, how many and how bad its messages may be
requests    what a client asks, and what it is told
door        what one channel is given of the house; it looks who asks for what
gate        who somebody is; it makes the principals of one channel
inbox       refuses a message, recognises it, or accepts it
receipts    which messages were accepted before

What goes out to clients:
audience    who follows which session; an answer goes to all of them
outbox      what one client is to get: a bounded queue that one writer empties
frames      splits or cuts what is longer than a client reads
rates       how often each token may ask, and how much may be asked in each session
budget      how much of the daemon each principal may hold at once

What may be asked of a daemon:
commands    the slash commands: names, arguments, help
control     what each of them does
choosing    which conversation is meant by a name, an id or a number
recall      the last messages of a conversation, and what is behind its last answer
told        sessions and their messages, as clients get them
exports     a whole conversation as one file
changes     deletes a conversation or selects a branch, never while something is asked or answered in it
letters     what is pending and what is dead, and what its owner decides about it
tokens      who comes in without a socket of this machine
tickets     what lets a browser in, once

For channels and clients:
given       what the daemon gives a channel when it builds it
protocol    the messages between a daemon and its clients
client      speaks the protocol to a daemon
carriers    what carries a client's messages: a unix socket, or a WebSocket
talk        a conversation that outlives its connections
live        what a client has heard and nobody has read yet
socket      reaches the unix socket of a daemon
"""
