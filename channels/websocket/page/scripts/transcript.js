// The turns of a conversation on the page: drawn when something changed, formatted when somebody comes near.

import { TurnView } from "./answer.js";
import { el, find, pause } from "./dom.js";

const FIRST = 8; // turns that are formatted at once; the others when they come near
const AT_ONCE = 40; // turns that are shown at once; older ones come a few at a time
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
    this._top = 0;
    this._all = [];
    this._first = null; // the oldest turn that is shown
    this._near = new IntersectionObserver((entries) => this._approached(entries), {
      root: this._scroller,
      rootMargin: NEAR,
    });
    this._scroller.addEventListener("scroll", () => this._scrolled(), { passive: true });
    this._jump.addEventListener("click", () => this.toEnd());
    const resized = new ResizeObserver(() => this._follow && this.toEnd());
    resized.observe(this._list);
    resized.observe(this._scroller);
  }

  /** Shows these turns, in this order; what is here already stays as it is, and many old ones come bit by bit. */
  show(turns) {
    this._all = turns;
    const first = turns.indexOf(this._first);
    const start = first < 0 ? Math.max(0, turns.length - AT_ONCE) : first;
    this._first = turns[start];
    this._arrange(turns.slice(start));
    if (this._follow) this.toEnd();
    this._schedule();
    if (start > 0) this._showOlder();
  }

  _arrange(turns) {
    const wanted = new Set(turns);
    for (const [turn, view] of this._views) {
      if (wanted.has(turn)) continue;
      view.element.remove();
      this._views.delete(turn);
    }
    const fresh = [];
    let place = this._list.firstElementChild;
    let missing = document.createDocumentFragment();
    for (const turn of turns) {
      while (place && !place.turn) place = place.nextElementSibling; // what was told stays where it was told
      let view = this._views.get(turn);
      if (view && view.element === place) {
        this._list.insertBefore(missing, place);
        missing = document.createDocumentFragment();
        place = place.nextElementSibling;
        this._dirty.add(turn);
        continue;
      }
      if (!view) fresh.push((view = this._add(turn)));
      missing.append(view.element);
    }
    this._list.insertBefore(missing, place);
    this._format(fresh);
  }

  async _showOlder() {
    if (this._older) return;
    this._older = true;
    for (let at = 1; at > 0; ) {
      await pause();
      const began = performance.now();
      const fragment = document.createDocumentFragment();
      for (at = this._all.indexOf(this._first); at > 0 && performance.now() - began < SLICE; ) {
        const turn = this._all[--at];
        fragment.prepend(this._later(this._add(turn)));
        this._first = turn;
      }
      this._list.prepend(fragment);
    }
    this._older = false;
  }

  /** A view whose answer is formatted when somebody comes near. */
  _later(view) {
    if (view.element.turn.state === "done") {
      view.raw();
      this._near.observe(view.element);
    }
    return view.element;
  }

  _add(turn) {
    const view = new TurnView(turn, this._act);
    view.element.turn = turn;
    this._views.set(turn, view);
    return view;
  }

  async _format(fresh) {
    for (const view of fresh.slice(0, -FIRST)) this._later(view);
    let began = performance.now();
    const last = fresh.slice(-FIRST).reverse();
    for (const view of last) {
      view.format();
      if (performance.now() - began > SLICE) {
        await pause();
        began = performance.now();
      }
    }
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
        if (!view.isRaw) view.format();
        this._dirty.delete(turn);
      } else if (now >= (this._growing.get(turn) ?? 0)) {
        const cost = view.grow();
        this._growing.set(turn, now + 4 * cost); // a block that is long to make is made less often
        this._dirty.delete(turn);
      }
    }
    if (this._dirty.size) this._schedule();
  }

  toEnd() {
    this._follow = true;
    this._scroller.scrollTop = this._scroller.scrollHeight;
  }

  /** Only somebody who goes up stays behind the end: what is drawn late makes the page longer by itself. */
  _scrolled() {
    const { scrollTop, clientHeight, scrollHeight } = this._scroller;
    if (scrollHeight - scrollTop - clientHeight < AT_END) this._follow = true;
    else if (scrollTop < this._top) this._follow = false;
    this._top = scrollTop;
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
    this._all = [];
    this._first = null;
    this._jump.hidden = true;
    this._follow = true;
  }
}
