// What is said in one conversation: a pure model, fed by what agentd tells, shown by transcript.js.

/** One question and what comes of it. `key` stays the same from before it is accepted. */
function begin(key, text) {
  return {
    key,
    turn: "",
    id: "",
    text,
    time: null,
    state: "sending",
    position: 0,
    attempt: 0,
    detail: "",
    said: "",
    count: 0, // characters of `said` as agentd counts them, not UTF-16 units
    thinking: false,
    reading: null,
    calls: [],
    citations: [],
    outcome: "",
    error: "",
    answered: undefined, // when, if the history says so
    answerId: "",
    model: "",
    mark: "",
    replaces: "",
    branches: [],
  };
}

export class Conversation {
  constructor() {
    this.session = "";
    this.name = "";
    this.title = "";
    this.loaded = true; // as far as agentd has it
    this.cursor = null;
    this.turns = [];
    this._byTurn = new Map();
  }

  get label() {
    return this.name || this.title || "New conversation";
  }

  get running() {
    return this.turns.find((turn) => ["running", "tool", "stopping"].includes(turn.state)) ?? null;
  }

  get busy() {
    return this.turns.some((turn) => turn.state !== "done");
  }

  /** The last turn that has an answer. */
  get last() {
    return this.turns.findLast((turn) => turn.outcome) ?? null;
  }

  turnOf(id) {
    return this._byTurn.get(id) ?? null;
  }

  /** A question that is about to be sent. */
  ask(id, text, replaces = "") {
    if (replaces) this._cut(replaces);
    const turn = { ...begin(id, text), id, replaces, time: new Date().toISOString() };
    this.turns.push(turn);
    return turn;
  }

  accepted(id, turnId) {
    const turn = this.turns.find((each) => each.id === id);
    if (!turn) return null;
    this._name(turn, turnId);
    if (turn.state === "sending") turn.state = "queued";
    return turn;
  }

  /** Takes a question back that was never accepted. */
  remove(id) {
    this.turns = this.turns.filter((turn) => turn.id !== id || turn.turn);
  }

  /** The session as agentd has it; what the history says replaces what is here, what is not answered yet stays. */
  opened(message, resumed) {
    this.session = message.session;
    this.loaded = true;
    this.name = message.name;
    this.title = message.title;
    this.history(message.history);
    const alive = new Set([message.running, ...message.waiting]);
    for (const turn of this.turns) {
      if (turn.state === "done" || turn.state === "sending") continue;
      if (!alive.has(turn.turn)) turn.state = "done";
      else if (turn.turn === message.running && turn.state === "queued") turn.state = "running";
      if (!resumed) Object.assign(turn, { said: "", count: 0 });
    }
  }

  /** Messages of the history, the newest last: the way that is shown. Turns that nobody has answered yet stay behind. */
  history(messages) {
    const open = this.turns.filter((turn) => turn.state !== "done");
    const before = this._byTurn;
    this._byTurn = new Map();
    this.turns = [];
    for (const message of messages) {
      let turn = this._byTurn.get(message.turn);
      if (!turn) {
        turn = before.get(message.turn) ?? begin(message.turn, "");
        this._name(turn, message.turn);
        this.turns.push(turn);
      }
      this._remember(turn, message);
    }
    for (const turn of open) {
      if (!this.turns.includes(turn)) this.turns.push(turn);
      if (turn.turn) this._byTurn.set(turn.turn, turn);
    }
  }

  _remember(turn, message) {
    if (turn.state === "sending") turn.state = "done";
    turn.branches = message.branches ?? [];
    if (message.role === "user") {
      Object.assign(turn, { text: message.text, time: message.time });
      if (turn.state !== "done" && !turn.outcome && !turn.said) turn.state = "done";
    } else {
      turn.state = "done";
      turn.outcome = turn.outcome || (message.interrupted ? "interrupted" : "answer");
      Object.assign(turn, { said: message.text, citations: message.citations, answered: message.time });
    }
  }

  /** What happened; the turn that it happened to, null if it is none of this conversation. */
  hear(message) {
    if (message.cursor) this.cursor = message.cursor;
    if (message.type === "question") return this._question(message);
    const turn = this._byTurn.get(message.turn);
    if (!turn) return null;
    switch (message.type) {
      case "state":
        this._state(turn, message);
        break;
      case "documents":
        turn.citations = message.citations;
        break;
      case "reading":
        turn.reading = message;
        break;
      case "chunk":
        this._chunk(turn, message);
        break;
      case "answer":
        this._answer(turn, message);
        break;
    }
    return turn;
  }

  _question(message) {
    let turn = this._byTurn.get(message.turn) ?? this.turns.find((each) => each.id === message.id && !each.turn);
    if (!turn) {
      if (message.replaces) this._cut(message.replaces);
      turn = begin(message.turn, message.text);
      turn.time = new Date().toISOString();
      this.turns.push(turn);
    }
    this._name(turn, message.turn);
    turn.replaces = message.replaces ?? "";
    if (turn.state === "sending") turn.state = "queued";
    return turn;
  }

  _state(turn, message) {
    if (message.attempt > turn.attempt) {
      Object.assign(turn, { attempt: message.attempt, said: "", count: 0, calls: [], reading: null });
    }
    if (message.state === "done") return void (turn.reading = null); // its answer comes by itself
    if (turn.outcome) return;
    Object.assign(turn, { state: message.state, position: message.position, detail: message.detail ?? "" });
    if (message.call) this._call(turn, message.call);
  }

  _call(turn, call) {
    const known = turn.calls.find((each) => each.id === call.id);
    if (!known) turn.calls.push({ ...call });
    else if (call.outcome !== "asked") Object.assign(known, { outcome: call.outcome, result: call.result });
  }

  _chunk(turn, message) {
    if (turn.outcome || message.attempt < turn.attempt) return;
    turn.reading = null;
    turn.thinking = message.reasoning ?? false;
    if (message.reasoning) return;
    if (turn.state === "queued") turn.state = "running";
    const characters = Array.from(message.text);
    const known = turn.count - message.n;
    if (known < 0) return void (turn.hole = true); // something was missed: its owner asks for the whole
    turn.said += known ? characters.slice(known).join("") : message.text;
    turn.count = Math.max(turn.count, message.n + characters.length);
  }

  _answer(turn, message) {
    Object.assign(turn, {
      state: "done",
      said: message.text,
      citations: message.citations,
      outcome: message.outcome,
      error: message.error_code ?? "",
      model: message.model ?? "",
      usage: message.usage ?? null,
      answerId: message.id,
      reading: null,
      thinking: false,
      hole: false,
    });
    for (const other of message.answers) {
      const asked = this._byTurn.get(other);
      if (asked && asked !== turn) asked.state = "done";
    }
  }

  /** A turn that is replaced is shown no more, nor is what followed it. */
  _cut(turnId) {
    const at = this.turns.findIndex((turn) => turn.turn === turnId);
    if (at < 0) return;
    for (const gone of this.turns.splice(at)) this._byTurn.delete(gone.turn);
  }

  _name(turn, turnId) {
    turn.turn = turnId;
    this._byTurn.set(turnId, turn);
  }
}
