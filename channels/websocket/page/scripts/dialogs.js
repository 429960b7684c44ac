// Questions to the person: a dialog with a title, perhaps an input, and what it does.

import { el } from "./dom.js";

/**
 * The text that was entered (true if there is no input), or null if the person thought better of it. It closes when
 * `attempt` is done with the text, and stays with the reason if that fails.
 */
export function inquire({ title, text = "", input = null, most = 200, action, danger = false, attempt = async () => {} }) {
  return new Promise((resolve) => {
    const field = input === null ? null : el("input", { type: "text", value: input, maxlength: most, "aria-label": title });
    const yes = el("button", { type: "submit", class: danger ? "main danger" : "main" }, action);
    const no = el("button", { type: "button", click: () => dialog.close() }, "Cancel");
    const form = el("form", { method: "dialog" }, el("h2", {}, title), text ? el("p", {}, text) : null, field);
    const wrong = el("p", { class: "wrong", role: "alert" });
    const dialog = el("dialog", { class: "ask", "aria-label": title }, form);
    form.append(wrong, el("div", { class: "row" }, no, yes));
    let answer = null;
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const given = field ? field.value : true;
      try {
        await attempt(given);
        answer = given;
        dialog.close();
      } catch (error) {
        wrong.textContent = error.message;
      }
    });
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
