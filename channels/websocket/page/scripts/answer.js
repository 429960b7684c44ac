// One turn as elements: the question, what happens meanwhile, the answer with its sources.

import { copyFrom, drawn, el, iconButton } from "./dom.js";
import { citeButton, linkCitations } from "./markdown.js";
import { Stream } from "./stream.js";

const OUTCOMES = { interrupted: "Stopped. What was said is kept.", error: "", notice: "", answer: "" };
const CALLS = { asked: "runs", succeeded: "done", failed: "failed", denied: "was not allowed" };

export class TurnView {
  /** `act` has what people can do: cite, edit, again, mark, select, offer. */
  constructor(turn, act) {
    this._turn = turn;
    this._act = act;
    this._formatted = "";
    this.isRaw = false;
    this._drawn = {};
    this._text = el("div", { class: "text" });
    this._stream = new Stream(this._text, () => turn.citations, act.cite);
    this._said = el("p", { class: "said" });
    this._ways = el("div", { class: "ways" });
    this._status = el("p", { class: "status" });
    this._calls = el("div", { class: "calls" });
    this._sources = el("div", { class: "sources" });
    this._actions = el("div", { class: "actions" });
    this._editing = iconButton("edit", "Edit and ask again", { class: "icon quiet", click: () => act.edit(turn) });
    this._answer = el(
      "div",
      { class: "answer" },
      el("h2", { class: "hidden" }, "Answer"),
      this._calls,
      this._text,
      this._status,
      this._sources,
      this._actions,
    );
    this.element = el(
      "article",
      { class: "turn" },
      el(
        "div",
        { class: "question" },
        el("h2", { class: "hidden" }, "Question"),
        this._said,
        el("div", { class: "beside" }, this._ways, this._editing),
      ),
      this._answer,
    );
    this.update();
  }

  /** Shows the turn as it is now, but for the text of an answer, which `format` and `grow` show. */
  update() {
    const turn = this._turn;
    this._once("said", turn.text, () => (this._said.textContent = turn.text));
    this._once("ways", `${turn.turn} ${turn.branches} ${turn.state}`, () => this._drawWays());
    this._once("status", statusOf(turn), (status) => this._drawStatus(status));
    this._once("calls", JSON.stringify(turn.calls), () => this._drawCalls());
    this._once("actions", `${turn.state} ${turn.outcome} ${turn.mark} ${turn.model}`, () => this._drawActions());
    this._once("state", `${turn.turn && turn.state} ${turn.outcome}`, () => this._drawState());
  }

  _drawState() {
    const { turn, state, outcome } = this._turn;
    this._editing.hidden = !turn || state !== "done";
    this.element.dataset.state = state;
    this.element.dataset.outcome = outcome;
  }

  /** Shows a whole answer as it was written, until somebody comes near. */
  raw() {
    this.isRaw = true;
    this._text.textContent = this._turn.said;
    this._text.classList.add("raw");
  }

  /** The answer so far; the milliseconds that this took. */
  grow() {
    if (this._formatted || !this._turn.said) return 0;
    this._stream.show(this._turn.said);
    return this._stream.cost;
  }

  /** The whole answer, formatted; it may take several slices of time. */
  async format() {
    const turn = this._turn;
    if (turn.state !== "done" || this._formatted === turn.said) return;
    this._formatted = turn.said;
    if (this.isRaw) this._text.replaceChildren();
    this._text.classList.remove("raw");
    this.isRaw = false;
    await this._stream.finish(turn.said);
    this._drawSources();
  }

  _once(name, value, draw) {
    if (this._drawn[name] === value) return;
    this._drawn[name] = value;
    draw(value);
  }

  _drawWays() {
    const { branches, turn, state } = this._turn;
    const at = branches.indexOf(turn);
    this._ways.replaceChildren();
    if (branches.length < 2 || at < 0) return;
    const to = (n) => () => this._act.select(branches[n]);
    const off = state !== "done";
    this._ways.append(
      iconButton("back", "Earlier branch", { class: "icon quiet", disabled: off || at === 0, click: to(at - 1) }),
      el("span", { class: "count" }, `${at + 1} / ${branches.length}`),
      iconButton("on", "Later branch", {
        class: "icon quiet",
        disabled: off || at === branches.length - 1,
        click: to(at + 1),
      }),
    );
  }

