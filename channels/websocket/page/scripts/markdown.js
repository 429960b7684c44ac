// What a model writes, as elements: parsed by marked, cleaned by DOMPurify, never trusted.

import DOMPurify from "../vendor/dompurify.js";
import { Marked } from "../vendor/marked.js";
import { copyFrom, drawn, el } from "./dom.js";

const TAGS = [
  "a", "b", "blockquote", "br", "code", "del", "em", "h3", "h4", "h5", "h6", "hr", "i", "kbd", "li", "ol", "p", "pre",
  "s", "strong", "sub", "sup", "table", "tbody", "td", "th", "thead", "tr", "ul",
];
const CLEANING = {
  ALLOWED_TAGS: TAGS,
  ALLOWED_ATTR: ["align", "class", "href", "start"],
  ALLOW_ARIA_ATTR: false,
  ALLOW_DATA_ATTR: false,
  ALLOWED_URI_REGEXP: /^(?:https?:\/\/|mailto:)/i,
  RETURN_DOM_FRAGMENT: true,
};
const BARE = /^<\/?(?:b|br|del|em|i|kbd|s|strong|sub|sup)\s*\/?>$/i; // the only HTML that is not shown as it is
const CITED = /\[(\d{1,4})\]/g;
const UNTOUCHED = "a, button, code, pre";

const marked = new Marked({
  gfm: true,
  renderer: {
    heading({ tokens, depth }) {
      const level = Math.min(6, depth + 2); // the page itself has the first two
      return `<h${level}>${this.parser.parseInline(tokens)}</h${level}>\n`;
    },
    image({ href, text }) {
      return this.link({ href, title: null, tokens: [{ type: "text", raw: text, text: text || "picture" }] });
    },
    html({ text, block }) {
      if (BARE.test(text)) return text;
      const shown = text.replace(/&/g, "&amp;").replace(/</g, "&lt;");
      return block ? `<p>${shown}</p>\n` : shown;
    },
    checkbox({ checked }) {
      return checked ? "☑ " : "☐ ";
    },
  },
});

DOMPurify.addHook("afterSanitizeAttributes", (node) => {
  if (node.nodeName === "A") {
    node.setAttribute("rel", "noopener noreferrer nofollow");
    node.setAttribute("target", "_blank");
    if (node.getAttribute("href")) node.setAttribute("title", node.getAttribute("href"));
  }
  if (node.nodeName !== "CODE" || !/^language-[\w+#.-]{1,30}$/.test(node.className)) node.removeAttribute("class");
});

/** The blocks of a text, as marked has them: each with its `raw` text. */
export function blocks(text) {
  return marked.lexer(text);
}

/** A text as a fragment: safe to be put into the page, with a place for copying in each piece of code. */
export function rendered(text) {
  const fragment = DOMPurify.sanitize(marked.parse(text), CLEANING);
  for (const pre of fragment.querySelectorAll("pre")) dress(pre);
  for (const table of fragment.querySelectorAll("table")) {
    const frame = el("div", { class: "wide", tabindex: "0", role: "region", "aria-label": "Table" });
    table.replaceWith(frame);
    frame.append(table);
  }
  return fragment;
}

function dress(pre) {
  const code = pre.querySelector("code");
  const language = code?.className.replace("language-", "") ?? "";
  const copy = el("button", { type: "button", class: "copy", "aria-label": "Copy code" }, drawn("copy"));
  copy.addEventListener("click", () => copyFrom(copy, pre.textContent));
  const frame = el("div", { class: "code" }, el("div", { class: "code-head" }, el("span", {}, language), copy));
  pre.replaceWith(frame);
  pre.tabIndex = 0;
  pre.setAttribute("role", "region");
  pre.setAttribute("aria-label", language ? `Code, ${language}` : "Code");
  frame.append(pre);
}

/** Makes buttons of the marks [n] in an element, for those places that there are. */
export function linkCitations(root, citations, open) {
  if (!citations.length) return;
  const places = new Map(citations.map((citation) => [String(citation.n), citation]));
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  const texts = [];
  while (walker.nextNode()) {
    if (walker.currentNode.data.includes("[") && !walker.currentNode.parentElement.closest(UNTOUCHED)) {
      texts.push(walker.currentNode);
    }
  }
  for (const text of texts) linkIn(text, places, open);
}

function linkIn(text, places, open) {
  const pieces = [];
  let end = 0;
  for (const found of text.data.matchAll(CITED)) {
    const citation = places.get(found[1]);
    if (!citation) continue;
    pieces.push(text.data.slice(end, found.index).replace(/ $/, "\u00a0"), citeButton(citation, open));
    end = found.index + found[0].length;
  }
  if (pieces.length) text.replaceWith(...pieces, text.data.slice(end));
}

/** A button that opens the place that it names. */
export function citeButton(citation, open) {
  const label = `Source ${citation.n}: ${citation.title || citation.source}`;
  const button = el("button", { type: "button", class: "cite", "aria-label": label, title: label }, String(citation.n));
  button.addEventListener("click", () => open(citation, button));
  return button;
}
