// The connection to agentd. It comes back by itself; a request has one reply, or several until `finished`.

const FIRST_WAIT = 250;
const LONGEST_WAIT = 30_000;
const QUIET = 20_000; // after so long without a word, agentd is asked for one
const PATIENCE = 10_000; // for that word
const WAKING_PATIENCE = 1000; // the same after a sleep, when the connection may well be gone
const TICK = 1000;
const SLEPT = 4000; // a clock that jumps by so much means that the machine slept
const SIGNED_OUT = [4401, 4403, 4408];

/** What a request fails with: `code` is one of the protocol's, or "lost" if the connection went. */
export class Refused extends Error {
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

export class Connection {
  /** `hear` gets what agentd says of its own accord, `changed` the state: connecting, open, waiting or signed-out. */
  constructor(address, hear, changed) {
    this.state = "connecting";
    this.retryAt = 0;
    this.reason = "";
    this._address = address;
    this._hear = hear;
    this._changed = changed;
    this._waiting = new Map(); // the requests without a whole reply, by id
    this._failures = 0;
    this._next = 1;
    this._heard = Date.now();
  }

  open() {
    this._open();
  }

  /** Ends it for good. */
  close() {
    this._drop();
    this.state = "closed";
  }

  /** Bytes that are still to be sent. */
  get unsent() {
    return this._socket?.bufferedAmount ?? 0;
  }

  /** Has it come back at once when the machine wakes, and notices when nothing comes any more. */
  watch() {
    let last = Date.now();
    setInterval(() => {
      const slept = Date.now() - last - TICK > SLEPT;
      last = Date.now();
      if (slept && !document.hidden) this._wake();
      else this._tick();
    }, TICK);
    document.addEventListener("visibilitychange", () => document.hidden || this._wake());
    addEventListener("online", () => this._wake());
    addEventListener("pageshow", (event) => event.persisted && this._wake());
  }

  /** The reply to a request; `Refused` if it is refused, or if the connection goes first. */
  ask(message) {
    return this.each(message, () => {});
  }

  /** The last of several replies to a request; `piece` gets each. */
  each(message, piece) {
    const request = { ...message, id: message.id ?? `p${this._next++}` };
    return new Promise((resolve, reject) => {
      if (this.state !== "open") return reject(new Refused("lost", "agentd is not connected."));
      this._waiting.set(request.id, { resolve, reject, piece });
      this.send(request);
    });
  }

  /** Says something that has no reply. */
  send(message) {
    if (this._socket?.readyState === WebSocket.OPEN) this._socket.send(JSON.stringify(message));
  }

  /** Connects now, whatever the wait. */
  retry() {
    clearTimeout(this._timer);
    this._failures = 0;
    if (this.state !== "open") this._open();
  }

  _open() {
    this._drop();
    this._become("connecting");
    const socket = (this._socket = new WebSocket(this._address, "agentd.v1"));
    this._heard = Date.now();
    socket.onopen = () => socket.send(JSON.stringify({ type: "hello", v: 1, client: "page", acks: true }));
    socket.onmessage = (event) => this._receive(JSON.parse(event.data));
    socket.onclose = (event) => this._lost(event.code, event.reason);
  }

  _receive(message) {
    this._heard = Date.now();
    if (message.type === "welcome") {
      this._failures = 0;
      this._become("open", message);
    }
    const waiting = message.re ? this._waiting.get(message.re) : undefined;
    if (waiting === undefined) return this._hear(message);
    if (message.type === "error") {
      this._waiting.delete(message.re);
      return waiting.reject(new Refused(message.code, message.message));
    }
    waiting.piece(message);
    if (message.finished !== false) {
      this._waiting.delete(message.re);
      waiting.resolve(message);
    }
  }

  _lost(code, reason) {
    this._drop();
    this.reason = reason;
    if (SIGNED_OUT.includes(code)) return this._become("signed-out");
    const wait = Math.random() * Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** this._failures);
    const first = this._failures++ === 0;
    this.retryAt = Date.now() + (first ? 0 : wait);
    this._become("waiting");
    this._timer = setTimeout(() => this._open(), first ? 0 : wait);
  }

  /** Forgets the socket, and lets down whoever waits for a reply. */
  _drop() {
    clearTimeout(this._timer);
    clearTimeout(this._doubt);
    if (this._socket) {
      this._socket.onopen = this._socket.onmessage = this._socket.onclose = null;
      this._socket.close();
    }
    this._socket = null;
    const waiting = [...this._waiting.values()];
    this._waiting.clear();
    for (const { reject } of waiting) reject(new Refused("lost", "the connection to agentd was lost."));
  }

  _become(state, welcome) {
    this.state = state;
    this._changed(state, welcome);
  }

  _tick() {
    if (this.state === "open" && Date.now() - this._heard > QUIET) this._probe(PATIENCE);
    if (this.state === "connecting" && Date.now() - this._heard > PATIENCE) this._lost(0, "");
  }

  _wake() {
    if (this.state === "signed-out") return;
    if (this.state === "open") this._probe(WAKING_PATIENCE);
    else this.retry();
  }

  /** Asks for a word; the connection is given up if none comes. */
  _probe(patience) {
    const asked = Date.now();
    this._heard = asked;
    this.ask({ type: "get", what: "status" }).then(
      (reply) => this._hear({ type: "status", data: reply.data }),
      () => {},
    );
    clearTimeout(this._doubt);
    this._doubt = setTimeout(() => {
      if (this.state === "open" && this._heard === asked) this._lost(0, "");
    }, patience);
  }
}
