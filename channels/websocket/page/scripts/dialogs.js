// Questions to the person: a dialog with a title, perhaps an input, and what it does.

import { el } from "./dom.js";

/** The text that was entered (true if there is no input), or null if the person thought better of it. */
export function inquire({ title, text = "", input = null, action, danger = false }) {
  return new Promise((resolve) => {
    const field = input === null ? null : el("input", { type: "text", value: input, maxlength: "200", "aria-label": title });
    const yes = el("button", { type: "submit", class: danger ? "main danger" : "main" }, action);
    const no = el("button", { type: "button", click: () => dialog.close() }, "Cancel");
    const form = el("form", { method: "dialog" }, el("h2", {}, title), text ? el("p", {}, text) : null, field);
    const dialog = el("dialog", { class: "ask", "aria-label": title }, form);
    form.append(el("div", { class: "row" }, no, yes));
    let answer = null;
    form.addEventListener("submit", () => (answer = field ? field.value : true));
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(answer);
    });
    document.body.append(dialog);
    dialog.showModal();
    (field ?? no).focus();
    field?.select();
  });
}

/** Something short that passes by: what went wrong, or was done. */
export function notify(text) {
  const place = document.querySelector("#notices");
  const notice = el("p", { class: "notice" }, text);
  place.append(notice);
  setTimeout(() => notice.remove(), 6000);
}
