// The page: who is signed in, what is open, and which key does what.

import { Composer } from "./composer.js";
import { Connection } from "./connection.js";
import { notify } from "./dialogs.js";
import { find } from "./dom.js";
import { Uploads } from "./documents.js";
import { Health } from "./health.js";
import { showPassage } from "./passage.js";
import { Sessions } from "./sessions.js";
import { hasTicket, signIn } from "./sign-in.js";
import { Talk } from "./talk.js";
import { watchTheme } from "./theme.js";
import { Transcript } from "./transcript.js";

const SOON = 1500; // milliseconds until people are told that the connection is gone
const READ_OUT = 2000; // characters of an answer that a screen reader is given
const COMMAND = /^\/[^\s/]+(\s|$)/;

const address = `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws`;
const connection = new Connection(address, hear, connected);
const health = new Health(connection);
const talk = new Talk(connection, { shown, changed, answered, gone, made });
const transcript = new Transcript({
  cite: (citation, button) => showPassage(connection, citation, sinceOf(button), button),
  edit: (turn) => composer.edit(turn),
  again: (turn) => talk.ask("", turn),
  offer: (turn) => talk.again(turn),
  mark,
  select: (turn) => talk.select(turn).catch((error) => notify(error.message)),
});
const composer = new Composer(send, () => talk.stop());
const sessions = new Sessions(connection, gone, (name) => {
  talk.conversation.name = name;
  retitle(talk.conversation.label);
});
const uploads = new Uploads(address, () => health.refresh().then(greet));

function hear(message) {
  if (message.type === "status") return health.show(message.data);
  if (message.type === "error" && !message.session) return notify(message.message);
  if (message.type === "conversation") sessions.moved(message);
  if (message.type === "truncated" && !message.session) sessions.refresh();
  talk.hear(message);
}

// --- the connection ---

let trouble = 0;

async function connected(state) {
  find("#signed-out").hidden = state !== "signed-out";
  find("#page").inert = state === "signed-out";
  health.show();
  if (state !== "open") {
    trouble ||= setTimeout(tellTrouble, SOON);
    return;
  }
  clearTimeout(trouble);
  trouble = 0;
  find("#offline").hidden = true;
  connection.ask({ type: "watch" }).catch(() => {}); // what other conversations do is shown at the side
  await Promise.all([talk.open(), sessions.refresh(), health.refresh()]);
  greet();
}

function tellTrouble() {
  if (connection.state === "open" || connection.state === "signed-out") return;
  find("#offline").hidden = false;
}

// --- the conversation ---

function shown(conversation) {
  transcript.show(conversation.turns);
  find("#not-loaded").hidden = conversation.loaded;
  retitle(conversation.label);
  busy();
  greet();
}

function changed(turn) {
  transcript.changed(turn);
  busy();
}

function busy() {
  composer.running(talk.conversation.running !== null);
}

function answered(turn) {
  busy();
  find("#announcer").textContent = `Answer: ${turn.said.slice(0, READ_OUT)}`;
  sessions.refresh();
}

function made(session) {
  history.replaceState(null, "", `#/s/${session}`);
  composer.session(session);
  sessions.current(session);
}

function gone(session, reason) {
  if (session !== talk.conversation.session) return;
  if (reason) notify(reason);
  location.hash = "#/";
}

function retitle(label) {
  find("#title").textContent = label;
  document.title = label === "New conversation" ? "agentd" : `${label} · agentd`;
}

/** What one can do, as long as nothing is said. */
function greet() {
  const empty = talk.conversation.turns.length === 0 && !talk.conversation.session;
  find("#empty").hidden = !empty;
  const { documents, model } = health;
  find("#empty-documents").textContent =
    documents === null ? "" : documents ? `${documents} documents are here.` : "There are no documents yet. Add the first ones.";
  const plain = model?.name === "extractive";
  find("#empty-model").hidden = !plain;
}

async function mark(turn, verdict) {
  try {
    if (talk.conversation.last !== turn) throw new Error("Only the last answer of a conversation can be marked.");
    await talk.command(`/${verdict}`);
    turn.mark = verdict;
    changed(turn);
  } catch (error) {
    notify(error.message);
  }
}

function sinceOf(button) {
  return button?.closest(".turn")?.turn?.answered;
}

async function send(text, editing) {
  if (!COMMAND.test(text) || editing) {
    transcript.toEnd();
    return talk.ask(text.startsWith("//") ? text.slice(1) : text, editing);
  }
  try {
    const { data } = await talk.command(text);
    if (data.text) transcript.tell(data.text);
    if (data.session) location.hash = `#/s/${data.session}`;
    if (data.ask) await talk.ask(data.ask);
  } catch (error) {
    transcript.tell(error.message);
  }
}

// --- where one is ---

function arrive() {
  if (hasTicket()) return void signIn().then(() => connection.retry());
  const session = location.hash.match(/^#\/s\/([\w-]+)$/)?.[1] ?? "";
  find("#side").classList.remove("open");
  if (session && session === talk.conversation.session) return;
  transcript.clear();
  composer.session(session);
  sessions.current(session);
  talk.go(session);
  if (matchMedia("(hover: hover)").matches) composer.focus();
}

// --- keys and buttons ---

function begin() {
  if (location.hash === "#/" || !location.hash) arrive();
  location.hash = "#/";
  composer.focus();
}

function pressed(event) {
  const typing = event.target.closest("input, textarea, dialog, [popover]");
  const command = event.ctrlKey || event.metaKey;
  if (command && event.key === "k") {
    event.preventDefault();
    find("#side").classList.add("open");
    find("#search").focus();
  } else if (command && event.shiftKey && event.key.toLowerCase() === "o") {
    event.preventDefault();
    begin();
  } else if (event.key === "Escape" && !event.isComposing && !document.querySelector("dialog[open], :popover-open")) {
    if (find("#side").classList.contains("open")) find("#side").classList.remove("open");
    else if (!event.target.closest("#search")) talk.stop();
  } else if (event.key === "/" && !typing) {
    event.preventDefault();
    composer.focus();
  } else if (event.key === "?" && !typing) {
    find("#keys").showModal();
  }
}

function wire() {
  find("#new").addEventListener("click", begin);
  find("#menu").addEventListener("click", () => find("#side").classList.toggle("open"));
  find("#shade").addEventListener("click", () => find("#side").classList.remove("open"));
  find("#retry").addEventListener("click", () => connection.retry());
  find("#sign-in-again").addEventListener("click", () => location.reload());
  find("#empty-add").addEventListener("click", () => find("#files").click());
  find("#empty-ask").addEventListener("click", () => composer.focus());
  for (const close of document.querySelectorAll("dialog > header > button, dialog > .close")) {
    close.addEventListener("click", () => close.closest("dialog").close());
  }
  for (const dialog of document.querySelectorAll("dialog")) {
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  }
  addEventListener("keydown", pressed);
  addEventListener("hashchange", arrive);
}

function keep() {
  if (!navigator.serviceWorker) return;
  const policy = globalThis.trustedTypes?.createPolicy("agentd", { createScriptURL: (url) => url });
  const script = "/service-worker.js";
  navigator.serviceWorker.register(policy ? policy.createScriptURL(script) : script).catch(() => {});
}

watchTheme();
wire();
signIn().then(() => {
  arrive();
  connection.open();
  connection.watch();
  keep();
});
