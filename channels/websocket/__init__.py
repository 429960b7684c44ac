"""WebSocket and HTTP: programs and people reach agentd over one port, in the daemon's own loop.

settings        what `[channels.websocket]` may say
channel         `WebSocketChannel`, which puts the rest together
listening       the socket that is listened on, and who has its port if it is taken
server          uvicorn inside the daemon: no signals of its own, nobody waits for ever
wire            its connections, with the limits that it lacks
gateway         what routes use of the house
app             the FastAPI application
guard           looks at every request before anything else does: Host, Origin, size
authentication  who asks: by a token, or by the cookie of the page
ticket          how the page gets its cookie, and logs out
socket          `/ws`: the client protocol, a message in each frame
transport       what carries one client of `/ws`; `agentd.serving` does the rest
refusals        errors as HTTP says them
asgi            the types of ASGI
api             `/api`: all that the client protocol can do, over HTTP
openai          `/v1`: chat completions, responses and models, for programs that speak OpenAI's API
health          `/healthz`, `/readyz` and `/version`
"""
