// The conversations at the side: listed, searched, renamed, exported, deleted.

import { inquire, notify } from "./dialogs.js";
import { el, find, iconButton } from "./dom.js";

const LONGEST = 64; // characters of a name
const LISTED = 200;
const TYPING = 200; // milliseconds
const RANGES = [
  [1, "Today"],
  [2, "Yesterday"],
  [7, "This week"],
  [31, "This month"],
  [Infinity, "Earlier"],
];

export class Sessions {
  /** `gone` hears of a session that was deleted, by its id, `named` what the one that is open is called. */
  constructor(connection, gone, named) {
    this._connection = connection;
    this._gone = gone;
    this._named = named;
    this._current = "";
    this._running = new Set();
    this._list = find("#sessions");
    this._search = find("#search");
    this._menu = find("#session-menu");
    this._search.addEventListener("input", () => {
      clearTimeout(this._typing);
      this._typing = setTimeout(() => this.refresh(), TYPING);
    });
    this._menu.addEventListener("click", (event) => this._picked(event));
    this._menu.addEventListener("keydown", (event) => this._moved(event));
  }

  current(session) {
    this._current = session;
    for (const link of this._list.querySelectorAll("a")) {
      if (link.dataset.session === session) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
  }

  /** Something happened in a session: it is marked while an answer is on its way, and the list is asked for anew. */
  moved({ session, running }) {
    if (running) this._running.add(session);
    else this._running.delete(session);
    clearTimeout(this._moving);
    this._moving = setTimeout(() => this.refresh(), TYPING);
  }

  async refresh() {
    const text = this._search.value.trim();
    const request = text ? { type: "search", text, limit: LISTED } : { type: "get", what: "sessions", limit: LISTED };
    const asked = (this._asked = (this._asked ?? 0) + 1);
    try {
      const { data } = await this._connection.ask(request);
      if (asked === this._asked) this._show(data.sessions, text);
    } catch (error) {
      if (error.code !== "lost") notify(error.message);
    }
  }

  _show(sessions, searched) {
    const pieces = [];
    let range = "";
    for (const session of sessions) {
      const name = searched ? "Found" : rangeOf(session.updated);
      if (name !== range) pieces.push(el("li", { class: "range" }, (range = name)));
      pieces.push(this._row(session));
    }
    if (!pieces.length) {
      const none = searched ? "Nothing was found." : "Your conversations will be here.";
      pieces.push(el("li", { class: "none" }, none));
    }
    this._list.replaceChildren(...pieces);
    this.current(this._current);
    const open = sessions.find((session) => session.id === this._current);
    if (open) this._named(open.name || open.title);
  }

  _row(session) {
    const label = session.name || session.title || "New conversation";
    const link = el("a", { href: `#/s/${session.id}`, "data-session": session.id }, el("span", { class: "name" }, label));
    if (session.whose) link.append(el("span", { class: "excerpt" }, `of ${session.whose}`));
    if (session.excerpt) link.append(el("span", { class: "excerpt" }, session.excerpt));
    const news = this._running.has(session.id) ? "is answered" : session.unread ? "unread" : "";
    if (news && session.id !== this._current) {
      link.append(el("span", { class: `news ${news}`, title: news }, el("span", { class: "hidden" }, news)));
    }
    const more = iconButton("more", `More for ${label}`, { class: "icon quiet", "aria-haspopup": "menu" });
    more.addEventListener("click", () => this._open(session, more));
    return el("li", { class: "session" }, link, more);
  }

  _open(session, button) {
    this._chosen = { ...session, label: session.name || session.title || "New conversation" };
    this._opener = button;
    this._menu.showPopover();
    const { bottom, right } = button.getBoundingClientRect();
    const { width, height } = this._menu.getBoundingClientRect();
    this._menu.style.left = `${Math.max(8, Math.min(right - width, innerWidth - width - 8))}px`;
    this._menu.style.top = `${Math.min(bottom + 4, innerHeight - height - 8)}px`;
    find("button", this._menu).focus();
  }

  _moved(event) {
    const buttons = [...this._menu.querySelectorAll("button")];
    const at = buttons.indexOf(document.activeElement);
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    buttons[(at + step + buttons.length) % buttons.length].focus();
  }

  async _picked(event) {
    const what = event.target.closest("button")?.dataset.what;
    if (!what) return;
    this._menu.hidePopover();
    this._opener?.focus();
    const session = this._chosen;
    try {
      if (what === "rename") await this._rename(session);
      else if (what === "delete") await this._delete(session);
      else await this._export(session, what);
    } catch (error) {
      notify(error.message);
    }
  }

  async _rename(session) {
    const attempt = async (name) => {
      await this._connection.ask({ type: "rename", session: session.id, name: name.trim() });
      await this.refresh();
    };
    await inquire({ title: "Rename the conversation", input: session.label, most: LONGEST, action: "Rename", attempt });
  }

  async _delete(session) {
    const sure = await inquire({
      title: "Delete the conversation?",
      text: `“${session.label}” and all that was said in it will be gone for good.`,
      action: "Delete",
      danger: true,
    });
    if (!sure) return;
    await this._connection.ask({ type: "delete", session: session.id });
    this._gone(session.id);
    await this.refresh();
  }

  async _export(session, format) {
    const pieces = [];
    const request = { type: "export", session: session.id, format };
    const last = await this._connection.each(request, (piece) => pieces.push(piece.text));
    const type = format === "json" ? "application/json" : "text/markdown";
    const link = el("a", { download: last.name, href: URL.createObjectURL(new Blob(pieces, { type })) });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  }
}

function rangeOf(time) {
  const midnight = new Date().setHours(24, 0, 0, 0);
  const days = (midnight - new Date(time)) / 86_400_000;
  return RANGES.find(([most]) => days < most)[1];
}
