// The place in a document that stands behind a mark [n], with what stands around it.

import { el, find } from "./dom.js";

const DROPPED = /[*_`#>|]/;

/** Opens the place; `button` is the mark that was pressed, if it stands in a sentence. */
export async function showPassage(connection, citation, since, button) {
  const panel = find("#passage");
  find("#passage-title").textContent = citation.title || citation.source;
  find("#passage-where").textContent = citation.heading ? `${citation.source}, ${citation.heading}` : citation.source;
  const body = find("#passage-body");
  body.replaceChildren("Looking it up…");
  if (!panel.open) panel.showModal();
  const { source, start, end } = citation;
  try {
    const { data } = await connection.ask({ type: "passage", source, start, end, since });
    body.replaceChildren(...highlighted(data, claimOf(button)));
    find("mark", body)?.scrollIntoView({ block: "center" });
  } catch (error) {
    body.replaceChildren(el("p", { class: "error" }, error.message));
  }
}

/** What stands before a mark in its block, back to the sentence before. */
function claimOf(button) {
  const block = button?.closest("p, li, td, blockquote, h3, h4, h5, h6");
  if (!block) return "";
  const range = document.createRange();
  range.setStart(block, 0);
  range.setEndBefore(button);
  const sentences = range.toString().replace(/\[\d+\]/g, "").split(/(?<=[.!?…])\s+/);
  return sentences.findLast((sentence) => sentence.trim().length > 3) ?? "";
}

/** The text of a place with its sentence marked, or all of the place if the sentence is not found in it. */
export function highlighted({ before, text, after }, claim) {
  const [start, end] = located(text, claim) ?? [0, text.length];
  return [
    el("span", { class: "around" }, before),
    el("span", { class: "cited" }, text.slice(0, start), el("mark", {}, text.slice(start, end)), text.slice(end)),
    el("span", { class: "around" }, after),
  ];
}

/** Where a text has these words, whatever blanks and marks of Markdown stand between them. */
export function located(text, claim) {
  const [bare, places] = stripped(text);
  const [wanted] = stripped(claim);
  const at = wanted.length > 3 ? bare.indexOf(wanted) : -1;
  return at < 0 ? null : [places[at], places[at + wanted.length - 1] + 1];
}

function stripped(text) {
  const places = [];
  let bare = "";
  for (let n = 0; n < text.length; n += 1) {
    if (DROPPED.test(text[n]) || /\s/.test(text[n])) continue;
    bare += text[n].toLowerCase();
    places.push(n);
  }
  return [bare, places];
}
