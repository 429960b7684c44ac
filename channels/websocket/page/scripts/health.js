// The model and how all is, at a glance; what to do if something is wrong.

import { el, find } from "./dom.js";
import { signOut } from "./sign-in.js";

const STATES = { connecting: "Connecting", waiting: "Not connected", open: "Connected", "signed-out": "Not signed in" };

export class Health {
  constructor(connection) {
    this._connection = connection;
    this._chip = find("#health");
    this._panel = find("#health-panel");
    this._report = null;
    this._panel.addEventListener("toggle", (event) => event.newState === "open" && this.refresh());
  }

  get documents() {
    return (this._report?.documents ?? this._report?.yours)?.documents ?? null;
  }

  get model() {
    return this._report?.model ?? null;
  }

  async refresh() {
    try {
      this.show((await this._connection.ask({ type: "get", what: "status" })).data);
    } catch {
      this.show();
    }
  }

  show(report = this._report) {
    this._report = report;
    const state = this._connection.state;
    const problems = report?.problems ?? [];
    const word = state !== "open" ? STATES[state] : problems.length ? "Needs attention" : report?.model?.name || "Ready";
    this._chip.dataset.state = state !== "open" ? "off" : problems.length ? "problem" : "well";
    find("#health-word").textContent = word;
    this._panel.replaceChildren(...this._lines(report, state, problems));
  }

  _lines(report, state, problems) {
    const lines = [el("h2", {}, STATES[state])];
    if (state === "waiting") lines.push(el("p", {}, "agentd is not reached. In a terminal, `agentd status` says whether it runs."));
    if (!report) return lines;
    for (const problem of problems) lines.push(el("p", { class: "problem" }, problem));
    if (!problems.length && state === "open") lines.push(el("p", {}, "All is well."));
    const model = report.model ?? {};
    const documents = report.documents ?? report.yours;
    const rows = [
      ["Model", [model.name, model.note].filter(Boolean).join(": ")],
      ["Documents", documents ? `${documents.documents} (${documents.chunks} passages)` : ""],
      ["Turns", report.turns ? `${report.turns.running} running, ${report.turns.waiting} waiting` : ""],
      ["Version", report.daemon?.version ?? ""],
    ];
    const shown = rows.filter(([, value]) => value);
    lines.push(el("dl", {}, ...shown.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)])));
    if (state === "open") lines.push(el("button", { type: "button", click: signOut }, "Sign out"));
    return lines;
  }
}
