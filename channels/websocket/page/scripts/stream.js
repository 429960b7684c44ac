// A text that grows: what is finished is made once, only the last block is made again.

import { pause } from "./dom.js";
import { blocks, linkCitations, rendered } from "./markdown.js";

const SLICE = 8; // milliseconds of work at a time
const DEFINES = /^ {0,3}\[[^\]]+\]:/m; // a link that is defined somewhere else: blocks do not stand alone

export class Stream {
  /** `root` is filled; `cited` says which places there are now, `open` shows one. */
  constructor(root, cited, open) {
    this.cost = 0; // milliseconds that the last piece took
    this._root = root;
    this._cited = cited;
    this._open = open;
    this._shown = "";
    this._done = 0; // so much of it is finished
    this._tail = null;
    this._run = 0;
  }

  /** Shows a text as far as it is known. */
  show(text) {
    const began = performance.now();
    text = plain(text);
    if (!text.startsWith(this._shown.slice(0, this._done))) this._clear();
    this._shown = text;
    const rest = this._finishBlocks(text.slice(this._done));
    this._showTail(rest);
    this.cost = performance.now() - began;
  }

  /** Shows a text that is whole, a slice at a time; what is there already stays. */
  async finish(text) {
    text = plain(text);
    const run = ++this._run;
    const alone = !DEFINES.test(text);
    if (!alone || !text.startsWith(this._shown.slice(0, this._done))) this._clear();
    this._shown = text;
    const pieces = alone ? blocks(text.slice(this._done)) : [{ raw: text.slice(this._done), type: "all" }];
    if (this._isTail(pieces[0])) pieces.shift();
    else this._dropTail();
    this._tail = null;
    let began = performance.now();
    const fresh = document.createDocumentFragment();
    for (const piece of pieces) {
      if (piece.type !== "space") fresh.append(this._made(piece.raw));
      if (performance.now() - began < SLICE) continue;
      this._root.append(fresh);
      await pause();
      if (run !== this._run) return;
      began = performance.now();
    }
    this._root.append(fresh);
    this._done = text.length;
    linkCitations(this._root, this._cited(), this._open);
  }

  _clear() {
    this._run += 1;
    this._root.replaceChildren();
    this._shown = "";
    this._done = 0;
    this._tail = null;
  }

  /** Makes all blocks but the last one for good; what is left of the text. */
  _finishBlocks(text) {
    const found = blocks(text);
    const last = found.findLastIndex((block) => block.type !== "space");
    const finished = found.slice(0, Math.max(0, last));
    const length = finished.reduce((sum, block) => sum + block.raw.length, 0);
    if (!length || found.reduce((sum, block) => sum + block.raw.length, 0) !== text.length) return text;
    if (this._isTail(finished[0])) finished.shift();
    else this._dropTail();
    this._tail = null;
    for (const block of finished) if (block.type !== "space") this._root.append(this._made(block.raw));
    this._done += length;
    return text.slice(length);
  }

  /** Whether a block is what stands at the end already, so that it can stay. */
  _isTail(block) {
    return block !== undefined && this._tail?.text.trimEnd() === block.raw.trimEnd();
  }

  _showTail(text) {
    if (!text.trim()) return;
    if (this._tail?.code && this._appendCode(text)) return;
    this._dropTail();
    const fragment = this._made(text);
    const code = fragment.children.length === 1 && fragment.querySelector(":scope > .code code");
    this._tail = { text, nodes: [...fragment.childNodes], code: /^(```|~~~)/.test(text) ? code : null };
    this._root.append(fragment);
  }

  /** Code that is still open grows by its end. */
  _appendCode(text) {
    const [block, other] = blocks(text);
    const had = this._tail.code.textContent;
    const has = `${block.text ?? ""}\n`;
    if (other || block.type !== "code" || !has.startsWith(had.slice(0, -1))) return false;
    const node = this._tail.code.firstChild;
    if (!node) return false;
    node.replaceData(had.length - 1, 1, has.slice(had.length - 1));
    this._tail.text = text;
    return true;
  }

  _dropTail() {
    this._tail?.nodes.forEach((node) => node.remove());
    this._tail = null;
  }

  _made(text) {
    const fragment = rendered(text);
    linkCitations(fragment, this._cited(), this._open);
    return fragment;
  }
}

function plain(text) {
  return text.replace(/\r\n?/g, "\n");
}
