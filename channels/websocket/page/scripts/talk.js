// The conversation that is open: followed, asked, stopped, gone on with after the connection was lost.

import { Conversation } from "./conversation.js";
import { newId, Unsent } from "./unsent.js";

const HISTORY = 1000; // messages, the most that agentd gives at once
const NOT_NOW = ["busy", "not_accepted", "stopping", "timeout", "lost"];

export class Talk {
  /**
   * `shown` gets the conversation when its turns are others, `changed` a turn that changed, `answered` one that is
   * done, `gone` a session that is not there (any more).
   */
  constructor(connection, hooks) {
    this.conversation = new Conversation();
    this._connection = connection;
    this._hooks = hooks;
    this._unsent = new Unsent();
    this._followed = "";
    this._opening = 0;
  }

  /** Shows another session, or a new one ("") that begins with its first question. */
  async go(session) {
    if (this._followed && this._followed !== session) {
      this._connection.ask({ type: "close", session: this._followed }).catch(() => {});
      this._followed = "";
    }
    this.conversation = new Conversation();
    this.conversation.session = session;
    this.conversation.loaded = !session;
    this._recall(this.conversation);
    this._hooks.shown(this.conversation);
    if (session) await this.open();
  }

  /** Follows the session (again): from where it was left, if agentd still knows. */
  async open(anew = false) {
    const { conversation } = this;
    const { session, cursor } = conversation;
    if (!session || this._connection.state !== "open") return;
    const opening = ++this._opening;
    const after = anew ? null : cursor;
    let message;
    try {
      message = await this._connection.ask({ type: "open", session, history: HISTORY, after });
    } catch (error) {
      if (error.code === "not_found") this._hooks.gone(session, error.message);
      return;
    }
    if (opening !== this._opening || conversation !== this.conversation) return;
    this._followed = message.session;
    conversation.opened(message, after !== null);
    this._recall(conversation);
    this._hooks.shown(conversation);
    for (const kept of this._unsent.of(session)) this._offer(kept);
  }

  /** Shows the questions that agentd has not accepted yet, behind what is there. */
  _recall(conversation) {
    for (const { id, text, replaces } of this._unsent.of(conversation.session)) {
      conversation.remove(id);
      if (!conversation.turns.some((turn) => turn.id === id)) conversation.ask(id, text, replaces);
    }
  }

  hear(message) {
    const { conversation } = this;
    if (message.session !== conversation.session || !message.session) return;
    if (message.type === "truncated") return void this.open(true);
    if (message.type === "branch") return void this.reload();
    if (message.type === "error") return this._hooks.gone(message.session, message.message);
    const known = conversation.turns.length;
    const turn = conversation.hear(message);
    if (message.type === "answer") this._answered(message, turn);
    if (!turn) return;
    if (turn.hole) {
      turn.hole = false;
      return void this.open(true);
    }
    if (message.type === "question") this._hooks.shown(conversation, conversation.turns.length !== known);
    else this._hooks.changed(turn);
  }

  _answered(message, turn) {
    this._connection.send({ type: "ack", ids: [message.id] });
    if (!turn) return void this.reload();
    if (!message.repeat) this._hooks.answered(turn);
    if (turn.replaces) this.reload();
  }

  /** Asks for the history, which says which branch is shown. */
  async reload() {
    const { conversation } = this;
    try {
      const { data } = await this._connection.ask({
        type: "get",
        what: "history",
        session: conversation.session,
        limit: HISTORY,
      });
      if (conversation !== this.conversation) return;
      conversation.history(data.messages);
      this._hooks.shown(conversation);
    } catch {
      // A lost connection comes back and opens the session anew.
    }
  }

  /** Asks something; a session is made for the first question. */
  async ask(text, replaced = null) {
    const { conversation } = this;
    const message = { type: "message", id: newId(), text, replaces: replaced?.turn ?? "" };
    conversation.ask(message.id, text || replaced.text, message.replaces);
    this._hooks.shown(conversation);
    if (!conversation.session && !(await this._made(conversation, message))) return;
    message.session = conversation.session;
    this._unsent.add(message);
    await this._offer(message);
  }

  async _made(conversation, message) {
    try {
      const made = await this._connection.ask({ type: "open", session: null });
      conversation.session = this._followed = made.session;
      this._hooks.made(made.session);
      return true;
    } catch (error) {
      const turn = conversation.turns.find((each) => each.id === message.id);
      this._refuse(turn, error.message);
      return false;
    }
  }

  async _offer(message) {
    const { conversation } = this;
    const turn = () => conversation.turns.find((each) => each.id === message.id);
    try {
      const reply = await this._connection.ask(message);
      this._unsent.remove(message.id);
      const accepted = conversation.accepted(message.id, reply.turn);
      if (accepted) this._hooks.changed(accepted);
    } catch (error) {
      if (error.code === "lost") return; // it is offered again when the connection is back
      if (!NOT_NOW.includes(error.code)) this._unsent.remove(message.id);
      if (turn()) this._refuse(turn(), error.message);
    }
  }

  _refuse(turn, reason) {
    turn.state = "refused";
    turn.detail = reason;
    this._hooks.changed(turn);
  }

  /** Offers a question again that was refused. */
  again(turn) {
    const { session } = this.conversation;
    this._unsent.remove(turn.id);
    this.conversation.remove(turn.id);
    if (!session) return this.ask(turn.text);
    const message = { type: "message", id: turn.id, session, text: turn.text, replaces: turn.replaces };
    this._unsent.add(message);
    this.conversation.ask(turn.id, turn.text, turn.replaces);
    this._hooks.shown(this.conversation);
    return this._offer(message);
  }

  stop() {
    const { session, running } = this.conversation;
    if (session && running) this._connection.ask({ type: "stop", session }).catch(() => {});
  }

  /** Shows the branch of a turn, for everybody who follows the session. */
  select(turn) {
    return this._connection.ask({ type: "select", session: this.conversation.session, turn });
  }

  /** What a slash command does, or says. */
  command(text) {
    return this._connection.ask({ type: "command", session: this.conversation.session, text });
  }
}