  _drawStatus(status) {
    const turn = this._turn;
    this._status.replaceChildren(status);
    this._status.hidden = !status;
    this._status.classList.toggle("busy", turn.state !== "done" && turn.state !== "refused");
    if (turn.state === "refused") {
      this._status.append(" ", el("button", { type: "button", click: () => this._act.offer(turn) }, "Try again"));
    }
  }

  _drawCalls() {
    this._calls.replaceChildren(
      ...this._turn.calls.map((call) =>
        el(
          "details",
          { class: "call", "data-outcome": call.outcome },
          el("summary", {}, drawn("tool"), el("b", {}, call.tool || "tool"), ` ${CALLS[call.outcome]}`, drawn("on")),
          call.arguments ? el("pre", { tabindex: "0" }, call.arguments) : null,
          call.result ? el("pre", { tabindex: "0" }, call.result) : null,
        ),
      ),
    );
  }

  _drawSources() {
    const { citations, said } = this._turn;
    const cited = citations.filter((citation) => said.includes(`[${citation.n}]`));
    this._sources.replaceChildren();
    if (!cited.length) return;
    linkCitations(this._text, citations, this._act.cite);
    const rows = cited.map((citation) => {
      const file = citation.source.split("/").pop().replace(/^upload:/, "");
      const place = [...new Set([citation.title, citation.heading, file])].filter(Boolean).join(" · ");
      const mark = citeButton(citation, this._act.cite);
      const name = el("button", { type: "button", class: "place", click: () => this._act.cite(citation, null) }, place);
      name.title = citation.source;
      return el("li", {}, mark, name);
    });
    this._sources.append(el("ul", { "aria-label": "Sources" }, ...rows));
  }

  _drawActions() {
    const turn = this._turn;
    this._actions.replaceChildren();
    if (turn.state !== "done" || !turn.outcome) return;
    const copy = iconButton("copy", "Copy the answer", { class: "icon quiet" });
    copy.addEventListener("click", () => copyFrom(copy, turn.said));
    this._actions.append(copy);
    if (turn.outcome !== "error") for (const mark of ["good", "bad"]) this._actions.append(this._marker(mark));
    this._actions.append(
      iconButton("again", "Answer again", { class: "icon quiet", click: () => this._act.again(turn) }),
    );
    if (turn.model) this._actions.append(el("span", { class: "model" }, turn.model));
  }

  _marker(mark) {
    const label = mark === "good" ? "A good answer" : "A bad answer";
    const pressed = String(this._turn.mark === mark);
    return iconButton(mark, label, {
      class: "icon quiet marker",
      "aria-pressed": pressed,
      click: () => this._act.mark(this._turn, mark),
    });
  }
}

/** What people are told about a turn that is not done, or did not end as it should. */
export function statusOf(turn) {
  switch (turn.state) {
    case "sending":
      return "Sending…";
    case "refused":
      return turn.detail;
    case "queued":
      return turn.position > 1 ? `Queued, ${turn.position - 1} before it` : "Queued, next";
    case "tool":
      return `Using ${turn.detail}…`;
    case "stopping":
      return "Stopping…";
    case "running":
      return running(turn);
  }
  return turn.outcome ? OUTCOMES[turn.outcome] : "";
}

function running(turn) {
  if (turn.detail) return turn.detail;
  if (turn.reading?.total) {
    const percent = Math.round((100 * turn.reading.done) / turn.reading.total);
    const left = turn.reading.seconds ? `, about ${Math.ceil(turn.reading.seconds)} s left` : "";
    return `Reading, ${percent} %${left}`;
  }
  if (turn.thinking) return "Thinking…";
  return turn.said ? "Writing…" : "Looking for an answer…";
}
