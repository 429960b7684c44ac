"""agentd: one local AI agent behind many channels, that never loses a message on the way.

The nouns, in the order in which a message meets them:

channel            receives from one platform and sends to it (``channels/``)
door               what one channel is given: looks who asks for what (``door``, ``rights``)
inbox              refuses, recognises or accepts a message (``inbox``); accepted means durable
pending directory  one file per unfinished turn; the only place where unfinished work lives (``pending``)
bus                tells the workers what happened (``bus``); every event is one class in ``events``
session            one conversation of one principal, in ``agentd.db`` (``sessions`` over ``store``)
conversation       the pure state of a session: what runs, what waits (``conversation``)
turn               look up, prompt, stream, call tools, check, answer (``turn``, ``preparation``, ``prompt``,
                   ``window``, ``tools``, ``telling``)
evidence           which sentences answer, whether any does, and on which an answer rests (``evidence``); pure
model              extractive, or llama.cpp in a child process (``models``); ``summary`` remembers what was cut
delivery           lanes, back-off and giving up (``delivery``), driven by the DeliveryWorker
dead letter        what was given up on, until a person decides (``letters``)
client             speaks ``protocol`` to a daemon over its unix socket (``client``)
daemon             builds all of it, starts it and stops it (``daemon``)

The flow: channel -> InboundEvent -> pending directory -> bus -> AgentWorker -> OutboundEvent
-> pending directory -> DeliveryWorker -> channel -> ack.

Arrows point one way: cli -> daemon -> workers, channels -> turn, retrieval, models, sessions, pending,
bus -> ports, config, protocol, conversation, delivery, prompt -> events, errors.
"""

__version__ = "0.1.0"
