// Questions that agentd has not accepted yet: kept over a reload, offered again with the same id.

const KEY = "agentd.unsent";

export class Unsent {
  constructor() {
    try {
      this._kept = JSON.parse(sessionStorage.getItem(KEY)) ?? [];
    } catch {
      this._kept = [];
    }
  }

  add(message) {
    this._kept.push(message);
    this._keep();
  }

  remove(id) {
    this._kept = this._kept.filter((message) => message.id !== id);
    this._keep();
  }

  of(session) {
    return this._kept.filter((message) => message.session === session);
  }

  _keep() {
    sessionStorage.setItem(KEY, JSON.stringify(this._kept));
  }
}

/** An id that nobody else has, also on a page that is not served as a secure one. */
export function newId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
