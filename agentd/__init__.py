"""agentd: one local AI agent behind many channels, that never loses a message on the way.

The nouns, in the order in which a message meets them:

channel            receives from one platform and sends to it (``channels/``)
requests           what one client asks and is told, whatever carries it (``serving.requests``)
door               what one channel is given: looks who asks for what (``serving.door``, ``rights``)
inbox              refuses, recognises or accepts a message (``serving.inbox``); accepted means durable
pending directory  one file per unfinished turn; the only place where unfinished work lives (``pending``)
bus                tells the workers what happened (``bus``); every event is one class in ``events``, made of
                   the values in ``records``
session            one conversation of one principal, in ``agentd.db`` (``storage``)
conversation       the pure state of a session: what runs, what waits (``turns.conversation``)
turn               look up, prompt, stream, call tools, check, answer (``turns``, ``tools``); what it has done is a pure
                   state, kept in its log, so that a restart goes on with it (``turns.state``, ``turns.journal``)
evidence           which sentences answer, whether any does, and on which an answer rests (``evidence``); pure
model              extractive, llama.cpp in a child process, or a server of others (``models``)
delivery           the order for each address, back-off and giving up (``delivery``), driven by the DeliveryWorker
audience           who follows which session, over all channels; each has an outbox (``serving.audience``)
dead letter        what was given up on, until a person decides (``serving.letters``)
client             speaks ``serving.protocol`` to a daemon (``serving.client``)
daemon             builds all of it, starts it and stops it (``daemon``)

The flow: channel -> InboundEvent -> pending directory -> bus -> AgentWorker -> OutboundEvent
-> pending directory -> DeliveryWorker -> channel -> audience -> ack.

Arrows point one way: cli -> daemon -> workers, channels -> serving, status -> turns, tools, models, retrieval
-> storage, pending, bus -> ports, delivery, evidence, config, host, rights -> events, errors, ids, clock -> records
-> text.
"""

__version__ = "0.1.0"
