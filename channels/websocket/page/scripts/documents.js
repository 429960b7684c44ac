// Documents that are given to agentd: by a button, dropped or pasted; each is sent and read while its progress shows.

import { Connection } from "./connection.js";
import { el, find, iconButton } from "./dom.js";

const MOST = 5 * 1024 * 1024;
const LOOK = 100; // milliseconds between two looks at how much is sent
const STAYS = 5000;

export class Uploads {
  constructor(address, added) {
    this._address = address;
    this._added = added;
    this._waiting = [];
    this._tray = find("#uploads");
    const input = find("#files");
    find("#attach").addEventListener("click", () => input.click());
    input.addEventListener("change", () => {
      this.add(input.files);
      input.value = "";
    });
    this._takeDrops();
    addEventListener("paste", (event) => {
      if (!event.clipboardData?.files.length) return;
      event.preventDefault();
      this.add(event.clipboardData.files);
    });
  }

  _takeDrops() {
    const veil = find("#veil");
    let depth = 0;
    const over = (step) => {
      depth = Math.max(0, depth + step);
      veil.hidden = depth === 0;
    };
    addEventListener("dragenter", (event) => event.dataTransfer?.types.includes("Files") && over(1));
    addEventListener("dragleave", (event) => event.dataTransfer?.types.includes("Files") && over(-1));
    addEventListener("dragover", (event) => event.preventDefault());
    addEventListener("drop", (event) => {
      event.preventDefault();
      over(-depth);
      this.add(event.dataTransfer.files);
    });
  }

  add(files) {
    for (const file of files) {
      const row = this._row(file);
      this._waiting.push({ file, row });
    }
    if (!this._busy) this._work();
  }

  _row(file) {
    const bar = el("progress", { max: "1", value: "0", "aria-label": `Sending ${file.name}` });
    const word = el("span", { class: "word" }, "waits");
    const close = iconButton("close", `Hide ${file.name}`, { class: "icon quiet", click: () => element.remove() });
    const element = el("li", { class: "upload" }, el("span", { class: "name" }, file.name), bar, word, close);
    this._tray.append(element);
    return { element, bar, word };
  }

  /** One after the other, over a connection of their own: questions need not wait for them. */
  async _work() {
    this._busy = true;
    const line = await this._connected();
    while (this._waiting.length) {
      const { file, row } = this._waiting.shift();
      try {
        const state = await this._send(line, file, row);
        this._end(row, ...told(state));
      } catch (error) {
        this._end(row, error.message, true);
      }
    }
    line.close();
    this._busy = false;
    this._added();
  }

  _connected() {
    return new Promise((resolve) => {
      const line = new Connection(this._address, () => {}, (state) => state === "connecting" || resolve(line));
      line.open();
    });
  }

  async _send(line, file, row) {
    if (file.size > MOST) throw new Error("It is longer than 5 MiB. Split it, or use `agentd ingest`.");
    row.word.textContent = "is sent";
    const data = await encoded(file);
    const look = setInterval(() => {
      row.bar.value = 1 - line.unsent / (data.length || 1);
      if (line.unsent) return;
      row.word.textContent = "is read";
      row.bar.removeAttribute("value");
    }, LOOK);
    try {
      return await line.ask({ type: "upload", name: file.name.slice(-200), data });
    } finally {
      clearInterval(look);
    }
  }

  _end(row, text, failed = false) {
    row.bar.remove();
    row.word.textContent = text;
    row.element.classList.toggle("failed", failed);
    if (!failed) setTimeout(() => row.element.remove(), STAYS);
  }
}

function told(state) {
  if (state.skipped?.length) return [state.skipped[0][1], true];
  if (state.unchanged) return ["was there already"];
  return [state.chunks === 1 ? "1 passage" : `${state.chunks} passages`];
}

function encoded(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(",") + 1));
    reader.onerror = () => reject(new Error("It could not be read."));
    reader.readAsDataURL(file);
  });
}
