// Elements, made and found.

/** An element. Attributes that are functions listen to the event of their name; null and false are left out. */
export function el(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(key, value);
    else if (value !== null && value !== false) element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== false));
  return element;
}

export function find(selector, root = document) {
  return root.querySelector(selector);
}

/** A button that has only an icon to show; `label` is what it is called. */
export function iconButton(icon, label, attributes = {}) {
  return el("button", { type: "button", class: "icon", "aria-label": label, title: label, ...attributes }, drawn(icon));
}

const SHAPES = {
  plus: "M12 5v14M5 12h14",
  menu: "M4 7h16M4 12h16M4 17h16",
  more: "M5.500 12h1M11.500 12h1M17.500 12h1",
  send: "M12 19V6M6 12l6-6 6 6",
  stop: "M8 8h8v8H8z",
  attach: "M20 11.5l-8 8a5 5 0 0 1-7-7l8.5-8.5a3.3 3.3 0 0 1 4.7 4.7L10 17a1.7 1.7 0 0 1-2.4-2.4L15 7.2",
  copy: "M9 9h10v10H9zM5 15V5h10",
  edit: "M4 20h4L19 9l-4-4L4 16zM13 7l4 4",
  again: "M19 12a7 7 0 1 1-2.1-5M19 4v4h-4",
  good: "M7 11v9H4v-9zM7 11l4-7c1.5 0 2.3 1 2 2.500L12.500 10H18c1.300 0 2.200 1.100 2 2.300l-1.200 6c-.2 1-1 1.700-2 1.700H7",
  bad: "M17 13V4h3v9zM17 13l-4 7c-1.500 0-2.300-1-2-2.500l.500-3.500H6c-1.300 0-2.200-1.100-2-2.300l1.200-6c.2-1 1-1.700 2-1.700H17",
  close: "M6 6l12 12M18 6L6 18",
  back: "M14 6l-6 6 6 6",
  on: "M10 6l6 6-6 6",
  down: "M12 5v13M6 12l6 6 6-6",
  moon: "M20 14.500A8 8 0 0 1 9.500 4 8 8 0 1 0 20 14.500z",
  tool: "M4 7h10M18 7h2M16 5v4M4 17h4M12 17h8M10 15v4",
  file: "M7 3h7l4 4v14H7zM14 3v4h4",
};

/** An icon by its name. */
export function drawn(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", SHAPES[name]);
  svg.append(path);
  return svg;
}

/** The next moment at which the page may work without holding up what people do. */
export function pause() {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

/** Puts a text on the clipboard, and says so on the button for a moment. */
export async function copyFrom(button, text) {
  const label = button.getAttribute("aria-label");
  try {
    await navigator.clipboard.writeText(text);
    button.setAttribute("aria-label", "Copied");
  } catch {
    button.setAttribute("aria-label", "The browser does not allow copying here");
  }
  button.classList.add("told");
  setTimeout(() => {
    button.setAttribute("aria-label", label);
    button.classList.remove("told");
  }, 1600);
}
