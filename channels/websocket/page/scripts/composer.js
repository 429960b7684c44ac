// Where people write: it grows with the text, keeps it over a reload, sends it, edits an earlier question.

import { find } from "./dom.js";

const DRAFT = "agentd.draft.";

export class Composer {
  /** `send` is called with a text and the turn that it replaces, `stop` when the running answer is to end. */
  constructor(send, stop) {
    this._send = send;
    this._session = "";
    this._editing = null;
    this._form = find("#composer");
    this._text = find("#text");
    this._stop = find("#stop");
    this._banner = find("#editing");
    this._form.addEventListener("submit", (event) => {
      event.preventDefault();
      this._submit();
    });
    this._text.addEventListener("keydown", (event) => this._pressed(event));
    this._text.addEventListener("input", () => this._changed());
    this._stop.addEventListener("click", stop);
    find("#editing button").addEventListener("click", () => this.edit(null));
    this._changed();
  }

  focus() {
    this._text.focus();
  }

  /** The text that was begun in this session. */
  session(session) {
    this._session = session;
    this._editing = null;
    this._banner.hidden = true;
    this._show(this._draft());
  }

  /** Edits the question of a turn, or goes back to the draft if that is null. */
  edit(turn) {
    this._editing = turn;
    this._banner.hidden = !turn;
    this._show(turn ? turn.text : this._draft());
    this.focus();
  }

  running(runs) {
    this._stop.hidden = !runs;
  }

  _pressed(event) {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      this._submit();
    }
    if (event.key === "Escape" && this._editing) {
      event.stopPropagation();
      this.edit(null);
    }
  }

  _submit() {
    const text = this._text.value;
    if (!text.trim()) return;
    const editing = this._editing;
    if (!editing) this._show("");
    this.edit(null);
    this._send(text, editing);
  }

  _draft() {
    return sessionStorage.getItem(DRAFT + this._session) ?? "";
  }

  _show(text) {
    this._text.value = text;
    this._changed();
  }

  _changed() {
    if (!this._editing) {
      if (this._text.value) sessionStorage.setItem(DRAFT + this._session, this._text.value);
      else sessionStorage.removeItem(DRAFT + this._session);
    }
    this._text.style.height = "auto";
    this._text.style.height = `${this._text.scrollHeight}px`;
    find("#send").disabled = !this._text.value.trim();
  }
}
