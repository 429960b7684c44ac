// The turns of a conversation on the page: drawn when something changed, formatted when somebody comes near.

import { TurnView } from "./answer.js";
import { el, find, pause } from "./dom.js";

const FIRST = 8; // turns that are formatted at once; the others when they come near
const NEAR = "1500px";
const SLICE = 10; // milliseconds
const AT_END = 60; // pixels

export class Transcript {
  constructor(act) {
    this._act = act;
    this._scroller = find("#log");
    this._list = find("#turns");
    this._jump = find("#jump");
    this._views = new Map();
    this._dirty = new Set();
    this._growing = new Map(); // views that wait for their time to grow, with when they last did
    this._follow = true;
    this._near = new IntersectionObserver((entries) => this._approached(entries), {
      root: this._scroller,
      rootMargin: NEAR,
    });
    this._scroller.addEventListener("scroll", () => this._scrolled(), { passive: true });
    this._jump.addEventListener("click", () => this.toEnd(true));
    new ResizeObserver(() => this._follow && this.toEnd()).observe(this._list);
  }

  /** Shows these turns, in this order; what is here already stays as it is. */
  show(turns) {
    const wanted = new Set(turns);
    for (const [turn, view] of this._views) {
      if (wanted.has(turn)) continue;
      view.element.remove();
      this._views.delete(turn);
    }
    const fresh = [];
    let place = this._list.firstElementChild;
    const missing = document.createDocumentFragment();
    for (const turn of turns) {
      let view = this._views.get(turn);
      if (view && view.element === place) {
        this._list.insertBefore(missing, place);
        place = place.nextElementSibling;
        this._dirty.add(turn);
        continue;
      }
      if (!view) fresh.push((view = this._add(turn)));
      missing.append(view.element);
    }
    this._list.insertBefore(missing, place);
    if (this._follow) this.toEnd();
    this._formatLast(fresh);
    this._schedule();
  }

  _add(turn) {
    const view = new TurnView(turn, this._act);
    view.element.turn = turn;
    this._views.set(turn, view);
    return view;
  }

  async _formatLast(fresh) {
    let began = performance.now();
    const last = fresh.slice(-FIRST).reverse();
    for (const view of last) {
      view.format();
      if (performance.now() - began > SLICE) {
        await pause();
        began = performance.now();
      }
    }
    for (const view of fresh.slice(0, -FIRST)) this._near.observe(view.element);
  }

  async _approached(entries) {
    const near = entries.filter((entry) => entry.isIntersecting);
    for (const entry of near) this._near.unobserve(entry.target);
    let began = performance.now();
    for (const entry of near) {
      this._views.get(entry.target.turn)?.format();
      if (performance.now() - began < SLICE) continue;
      await pause();
      began = performance.now();
    }
  }

  /** Something about a turn has changed. */
  changed(turn) {
    this._dirty.add(turn);
    this._schedule();
  }

  _schedule() {
    if (this._planned) return;
    this._planned = true;
    const draw = () => {
      this._planned = false;
      this._draw();
    };
    if (document.hidden) setTimeout(draw, 200);
    else requestAnimationFrame(draw);
  }

  _draw() {
    const now = performance.now();
    for (const turn of this._dirty) {
      const view = this._views.get(turn);
      if (!view) {
        this._dirty.delete(turn);
        continue;
      }
      view.update();
      if (turn.state === "done") {
        view.format();
        this._dirty.delete(turn);
      } else if (now >= (this._growing.get(turn) ?? 0)) {
        const cost = view.grow();
        this._growing.set(turn, now + 4 * cost); // a block that is long to make is made less often
        this._dirty.delete(turn);
      }
    }
    if (this._dirty.size) this._schedule();
  }

  toEnd(smooth = false) {
    this._follow = true;
    this._scroller.scrollTo({ top: this._scroller.scrollHeight, behavior: smooth && motion() ? "smooth" : "instant" });
  }

  _scrolled() {
    const { scrollTop, clientHeight, scrollHeight } = this._scroller;
    this._follow = scrollHeight - scrollTop - clientHeight < AT_END;
    this._jump.hidden = this._follow;
  }

  /** Something that is said on the page alone: what a command told, for one. */
  tell(text) {
    this._list.append(el("pre", { class: "told-text", tabindex: "0" }, text));
    this.toEnd();
  }

  clear() {
    this._near.disconnect();
    this._views.clear();
    this._dirty.clear();
    this._growing.clear();
    this._list.replaceChildren();
    this._jump.hidden = true;
    this._follow = true;
  }
}

export function motion() {
  return !matchMedia("(prefers-reduced-motion: reduce)").matches;
}
